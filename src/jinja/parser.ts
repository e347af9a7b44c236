import { PythonError } from "../python/error.js";
import type { BinaryOperator, ComparisonOperator } from "../python/operators.js";
import { isOfClass, quoted } from "../python/text.js";
import { type Token, tokenize } from "./lexer.js";
import type {
  BlockNode,
  CallArguments,
  Comparison,
  Expression,
  FilterNode,
  IfNode,
  NameNode,
  OutputPart,
  SignatureNodes,
  SliceNode,
  Statement,
  Target,
  TupleNode,
} from "./nodes.js";

/** The tree of a template. @throws SyntaxError. */
export function parse(template: string): Statement[] {
  return new Parser(tokenize(template)).run();
}

const NO_ARGUMENTS: CallArguments = { positional: [], named: [], moreOfThem: undefined, moreNamed: undefined };

const CONSTANTS: Readonly<Record<string, boolean | null>> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
};

interface TupleOptions {
  /** Names and literals alone, as in targets. */
  readonly isSimple?: boolean;
  readonly takesConditional?: boolean;
  /** A name that ends the tuple. */
  readonly until?: string;
  readonly isInParentheses?: boolean;
  readonly takesAttributes?: boolean;
}

class Parser {
  readonly #tokens: readonly Token[];
  #index = 0;
  readonly #endTags: (readonly string[])[] = [];
  readonly #openTags: string[] = [];

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  run(): Statement[] {
    return this.#statements(undefined);
  }

  // Tokens

  get #current(): Token {
    return this.#tokens[this.#index]!;
  }

  get #following(): Token {
    return this.#tokens[this.#index + 1] ?? this.#current;
  }

  #next(): Token {
    const token = this.#current;
    if (token.type !== "eof") this.#index++;
    return token;
  }

  #isOperator(...operators: readonly string[]): boolean {
    const { type, value } = this.#current;
    return type === "operator" && operators.includes(value);
  }

  #isName(...names: readonly string[]): boolean {
    const { type, value } = this.#current;
    return type === "name" && names.includes(value);
  }

  #skipOperator(operator: string): boolean {
    const isThere = this.#isOperator(operator);
    if (isThere) this.#next();
    return isThere;
  }

  #skipName(name: string): boolean {
    const isThere = this.#isName(name);
    if (isThere) this.#next();
    return isThere;
  }

  #expectOperator(operator: string): void {
    if (!this.#skipOperator(operator)) throw this.#unexpected(operator);
  }

  #expectName(): string {
    if (this.#current.type !== "name") throw this.#unexpected("name");
    return this.#next().value as string;
  }

  #expectKeyword(name: string): void {
    if (!this.#skipName(name)) throw this.#unexpected(name);
  }

  #expectEnd(type: "block_end" | "variable_end"): void {
    if (this.#current.type !== type) throw this.#unexpected(DESCRIPTIONS[type]!);
    this.#next();
  }

  #unexpected(expected: string): PythonError {
    if (this.#current.type === "eof") return this.#fail(`unexpected end of template, expected ${quoted(expected)}.`);
    return this.#fail(`expected token ${quoted(expected)}, got ${quoted(described(this.#current))}`);
  }

  #fail(message: string, line: number = this.#current.line): PythonError {
    return new PythonError("SyntaxError", message, line);
  }

  // Statements

  /** Statements up to one of the tags, whose `{%` is consumed, or to the end of the template. */
  #statements(endTags: readonly string[] | undefined): Statement[] {
    const body: Statement[] = [];
    let parts: OutputPart[] = [];
    const flush = (): void => {
      if (parts.length > 0) body.push({ kind: "output", line: parts[0]!.line, parts });
      parts = [];
    };
    if (endTags !== undefined) this.#endTags.push(endTags);
    while (this.#current.type !== "eof") {
      const token = this.#next();
      if (token.type === "block_begin") {
        flush();
        if (endTags !== undefined && this.#isName(...endTags)) break;
        body.push(this.#statement());
        this.#expectEnd("block_end");
        continue;
      }
      const { line } = token;
      if (token.type === "data") parts.push({ line, content: token.value });
      else {
        parts.push({ line, content: this.#tuple({ takesConditional: true }) });
        this.#expectEnd("variable_end");
      }
    }
    flush();
    if (endTags !== undefined) {
      if (this.#current.type === "eof") throw this.#unknownTag(undefined, this.#current.line);
      this.#endTags.pop();
    }
    return body;
  }

  /** The body of a tag: the rest of it, then statements up to one of the tags. */
  #body(...endTags: readonly string[]): Statement[] {
    this.#skipOperator(":");
    this.#expectEnd("block_end");
    return this.#statements(endTags);
  }

  /** A body whose end tag is consumed. */
  #wholeBody(endTag: string): Statement[] {
    const body = this.#body(endTag);
    this.#next();
    return body;
  }

  #statement(): Statement {
    const token = this.#current;
    if (token.type !== "name") throw this.#fail("tag name expected");
    const { line, value: tag } = token;
    const parse = Object.hasOwn(this.#tags, tag) ? this.#tags[tag] : undefined;
    if (parse === undefined) throw this.#unknownTag(tag, line);
    this.#openTags.push(tag);
    this.#next();
    const statement = parse(line);
    this.#openTags.pop();
    return statement;
  }

  #unknownTag(tag: string | undefined, line: number): PythonError {
    const message = [tag === undefined ? "Unexpected end of template." : `Encountered unknown tag ${quoted(tag)}.`];
    const wanted = this.#endTags.at(-1)?.map(quoted).join(" or ");
    if (wanted !== undefined) {
      const isNested = tag !== undefined && this.#endTags.some((tags) => tags.includes(tag));
      message.push(
        isNested
          ? `You probably made a nesting mistake. Jinja is expecting this tag, but currently looking for ${wanted}.`
          : `Jinja was looking for the following tags: ${wanted}.`,
      );
    }
    const open = this.#openTags.at(-1);
    if (open !== undefined) message.push(`The innermost block that needs to be closed is ${quoted(open)}.`);
    return this.#fail(message.join(" "), line);
  }

  /** The rule for the text behind the name of each tag. */
  readonly #tags: Readonly<Record<string, (line: number) => Statement>> = {
    for: (line) => this.#for(line),
    if: (line) => this.#if(line),
    set: (line) => this.#set(line),
    macro: (line) => {
      const { name } = this.#nameTarget("store");
      const signature = this.#signature();
      return { kind: "macro", line, name, signature, body: this.#wholeBody("endmacro") };
    },
    call: (line) => {
      const signature = this.#isOperator("(") ? this.#signature() : { parameters: [], defaults: [] };
      const call = this.#expression();
      if (call.kind !== "call") throw this.#fail("expected call", line);
      return { kind: "call block", line, call, signature, body: this.#wholeBody("endcall") };
    },
    filter: (line) => {
      const filter = this.#filters(undefined, true)!;
      return { kind: "filter block", line, body: this.#wholeBody("endfilter"), filter };
    },
    with: (line) => {
      const targets: Target[] = [];
      const values: Expression[] = [];
      while (this.#current.type !== "block_end") {
        if (targets.length > 0) this.#expectOperator(",");
        targets.push(this.#target("parameter", {}));
        this.#expectOperator("=");
        values.push(this.#expression());
      }
      return { kind: "with", line, targets, values, body: this.#wholeBody("endwith") };
    },
    block: (line) => this.#block(line),
    print: (line) => {
      const parts: OutputPart[] = [];
      while (this.#current.type !== "block_end") {
        if (parts.length > 0) this.#expectOperator(",");
        parts.push({ line, content: this.#expression() });
      }
      return { kind: "output", line, parts };
    },
    autoescape: (line) => {
      const setting = this.#expression();
      if (setting.kind !== "constant" || setting.value !== false) {
        throw this.#fail("autoescape is for HTML; only {% autoescape false %} is known here", line);
      }
      return { kind: "scope", line, body: this.#wholeBody("endautoescape") };
    },
    generation: (line) => ({ kind: "generation", line, body: this.#wholeBody("endgeneration") }),
    break: (line) => ({ kind: "break", line }),
    continue: (line) => ({ kind: "continue", line }),
    extends: (line) => ({ kind: "load", line, tag: "extends", template: this.#expression(), targets: [] }),
    include: (line) => {
      const template = this.#expression();
      if (this.#isName("ignore") && this.#isFollowedBy("missing")) this.#index += 2;
      this.#importContext();
      return { kind: "load", line, tag: "include", template, targets: [] };
    },
    import: (line) => {
      const template = this.#expression();
      this.#expectKeyword("as");
      const targets = [this.#nameTarget("store")];
      this.#importContext();
      return { kind: "load", line, tag: "import", template, targets };
    },
    from: (line) => this.#from(line),
  };

  #isFollowedBy(name: string): boolean {
    return this.#following.type === "name" && this.#following.value === name;
  }

  #importContext(): boolean {
    const isThere = this.#isName("with", "without") && this.#isFollowedBy("context");
    if (isThere) this.#index += 2;
    return isThere;
  }

  #from(line: number): Statement {
    const template = this.#expression();
    this.#expectKeyword("import");
    const targets: NameNode[] = [];
    for (;;) {
      if (targets.length > 0) this.#expectOperator(",");
      if (this.#current.type !== "name") throw this.#unexpected("name");
      if (this.#importContext()) break;
      let target = this.#nameTarget("store");
      if (target.name.startsWith("_")) throw this.#fail("names starting with an underline can not be imported");
      if (this.#skipName("as")) target = this.#nameTarget("store");
      targets.push(target);
      if (this.#importContext() || !this.#isOperator(",")) break;
    }
    return { kind: "load", line, tag: "from", template, targets };
  }

  #for(line: number): Statement {
    const target = this.#target("store", { until: "in" });
    this.#expectKeyword("in");
    const iterable = this.#tuple({ takesConditional: false, until: "recursive" });
    const test = this.#skipName("if") ? this.#expression() : undefined;
    const isRecursive = this.#skipName("recursive");
    const body = this.#body("endfor", "else");
    const otherwise = this.#next().value === "endfor" ? [] : this.#wholeBody("endfor");
    return { kind: "for", line, target, iterable, body, otherwise, test, isRecursive };
  }

  #if(line: number): Statement {
    const branch = (at: number): IfNode => {
      const test = this.#tuple({ takesConditional: false });
      const body = this.#body("elif", "else", "endif");
      return { kind: "if", line: at, test, body, elseIfs: [], otherwise: [] };
    };
    const first = branch(line);
    const elseIfs: IfNode[] = [];
    let tag = this.#next();
    while (tag.value === "elif") {
      elseIfs.push(branch(this.#current.line));
      tag = this.#next();
    }
    const otherwise = tag.value === "else" ? this.#wholeBody("endif") : [];
    return { ...first, elseIfs, otherwise };
  }

  #set(line: number): Statement {
    const target = this.#target("store", { takesAttributes: true });
    if (this.#skipOperator("=")) return { kind: "set", line, target, value: this.#tuple({ takesConditional: true }) };
    const filter = this.#filters(undefined, false);
    return { kind: "set block", line, target, filter, body: this.#wholeBody("endset") };
  }

  #block(line: number): BlockNode {
    const name = this.#expectName();
    const isScoped = this.#skipName("scoped");
    const isRequired = this.#skipName("required");
    if (this.#isOperator("-")) {
      throw this.#fail(
        "Block names in Jinja have to be valid Python identifiers and may not contain hyphens, " +
          "use an underscore instead.",
      );
    }
    const body = this.#wholeBody("endblock");
    const isBlank = ({ content }: OutputPart): boolean => typeof content === "string" && isOfClass("isspace", content);
    if (isRequired && !body.every((node) => node.kind === "output" && node.parts.every(isBlank))) {
      throw this.#fail("Required blocks can only contain comments or whitespace");
    }
    this.#skipName(name);
    return { kind: "block", line, name, body, isScoped, isRequired };
  }

  #signature(): SignatureNodes {
    const parameters: NameNode[] = [];
    const defaults: Expression[] = [];
    this.#expectOperator("(");
    while (!this.#isOperator(")")) {
      if (parameters.length > 0) this.#expectOperator(",");
      const parameter = this.#nameTarget("parameter");
      if (this.#skipOperator("=")) defaults.push(this.#expression());
      else if (defaults.length > 0) throw this.#fail("non-default argument follows default argument");
      parameters.push(parameter);
    }
    this.#expectOperator(")");
    return { parameters, defaults };
  }

  // Targets of assignments

  #nameTarget(use: "store" | "parameter"): NameNode {
    const name = this.#expectName();
    if (Object.hasOwn(CONSTANTS, name)) throw this.#fail("can't assign to 'name'");
    return { kind: "name", name, use };
  }

  #target(use: "store" | "parameter", options: TupleOptions): Target {
    const { line } = this.#current;
    const target = this.#tuple({ ...options, isSimple: true });
    const assigned = (node: Expression): Target => {
      if (node.kind === "name") return { ...node, use };
      if (node.kind === "attribute target") return node;
      if (node.kind === "tuple") return { ...node, items: node.items.map(assigned) };
      throw this.#fail(`can't assign to '${node.kind}'`, line);
    };
    return assigned(target);
  }

  // Expressions

  #tuple({ isSimple = false, takesConditional = true, until, ...options }: TupleOptions): Expression {
    const { isInParentheses = false, takesAttributes = false } = options;
    const items: Expression[] = [];
    let isTuple = false;
    for (;;) {
      if (items.length > 0) this.#expectOperator(",");
      if (this.#isTupleEnd(until)) break;
      items.push(isSimple ? this.#primary(takesAttributes) : takesConditional ? this.#expression() : this.#or());
      if (!this.#isOperator(",")) break;
      isTuple = true;
    }
    if (!isTuple) {
      const [item] = items;
      if (item !== undefined) return item;
      if (!isInParentheses) throw this.#fail(`Expected an expression, got ${quoted(described(this.#current))}`);
    }
    return { kind: "tuple", items };
  }

  #isTupleEnd(until: string | undefined): boolean {
    const { type } = this.#current;
    if (type === "variable_end" || type === "block_end" || this.#isOperator(")")) return true;
    return until !== undefined && this.#isName(until);
  }

  #expression(): Expression {
    let result = this.#or();
    while (this.#skipName("if")) {
      const test = this.#or();
      const no = this.#skipName("else") ? this.#expression() : undefined;
      result = { kind: "conditional", test, yes: result, no };
    }
    return result;
  }

  #or(): Expression {
    let left = this.#and();
    while (this.#skipName("or")) left = { kind: "logical", operator: "or", left, right: this.#and() };
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.#skipName("and")) left = { kind: "logical", operator: "and", left, right: this.#not() };
    return left;
  }

  #not(): Expression {
    if (this.#skipName("not")) return { kind: "unary", operator: "not", value: this.#not() };
    return this.#comparison();
  }

  #comparison(): Expression {
    const first = this.#sum();
    const rest: Comparison[] = [];
    for (;;) {
      let operator: ComparisonOperator;
      if (this.#isOperator("==", "!=", "<", "<=", ">", ">=")) operator = this.#next().value as ComparisonOperator;
      else if (this.#skipName("in")) operator = "in";
      else if (this.#isName("not") && this.#isFollowedBy("in")) {
        this.#index += 2;
        operator = "not in";
      } else break;
      rest.push({ operator, value: this.#sum() });
    }
    return rest.length === 0 ? first : { kind: "comparison", first, rest };
  }

  #binary(operators: readonly BinaryOperator[], operand: () => Expression): Expression {
    let left = operand();
    while (this.#isOperator(...operators)) {
      const operator = this.#next().value as BinaryOperator;
      left = { kind: "binary", operator, left, right: operand() };
    }
    return left;
  }

  #sum(): Expression {
    return this.#binary(["+", "-"], () => this.#concatenation());
  }

  #concatenation(): Expression {
    const first = this.#product();
    const parts = [first];
    while (this.#skipOperator("~")) parts.push(this.#product());
    return parts.length === 1 ? first : { kind: "concatenation", parts };
  }

  #product(): Expression {
    return this.#binary(["*", "/", "//", "%"], () => this.#power());
  }

  #power(): Expression {
    return this.#binary(["**"], () => this.#unary(true));
  }

  #unary(takesFilters: boolean): Expression {
    let node: Expression;
    if (this.#isOperator("-", "+")) {
      const operator = this.#next().value as "-" | "+";
      node = { kind: "unary", operator, value: this.#unary(false) };
    } else node = this.#primary(false);
    node = this.#postfix(node);
    return takesFilters ? this.#filtersAndTests(node) : node;
  }

  #primary(takesAttributes: boolean): Expression {
    const token = this.#current;
    if (token.type === "name") {
      this.#next();
      if (Object.hasOwn(CONSTANTS, token.value)) return { kind: "constant", value: CONSTANTS[token.value]! };
      if (takesAttributes && this.#skipOperator(".")) {
        return { kind: "attribute target", name: token.value, attribute: this.#expectName() };
      }
      return { kind: "name", name: token.value, use: "load" };
    }
    if (token.type === "string") {
      let value = "";
      while (this.#current.type === "string") value += this.#next().value;
      return { kind: "constant", value };
    }
    if (token.type === "number") {
      this.#next();
      return { kind: "constant", value: token.value };
    }
    if (this.#skipOperator("(")) {
      const inner = this.#tuple({ takesConditional: true, isInParentheses: true });
      this.#expectOperator(")");
      return inner;
    }
    if (this.#skipOperator("[")) return { kind: "list", items: this.#separated("]", () => this.#expression()) };
    if (!this.#skipOperator("{")) throw this.#fail(`unexpected ${quoted(described(token))}`);
    const pair = (): { key: Expression; value: Expression } => {
      const key = this.#expression();
      this.#expectOperator(":");
      return { key, value: this.#expression() };
    };
    return { kind: "dict", items: this.#separated("}", pair) };
  }

  /** Items between commas, of which one may stand at the end. */
  #separated<T>(end: string, item: () => T): T[] {
    const items: T[] = [];
    while (!this.#isOperator(end)) {
      if (items.length > 0) this.#expectOperator(",");
      if (this.#isOperator(end)) break;
      items.push(item());
    }
    this.#expectOperator(end);
    return items;
  }

  #postfix(node: Expression): Expression {
    let result = node;
    for (;;) {
      if (this.#isOperator(".", "[")) result = this.#subscript(result);
      else if (this.#isOperator("(")) result = { kind: "call", callee: result, given: this.#arguments() };
      else return result;
    }
  }

  #filtersAndTests(node: Expression): Expression {
    let result = node;
    for (;;) {
      if (this.#isOperator("|")) result = this.#filters(result, false)!;
      else if (this.#isName("is")) result = this.#test(result);
      else if (this.#isOperator("(")) result = { kind: "call", callee: result, given: this.#arguments() };
      else return result;
    }
  }

  #subscript(value: Expression): Expression {
    const { value: operator } = this.#next();
    if (operator === ".") {
      const token = this.#next();
      if (token.type === "name") return { kind: "attribute", value, name: token.value };
      if (token.type !== "number") throw this.#fail("expected name or number", token.line);
      return { kind: "item", value, key: { kind: "constant", value: token.value } };
    }
    const { line } = this.#current;
    const keys: (Expression | SliceNode)[] = [];
    while (!this.#isOperator("]")) {
      if (keys.length > 0) this.#expectOperator(",");
      keys.push(this.#key());
    }
    this.#expectOperator("]");
    const [key] = keys;
    if (key !== undefined && keys.length === 1) return { kind: "item", value, key };
    const items = keys.map((one): Expression => {
      if (one.kind === "slice") throw this.#fail("a slice cannot stand among other keys", line);
      return one;
    });
    const tuple: TupleNode = { kind: "tuple", items };
    return { kind: "item", value, key: tuple };
  }

  #key(): Expression | SliceNode {
    let start: Expression | undefined;
    if (!this.#isOperator(":")) {
      start = this.#expression();
      if (!this.#isOperator(":")) return start;
    }
    this.#expectOperator(":");
    const bound = (): Expression | undefined => (this.#isOperator(":", "]", ",") ? undefined : this.#expression());
    const stop = bound();
    const step = this.#skipOperator(":") ? bound() : undefined;
    return { kind: "slice", start, stop, step };
  }

  #arguments(): CallArguments {
    const { line } = this.#current;
    const positional: Expression[] = [];
    const named: { key: string; value: Expression }[] = [];
    let moreOfThem: Expression | undefined;
    let moreNamed: Expression | undefined;
    const require = (holds: boolean): void => {
      if (!holds) throw this.#fail("invalid syntax for function call expression", line);
    };
    this.#expectOperator("(");
    for (let isFirst = true; !this.#isOperator(")"); isFirst = false) {
      if (!isFirst) {
        this.#expectOperator(",");
        if (this.#isOperator(")")) break;
      }
      if (this.#skipOperator("*")) {
        require(moreOfThem === undefined && moreNamed === undefined);
        moreOfThem = this.#expression();
      } else if (this.#skipOperator("**")) {
        require(moreNamed === undefined);
        moreNamed = this.#expression();
      } else if (
        this.#current.type === "name" &&
        this.#following.type === "operator" &&
        this.#following.value === "="
      ) {
        require(moreNamed === undefined);
        const key = this.#expectName();
        this.#expectOperator("=");
        if (named.some((one) => one.key === key)) throw this.#fail(`keyword argument repeated: ${key}`, line);
        named.push({ key, value: this.#expression() });
      } else {
        require(moreOfThem === undefined && moreNamed === undefined && named.length === 0);
        positional.push(this.#expression());
      }
    }
    this.#expectOperator(")");
    return { positional, named, moreOfThem, moreNamed };
  }

  #dottedName(): string {
    let name = this.#expectName();
    while (this.#skipOperator(".")) name += `.${this.#expectName()}`;
    return name;
  }

  #filters(value: Expression | undefined, isFirstWithoutPipe: boolean): FilterNode | undefined {
    let result: FilterNode | undefined;
    let isDue = isFirstWithoutPipe;
    while (isDue || this.#skipOperator("|")) {
      const { line } = this.#current;
      const name = this.#dottedName();
      const given = this.#isOperator("(") ? this.#arguments() : NO_ARGUMENTS;
      result = { kind: "filter", value: result ?? value, name, given, line };
      isDue = false;
    }
    return result;
  }

  #test(value: Expression): Expression {
    const { line } = this.#next();
    const isNegated = this.#skipName("not");
    const name = this.#dottedName();
    let given = NO_ARGUMENTS;
    if (this.#isOperator("(")) given = this.#arguments();
    else if (this.#isArgument()) {
      if (this.#isName("is")) throw this.#fail("You cannot chain multiple tests with is");
      given = { ...NO_ARGUMENTS, positional: [this.#postfix(this.#primary(false))] };
    }
    const test: Expression = { kind: "test", value, name, given, line };
    return isNegated ? { kind: "unary", operator: "not", value: test } : test;
  }

  /** True if a single argument of a test follows, without parentheses. */
  #isArgument(): boolean {
    const { type } = this.#current;
    if (type === "name") return !this.#isName("else", "or", "and");
    return type === "string" || type === "number" || this.#isOperator("[", "{");
  }
}

const DESCRIPTIONS: Readonly<Record<string, string>> = {
  block_begin: "begin of statement block",
  block_end: "end of statement block",
  variable_begin: "begin of print statement",
  variable_end: "end of print statement",
  data: "template data / text",
  eof: "end of template",
};

function described(token: Token): string {
  if (token.type === "name" || token.type === "operator") return token.value;
  return token.type === "number" ? "number" : (DESCRIPTIONS[token.type] ?? token.type);
}
