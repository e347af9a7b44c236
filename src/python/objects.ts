import { type PythonError, typeError } from "./error.js";
import {
  type Arguments,
  type Dict,
  type HashKey,
  indexOf,
  iterableOf,
  List,
  PythonObject,
  Tuple,
  type Value,
} from "./values.js";

// Objects that templates get from others: views of dicts, ranges, generators and functions.

/** `dict.keys()`, `dict.values()` and `dict.items()`. */
export class DictView extends PythonObject {
  readonly typeName: "dict_keys" | "dict_values" | "dict_items";
  readonly #dict: Dict;

  constructor(typeName: DictView["typeName"], dict: Dict) {
    super();
    this.typeName = typeName;
    this.#dict = dict;
  }

  repr(): string {
    return `${this.typeName}(${new List([...iterableOf(this)]).repr()})`;
  }

  override isTruthy(): boolean {
    return this.length() > 0;
  }

  override *iterate(): Iterator<Value> {
    if (this.typeName === "dict_keys") yield* this.#dict.keys();
    else if (this.typeName === "dict_values") yield* this.#dict.values();
    else for (const [key, value] of this.#dict.entries()) yield new Tuple([key, value]);
  }

  override length(): number {
    return this.#dict.length();
  }

  override contains(value: Value): boolean {
    return this.typeName === "dict_keys" ? this.#dict.contains(value) : super.contains(value);
  }

  override equals(other: PythonObject): boolean {
    if (this === other) return true;
    if (!(other instanceof DictView) || this.typeName === "dict_values" || other.typeName === "dict_values")
      return false;
    const others = [...iterableOf(other)];
    return this.length() === others.length && others.every((item) => this.contains(item));
  }

  override hash(): HashKey {
    if (this.typeName === "dict_values") return this;
    throw typeError(`unhashable type: '${this.typeName}'`);
  }
}

export class Range extends PythonObject {
  readonly typeName = "range";
  readonly start: number;
  readonly stop: number;
  readonly step: number;

  constructor(start: number, stop: number, step: number) {
    super();
    this.start = start;
    this.stop = stop;
    this.step = step;
  }

  repr(): string {
    return `range(${this.start}, ${this.stop}${this.step === 1 ? "" : `, ${this.step}`})`;
  }

  override isTruthy(): boolean {
    return this.length() > 0;
  }

  override attribute(name: string): Value | undefined {
    return name === "start" || name === "stop" || name === "step" ? this[name] : undefined;
  }

  override item(key: Value): Value {
    return this.start + this.step * indexOf(key, this.length(), "range object");
  }

  override *iterate(): Iterator<Value> {
    for (let index = 0; index < this.length(); index++) yield this.start + this.step * index;
  }

  override length(): number {
    return Math.max(0, Math.ceil((this.stop - this.start) / this.step));
  }

  override equals(other: PythonObject): boolean {
    if (!(other instanceof Range) || other.length() !== this.length()) return false;
    if (this.length() === 0) return true;
    return this.start === other.start && (this.length() === 1 || this.step === other.step);
  }

  override hash(): HashKey {
    return new Tuple([this.length(), ...(this.length() === 0 ? [] : [this.start, this.step])]).hash();
  }
}

/** A generator, such as `map` gives: it can be read once. */
export class LazyItems extends PythonObject {
  readonly typeName: string;
  readonly #iterator: Iterator<Value, unknown>;

  constructor(iterator: Iterator<Value, unknown>, typeName = "generator") {
    super();
    this.typeName = typeName;
    this.#iterator = iterator;
  }

  repr(): string {
    throw withoutText(`a ${this.typeName}`, "put |list behind it");
  }

  override iterate(): Iterator<Value, unknown> {
    // Left early, as by `first`, it goes on where it stopped.
    return { next: () => this.#iterator.next() };
  }
}

/** A function or method that templates can call. */
export class Builtin extends PythonObject {
  readonly typeName = "builtin_function_or_method";
  readonly name: string;
  readonly #run: (given: Arguments) => Value;

  constructor(name: string, run: (given: Arguments) => Value) {
    super();
    this.name = name;
    this.#run = run;
  }

  repr(): string {
    throw withoutText(`the function ${this.name}`, "call it");
  }

  override get isCallable(): boolean {
    return true;
  }

  override call(given: Arguments): Value {
    return this.#run(given);
  }
}

/** Python prints the object with its address in memory, which is another in every run. */
export function withoutText(what: string, wayOut: string): PythonError {
  return typeError(`${what} has no text that is the same in every run; ${wayOut}`);
}
