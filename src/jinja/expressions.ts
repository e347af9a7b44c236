import { append } from "../base/lists.js";
import { attribute, item } from "../python/attributes.js";
import { PythonError, typeError } from "../python/error.js";
import { binary, compare, slice, unary } from "../python/operators.js";
import {
  type Arguments,
  charactersOf,
  Dict,
  isText,
  isTruthy,
  itemsOf,
  List,
  PythonObject,
  str,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "../python/values.js";
import { filterNamed } from "./filters.js";
import { type Frame, outward } from "./frames.js";
import type { CallArguments, Expression, FilterNode, SliceNode } from "./nodes.js";
import { testNamed } from "./predicates.js";
import type { Scope } from "./rendering.js";

// Expressions become JavaScript functions: https://jinja.palletsprojects.com/en/stable/templates/#expressions

/** The value of an expression. */
export type Evaluate = (scope: Scope) => Value;

/** A filter with its arguments. */
export type Filtered = (scope: Scope, value: Value) => Value;

export const NOTHING_NAMED: ReadonlyMap<string, Value> = new Map();
const NO_ARGUMENTS: Arguments = { positional: [], named: NOTHING_NAMED };

/** @throws SyntaxError for a filter or test that does not exist, as all functions here. */
export function compileExpression(node: Expression, frame: Frame): Evaluate {
  switch (node.kind) {
    case "constant": {
      const { value } = node;
      return () => value;
    }
    case "name":
      return compileName(node.name, frame);
    case "tuple": {
      const items = node.items.map((one) => compileExpression(one, frame));
      return (scope) => new Tuple(items.map((one) => one(scope)));
    }
    case "list": {
      const items = node.items.map((one) => compileExpression(one, frame));
      return (scope) => new List(items.map((one) => one(scope)));
    }
    case "dict": {
      const items = node.items.map(
        ({ key, value }) => [compileExpression(key, frame), compileExpression(value, frame)] as const,
      );
      return (scope) => new Dict(items.map(([key, value]) => [key(scope), value(scope)] as const));
    }
    case "binary": {
      const { operator } = node;
      const [left, right] = [compileExpression(node.left, frame), compileExpression(node.right, frame)];
      return (scope) => binary(operator, left(scope), right(scope));
    }
    case "logical": {
      const [left, right] = [compileExpression(node.left, frame), compileExpression(node.right, frame)];
      const isAnd = node.operator === "and";
      return (scope) => {
        const value = left(scope);
        return isTruthy(value) === isAnd ? right(scope) : value;
      };
    }
    case "unary": {
      const { operator } = node;
      const value = compileExpression(node.value, frame);
      if (operator === "not") return (scope) => !isTruthy(value(scope));
      return (scope) => unary(operator, value(scope));
    }
    case "comparison": {
      const first = compileExpression(node.first, frame);
      const rest = node.rest.map(({ operator, value }) => ({ operator, value: compileExpression(value, frame) }));
      return (scope) => {
        let left = first(scope);
        for (const { operator, value } of rest) {
          const right = value(scope);
          if (!compare(operator, left, right)) return false;
          left = right;
        }
        return true;
      };
    }
    case "concatenation": {
      const parts = node.parts.map((part) => compileExpression(part, frame));
      return (scope) =>
        parts
          .map((part) => part(scope))
          .map(str)
          .join("");
    }
    case "conditional": {
      const soft: Frame = { ...frame, isConditional: true };
      const [test, yes] = [compileExpression(node.test, soft), compileExpression(node.yes, soft)];
      const no = node.no === undefined ? undefined : compileExpression(node.no, soft);
      return (scope) => {
        if (isTruthy(test(scope))) return yes(scope);
        return no === undefined ? withoutElse() : no(scope);
      };
    }
    case "attribute": {
      const { name } = node;
      const value = compileExpression(node.value, frame);
      return (scope) => attribute(value(scope), name);
    }
    case "item":
      return compileItem(node.value, node.key, frame);
    case "call": {
      const callee = compileExpression(node.callee, frame);
      const given = compileArguments(node.given, frame);
      return (scope) => {
        const called = callee(scope);
        return callOf(called, given(scope));
      };
    }
    case "filter": {
      const value = node.value === undefined ? undefined : compileExpression(node.value, frame);
      if (value === undefined) throw new Error("a filter of a block stands in an expression");
      const filter = compileFilter(node, frame);
      return (scope) => filter(scope, value(scope));
    }
    case "test": {
      const value = compileExpression(node.value, frame);
      const given = compileArguments(node.given, frame);
      const run = existing("test", node.name, testNamed, node.line, frame);
      return (scope) => {
        const tested = value(scope);
        const { positional, named } = given(scope);
        return run({ positional: [tested, ...positional], named });
      };
    }
    case "attribute target":
      throw new Error("a target stands in an expression");
  }
}

function compileName(name: string, frame: Frame): Evaluate {
  const [depth, index] = frame.slots.find(frame.names.slot(name));
  return (scope) => {
    const value = outward(scope, depth).slots[index];
    return value === undefined ? undefinedName(name) : value;
  };
}

function compileItem(node: Expression, key: Expression | SliceNode, frame: Frame): Evaluate {
  const value = compileExpression(node, frame);
  if (key.kind !== "slice") {
    const evaluate = compileExpression(key, frame);
    return (scope) => {
      const container = value(scope);
      return item(container, evaluate(scope));
    };
  }
  const [start, stop, step] = [key.start, key.stop, key.step].map(
    (bound): Evaluate => (bound === undefined ? () => null : compileExpression(bound, frame)),
  ) as [Evaluate, Evaluate, Evaluate];
  return (scope) => slice(value(scope), start(scope), stop(scope), step(scope));
}

/** A filter and those before it, which take their value when it runs if they filter a block. */
export function compileFilter(node: FilterNode, frame: Frame): Filtered {
  const inner = node.value?.kind === "filter" && isOfBlock(node) ? compileFilter(node.value, frame) : undefined;
  const given = compileArguments(node.given, frame);
  const run = existing("filter", node.name, filterNamed, node.line, frame);
  return (scope, value) => {
    const filtered = inner === undefined ? value : inner(scope, value);
    const { positional, named } = given(scope);
    return run({ positional: [filtered, ...positional], named });
  };
}

/** A filter or test by its name. @throws SyntaxError if there is none, unless it stands in an `if`. */
function existing<T>(
  kind: "filter" | "test",
  name: string,
  lookUp: (name: string) => ((given: Arguments) => T) | undefined,
  line: number,
  frame: Frame,
): (given: Arguments) => T {
  const found = lookUp(name);
  if (found !== undefined) return found;
  if (!frame.isConditional) throw new PythonError("SyntaxError", `No ${kind} named '${name}'.`, line);
  return () => {
    throw new PythonError("RuntimeError", `No ${kind} named '${name}' found.`);
  };
}

export function compileArguments(nodes: CallArguments, frame: Frame): (scope: Scope) => Arguments {
  const positional = nodes.positional.map((node) => compileExpression(node, frame));
  const named = nodes.named.map(({ key, value }) => [key, compileExpression(value, frame)] as const);
  const moreOfThem = nodes.moreOfThem === undefined ? undefined : compileExpression(nodes.moreOfThem, frame);
  const moreNamed = nodes.moreNamed === undefined ? undefined : compileExpression(nodes.moreNamed, frame);
  if (named.length === 0 && moreOfThem === undefined && moreNamed === undefined) {
    if (positional.length === 0) return () => NO_ARGUMENTS;
    return (scope) => ({ positional: positional.map((one) => one(scope)), named: NOTHING_NAMED });
  }
  return (scope) => {
    const values = positional.map((one) => one(scope));
    const entries = new Map(named.map(([key, value]) => [key, value(scope)] as const));
    if (moreOfThem !== undefined) append(values, itemsOf(moreOfThem(scope)));
    if (moreNamed !== undefined) addNamed(entries, moreNamed(scope));
    return { positional: values, named: entries };
  };
}

/** True if the first of a chain of filters has no value, because it filters the text of a block. */
function isOfBlock({ value }: FilterNode): boolean {
  return value === undefined || (value.kind === "filter" && isOfBlock(value));
}

function undefinedName(name: string): Undefined {
  if (name !== "strftime_now") return new Undefined(`'${name}' is undefined`);
  return new Undefined(
    "strftime_now gives today's date, with which the tokens would depend on the day; " +
      "write the date itself into the template",
  );
}

function withoutElse(): Undefined {
  return new Undefined("the inline if-expression evaluated to false and no else section was defined.");
}

/** `value(…)`. @throws TypeError if it cannot be called. */
export function callOf(value: Value, given: Arguments): Value {
  if (value instanceof PythonObject) return value.call(given);
  throw typeError(`'${typeName(value)}' object is not callable`);
}

function addNamed(entries: Map<string, Value>, more: Value): void {
  if (!(more instanceof Dict)) throw typeError(`argument after ** must be a mapping, not ${typeName(more)}`);
  for (const [key, value] of more.entries()) {
    if (!isText(key)) throw typeError("keywords must be strings");
    const name = charactersOf(key);
    if (entries.has(name)) throw typeError(`got multiple values for keyword argument '${name}'`);
    entries.set(name, value);
  }
}
