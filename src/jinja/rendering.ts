import { bind } from "../python/arguments.js";
import { PythonError, typeError } from "../python/error.js";
import { Builtin, DictView, Range } from "../python/objects.js";
import {
  type Arguments,
  Dict,
  equals,
  isText,
  iterate,
  List,
  length,
  PythonObject,
  Tuple,
  Undefined,
  type Value,
} from "../python/values.js";

// What exists while a template renders.

/** Half-open ranges of UTF-16 units. */
export type Span = readonly [start: number, end: number];

/** One rendering: its variables, the line that runs, and what `{% generation %}` marked. */
export class Rendering {
  readonly variables: ReadonlyMap<string, Value>;
  /** Names that the template itself assigned at its top, which blocks see. */
  readonly assigned = new Map<string, Value>();
  readonly output = new Output();
  readonly generations: { readonly start: number; readonly text: string }[] = [];
  line = 1;

  constructor(variables: ReadonlyMap<string, Value>) {
    this.variables = variables;
  }
}

/** Text that grows. */
export class Output {
  text = "";

  write(text: string): void {
    this.text += text;
  }
}

/** Variables that a function of the template looks up by name. */
export type LookUp = (name: string) => Value | undefined;

/** Slots of one call of a function of the template; those of the functions around it stand further out. */
export class Scope {
  readonly rendering: Rendering;
  readonly lookUp: LookUp;
  readonly outer: Scope | undefined;
  readonly slots: (Value | undefined)[] = [];

  constructor(rendering: Rendering, lookUp: LookUp, outer?: Scope) {
    this.rendering = rendering;
    this.lookUp = lookUp;
    this.outer = outer;
  }
}

/** `loop` in a `for` loop: https://jinja.palletsprojects.com/en/stable/templates/#for */
export class Loop extends PythonObject {
  readonly typeName = "jinja2.runtime.LoopContext";
  readonly #iterable: Value;
  #iterator: Iterator<Value, unknown>;
  readonly #recurse: ((items: Value, depth: number) => Value) | undefined;
  readonly #depth: number;
  #index = -1;
  #length: number | undefined;
  #before: Value | undefined;
  #current: Value | undefined;
  #after: Value | undefined;
  #lastChanged: Value | undefined;

  constructor(iterable: Value, depth: number, recurse?: (items: Value, depth: number) => Value) {
    super();
    this.#iterable = iterable;
    this.#iterator = iterate(iterable);
    this.#depth = depth;
    this.#recurse = recurse;
  }

  /** The next item; undefined at the end. */
  next(): Value | undefined {
    const item = this.#peek();
    if (item === undefined) return undefined;
    this.#after = undefined;
    this.#index++;
    this.#before = this.#current;
    this.#current = item;
    return item;
  }

  repr(): string {
    return `<LoopContext ${this.#index + 1}/${this.length()}>`;
  }

  override length(): number {
    if (this.#length !== undefined) return this.#length;
    if (isSized(this.#iterable)) this.#length = length(this.#iterable);
    else {
      const rest: Value[] = [];
      for (let next = this.#iterator.next(); next.done !== true; next = this.#iterator.next()) rest.push(next.value);
      this.#iterator = rest.values();
      this.#length = rest.length + this.#index + 1 + (this.#after === undefined ? 0 : 1);
    }
    return this.#length;
  }

  override isTruthy(): boolean {
    return this.length() > 0;
  }

  override get isCallable(): boolean {
    return true;
  }

  override call(given: Arguments): Value {
    const [items] = bind("loop", ["iterable"], given);
    if (this.#recurse !== undefined) return this.#recurse(items!, this.#depth + 1);
    throw typeError("The loop must have the 'recursive' marker to be called recursively.");
  }

  override attribute(name: string): Value | undefined {
    switch (name) {
      case "index":
        return this.#index + 1;
      case "index0":
        return this.#index;
      case "revindex":
        return this.length() - this.#index;
      case "revindex0":
        return this.length() - this.#index - 1;
      case "first":
        return this.#index === 0;
      case "last":
        return this.#peek() === undefined;
      case "length":
        return this.length();
      case "depth":
        return this.#depth + 1;
      case "depth0":
        return this.#depth;
      case "previtem":
        return this.#index === 0 ? new Undefined("there is no previous item") : this.#before;
      case "nextitem":
        return this.#peek() === undefined ? new Undefined("there is no next item") : this.#after;
      case "cycle":
        return new Builtin(name, ({ positional: values }) => {
          if (values.length === 0) throw typeError("no items for cycling given");
          return values[this.#index % values.length]!;
        });
      case "changed":
        return new Builtin(name, ({ positional: values }) => {
          const value = new Tuple(values);
          if (this.#lastChanged !== undefined && equals(this.#lastChanged, value)) return false;
          this.#lastChanged = value;
          return true;
        });
      default:
        return undefined;
    }
  }

  #peek(): Value | undefined {
    if (this.#after !== undefined) return this.#after;
    const next = this.#iterator.next();
    this.#after = next.done === true ? undefined : next.value;
    return this.#after;
  }
}

function isSized(value: Value): boolean {
  return isText(value) || [List, Tuple, Dict, DictView, Range, Undefined].some((type) => value instanceof type);
}

interface MacroOptions {
  /** Undefined for the body of a call block. */
  readonly name: string | undefined;
  readonly parameters: readonly string[];
  readonly usesCaller: boolean;
  readonly usesNamed: boolean;
  readonly usesMore: boolean;
  /** Values in order: parameters, then caller, the rest by name and the rest by position, where they are used. */
  readonly run: (values: readonly (Value | undefined)[]) => string;
}

/** A macro: https://jinja.palletsprojects.com/en/stable/templates/#macros */
export class Macro extends PythonObject {
  readonly typeName = "jinja2.runtime.Macro";
  readonly #options: MacroOptions;

  constructor(options: MacroOptions) {
    super();
    this.#options = options;
  }

  repr(): string {
    const { name } = this.#options;
    return `<Macro ${name === undefined ? "anonymous" : `'${name}'`}>`;
  }

  override get isCallable(): boolean {
    return true;
  }

  override attribute(name: string): Value | undefined {
    const { parameters, usesCaller, usesNamed, usesMore } = this.#options;
    switch (name) {
      case "name":
        return this.#options.name ?? null;
      case "arguments":
        return new Tuple(parameters);
      case "catch_kwargs":
        return usesNamed;
      case "catch_varargs":
        return usesMore;
      case "caller":
        return usesCaller;
      case "explicit_caller":
        return parameters.includes("caller");
      default:
        return undefined;
    }
  }

  override call({ positional, named }: Arguments): Value {
    const { name, parameters, usesCaller, usesNamed, usesMore, run } = this.#options;
    const rest = new Map(named);
    const values: (Value | undefined)[] = positional.slice(0, parameters.length);
    let isCallerGiven = values.length === parameters.length && parameters.includes("caller");
    for (const parameter of parameters.slice(values.length)) {
      if (parameter === "caller") isCallerGiven = true;
      values.push(rest.get(parameter));
      rest.delete(parameter);
    }
    if (usesCaller && !isCallerGiven) {
      values.push(rest.get("caller") ?? new Undefined("No caller defined"));
      rest.delete("caller");
    }
    if (usesNamed) values.push(new Dict(rest));
    else if (rest.size > 0) throw typeError(`macro '${name}' takes no keyword argument '${[...rest.keys()][0]}'`);
    if (usesMore) values.push(new Tuple(positional.slice(parameters.length)));
    else if (positional.length > parameters.length) {
      throw typeError(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
    }
    return run(values);
  }
}

/** `self`, whose items are the blocks of the template. */
export class BlockTable extends PythonObject {
  readonly typeName = "jinja2.runtime.TemplateReference";
  readonly #blocks: ReadonlyMap<string, () => string>;

  constructor(blocks: ReadonlyMap<string, () => string>) {
    super();
    this.#blocks = blocks;
  }

  repr(): string {
    return "<TemplateReference None>";
  }

  override item(key: Value): Value {
    const block = typeof key === "string" ? this.#blocks.get(key) : undefined;
    if (block === undefined) throw new PythonError("KeyError", `no block ${String(key)}`);
    return new Builtin(String(key), block);
  }
}
