import { append } from "../base/lists.js";
import type { BinaryOperator, ComparisonOperator } from "../python/operators.js";
import type { Value } from "../python/values.js";

// The tree of a template. Fields stand in the order in which Jinja2 visits them, on which the scope of names depends.

export interface CallArguments {
  readonly positional: readonly Expression[];
  readonly named: readonly { readonly key: string; readonly value: Expression }[];
  readonly moreOfThem: Expression | undefined;
  readonly moreNamed: Expression | undefined;
}

export type NameNode = { readonly kind: "name"; readonly name: string; readonly use: "load" | "store" | "parameter" };
export type TupleNode = { readonly kind: "tuple"; readonly items: readonly Expression[] };
export type AttributeTarget = { readonly kind: "attribute target"; readonly name: string; readonly attribute: string };
export type FilterNode = {
  readonly kind: "filter";
  /** Undefined for the text of a block. */
  readonly value: Expression | undefined;
  readonly name: string;
  readonly given: CallArguments;
  readonly line: number;
};
export type CallNode = { readonly kind: "call"; readonly callee: Expression; readonly given: CallArguments };

export type Expression =
  | NameNode
  | TupleNode
  | AttributeTarget
  | FilterNode
  | CallNode
  | { readonly kind: "constant"; readonly value: Value }
  | { readonly kind: "list"; readonly items: readonly Expression[] }
  | { readonly kind: "dict"; readonly items: readonly { readonly key: Expression; readonly value: Expression }[] }
  | {
      readonly kind: "binary";
      readonly operator: BinaryOperator;
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly kind: "logical"; readonly operator: "and" | "or"; readonly left: Expression; readonly right: Expression }
  | { readonly kind: "unary"; readonly operator: "+" | "-" | "not"; readonly value: Expression }
  | { readonly kind: "comparison"; readonly first: Expression; readonly rest: readonly Comparison[] }
  | { readonly kind: "concatenation"; readonly parts: readonly Expression[] }
  | {
      readonly kind: "conditional";
      readonly test: Expression;
      readonly yes: Expression;
      readonly no: Expression | undefined;
    }
  | { readonly kind: "attribute"; readonly value: Expression; readonly name: string }
  | { readonly kind: "item"; readonly value: Expression; readonly key: Expression | SliceNode }
  | {
      readonly kind: "test";
      readonly value: Expression;
      readonly name: string;
      readonly given: CallArguments;
      readonly line: number;
    };

export interface SliceNode {
  readonly kind: "slice";
  readonly start: Expression | undefined;
  readonly stop: Expression | undefined;
  readonly step: Expression | undefined;
}

export interface Comparison {
  readonly operator: ComparisonOperator;
  readonly value: Expression;
}

export interface OutputPart {
  readonly line: number;
  /** Text of the template, or what is printed. */
  readonly content: string | Expression;
}

/** Where `set` and `for` put a value. */
export type Target = Expression;

export interface SignatureNodes {
  readonly parameters: readonly NameNode[];
  /** Values of the last parameters where a call gives none. */
  readonly defaults: readonly Expression[];
}

export type ForNode = {
  readonly kind: "for";
  readonly line: number;
  readonly target: Target;
  readonly iterable: Expression;
  readonly body: readonly Statement[];
  readonly otherwise: readonly Statement[];
  readonly test: Expression | undefined;
  readonly isRecursive: boolean;
};
export type IfNode = {
  readonly kind: "if";
  readonly line: number;
  readonly test: Expression;
  readonly body: readonly Statement[];
  readonly elseIfs: readonly IfNode[];
  readonly otherwise: readonly Statement[];
};
export type MacroNode = {
  readonly kind: "macro";
  readonly line: number;
  readonly name: string;
  readonly signature: SignatureNodes;
  readonly body: readonly Statement[];
};
export type CallBlockNode = {
  readonly kind: "call block";
  readonly line: number;
  readonly call: CallNode;
  readonly signature: SignatureNodes;
  readonly body: readonly Statement[];
};
export type BlockNode = {
  readonly kind: "block";
  readonly line: number;
  readonly name: string;
  readonly body: readonly Statement[];
  readonly isScoped: boolean;
  readonly isRequired: boolean;
};
export type SetBlockNode = {
  readonly kind: "set block";
  readonly line: number;
  readonly target: Target;
  readonly filter: FilterNode | undefined;
  readonly body: readonly Statement[];
};
export type FilterBlockNode = {
  readonly kind: "filter block";
  readonly line: number;
  readonly body: readonly Statement[];
  readonly filter: FilterNode;
};
export type WithNode = {
  readonly kind: "with";
  readonly line: number;
  readonly targets: readonly Target[];
  readonly values: readonly Expression[];
  readonly body: readonly Statement[];
};
/** `{% generation %}` of transformers: the assistant's text. */
export type GenerationNode = {
  readonly kind: "generation";
  readonly line: number;
  readonly body: readonly Statement[];
};
export type ScopeNode = { readonly kind: "scope"; readonly line: number; readonly body: readonly Statement[] };

export type Statement =
  | ForNode
  | IfNode
  | MacroNode
  | CallBlockNode
  | BlockNode
  | SetBlockNode
  | FilterBlockNode
  | WithNode
  | GenerationNode
  | ScopeNode
  | { readonly kind: "output"; readonly line: number; readonly parts: readonly OutputPart[] }
  | { readonly kind: "set"; readonly line: number; readonly target: Target; readonly value: Expression }
  | { readonly kind: "break" | "continue"; readonly line: number }
  /** `include`, `import`, `from` and `extends`: they need a loader of templates, and there is none. */
  | {
      readonly kind: "load";
      readonly line: number;
      readonly tag: string;
      readonly template: Expression;
      readonly targets: readonly NameNode[];
    };

export type Node = Statement | Expression | SliceNode;

/** The nodes right below, in the order of the fields. */
export function childrenOf(node: Node): Node[] {
  const children: Node[] = [];
  addNodes(node, children);
  return children;
}

function addNodes(fields: object, children: Node[]): void {
  for (const field of Object.values(fields)) {
    if (typeof field !== "object" || field === null) continue;
    if ("kind" in field) children.push(field as Node);
    else addNodes(field, children);
  }
}

/** All nodes of a tree, each before those below it. */
export function descendants(nodes: readonly Node[]): Node[] {
  const found: Node[] = [];
  const rest = nodes.toReversed();
  for (let node = rest.pop(); node !== undefined; node = rest.pop()) {
    found.push(node);
    append(rest, childrenOf(node).reverse());
  }
  return found;
}
