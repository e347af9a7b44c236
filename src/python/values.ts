import { PythonError, typeError } from "./error.js";
import { PythonFloat } from "./float.js";
import { type Float, floatText, type Int, intText, isInt, toDouble, toIndex } from "./numbers.js";
import { characters, compareTexts, lengthOf, quoted, unitsBefore } from "./text.js";

// Values of Python and what every kind of them can do: https://docs.python.org/3.11/reference/datamodel.html

/** A value inside a template: None is null, a text a string, an int or float as in numbers.ts, all else an object. */
export type Value = null | boolean | string | Int | Float | PythonObject;

export interface Arguments {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

/** Base of lists, dicts, functions and all other objects: what Python's special methods do, as far as it can. */
export abstract class PythonObject {
  abstract readonly typeName: string;

  /** True if the object lacks even the names that every object of Python has, such as `__class__`. */
  get hasOnlyItsOwnNames(): boolean {
    return false;
  }

  /** `repr(self)`. */
  abstract repr(): string;

  /** `str(self)`. */
  text(): string {
    return this.repr();
  }

  isTruthy(): boolean {
    return true;
  }

  /** `self.name`, or undefined where Python raises AttributeError. */
  attribute(_name: string): Value | undefined {
    return undefined;
  }

  /** `self[key]`. @throws TypeError, IndexError or KeyError. */
  item(_key: Value): Value {
    throw typeError(`'${this.typeName}' object is not subscriptable`);
  }

  iterate(): Iterator<Value, unknown> {
    throw typeError(`'${this.typeName}' object is not iterable`);
  }

  length(): number {
    throw typeError(`object of type '${this.typeName}' has no len()`);
  }

  contains(value: Value): boolean {
    for (const item of iterableOf(this)) if (isSame(item, value) || equals(item, value)) return true;
    return false;
  }

  /** True if `call` does something. */
  get isCallable(): boolean {
    return false;
  }

  call(_given: Arguments): Value {
    throw typeError(`'${this.typeName}' object is not callable`);
  }

  equals(other: PythonObject): boolean {
    return this === other;
  }

  /** Negative, zero or positive; undefined if the two have no order. */
  compare(_other: PythonObject): number | undefined {
    return undefined;
  }

  /** The same for equal values. @throws TypeError if the object can change. */
  hash(): HashKey {
    return this;
  }
}

/** A key of a JavaScript Map that is the same for values that are equal in Python. */
export type HashKey = null | string | number | bigint | PythonObject;

/** Texts that begin so stand for other values, and those that begin so themselves get one more. */
const HASH_MARK = "\0";

/** `hash(value)`. @throws TypeError for lists and dicts. */
export function hashOf(value: Value): HashKey {
  if (typeof value === "string") return value.startsWith(HASH_MARK) ? HASH_MARK + value : value;
  if (typeof value === "boolean") return value ? 1 : 0;
  if (value instanceof PythonFloat) return Number.isSafeInteger(value.value) ? value.value : BigInt(value.value);
  if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)) return BigInt(value);
  return value instanceof PythonObject ? value.hash() : value;
}

abstract class Sequence extends PythonObject {
  readonly items: readonly Value[];

  constructor(items: readonly Value[]) {
    super();
    this.items = items;
  }

  override isTruthy(): boolean {
    return this.items.length > 0;
  }

  override item(key: Value): Value {
    const index = indexOf(key, this.items.length, this.typeName);
    return this.items[index]!;
  }

  override iterate(): Iterator<Value> {
    return this.items.values();
  }

  override length(): number {
    return this.items.length;
  }

  override equals(other: PythonObject): boolean {
    return (
      this.typeName === other.typeName &&
      other instanceof Sequence &&
      this.items.length === other.items.length &&
      this.items.every((item, index) => isSame(item, other.items[index]!) || equals(item, other.items[index]!))
    );
  }

  override compare(other: PythonObject): number | undefined {
    if (!(other instanceof Sequence) || other.typeName !== this.typeName) return undefined;
    for (const [index, item] of this.items.entries()) {
      const counterpart = other.items[index];
      if (counterpart === undefined) return 1;
      if (!equals(item, counterpart)) return isLess(item, counterpart) ? -1 : 1;
    }
    return this.items.length - other.items.length;
  }
}

/** `list`. Templates cannot change one, since the sandbox forbids it. */
export class List extends Sequence {
  readonly typeName = "list";

  repr(): string {
    return `[${this.items.map(repr).join(", ")}]`;
  }

  override hash(): HashKey {
    throw typeError("unhashable type: 'list'");
  }
}

export class Tuple extends Sequence {
  readonly typeName = "tuple";

  repr(): string {
    return this.items.length === 1 ? `(${repr(this.items[0]!)},)` : `(${this.items.map(repr).join(", ")})`;
  }

  override hash(): HashKey {
    const parts = this.items.map((item) => {
      const key = hashOf(item);
      if (key instanceof PythonObject) throw typeError("objects in tuples cannot be keys here");
      return `${typeof key === "bigint" ? "number" : typeof key}:${JSON.stringify(String(key))}`;
    });
    return `${HASH_MARK}(${parts.join()})`;
  }
}

/** `dict`: keeps the order in which keys were first added. */
export class Dict extends PythonObject {
  readonly typeName = "dict";
  readonly #entries = new Map<HashKey, readonly [Value, Value]>();

  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    super();
    for (const [key, value] of entries) this.set(key, value);
  }

  /** Only while the dict is made. */
  set(key: Value, value: Value): void {
    const hash = hashOf(key);
    this.#entries.set(hash, [this.#entries.get(hash)?.[0] ?? key, value]);
  }

  get(key: Value): Value | undefined {
    return this.#entries.get(hashOf(key))?.[1];
  }

  entries(): Iterable<readonly [Value, Value]> {
    return this.#entries.values();
  }

  *keys(): Generator<Value> {
    for (const [key] of this.entries()) yield key;
  }

  *values(): Generator<Value> {
    for (const [, value] of this.entries()) yield value;
  }

  repr(): string {
    return `{${Array.from(this.entries(), ([key, value]) => `${repr(key)}: ${repr(value)}`).join(", ")}}`;
  }

  override isTruthy(): boolean {
    return this.length() > 0;
  }

  override item(key: Value): Value {
    const value = this.get(key);
    if (value === undefined) throw new PythonError("KeyError", repr(key));
    return value;
  }

  override iterate(): Iterator<Value> {
    return this.keys();
  }

  override length(): number {
    return this.#entries.size;
  }

  override contains(value: Value): boolean {
    return this.#entries.has(hashOf(value));
  }

  override equals(other: PythonObject): boolean {
    if (!(other instanceof Dict) || other.length() !== this.length()) return false;
    for (const [key, value] of this.entries()) {
      const counterpart = other.get(key);
      if (counterpart === undefined) return false;
      if (!isSame(value, counterpart) && !equals(value, counterpart)) return false;
    }
    return true;
  }

  override hash(): HashKey {
    throw typeError("unhashable type: 'dict'");
  }
}

/** A text that is safe in HTML: `|safe`, `|escape`. https://markupsafe.palletsprojects.com/en/stable/escaping/ */
export class Markup extends PythonObject {
  readonly typeName = "Markup";
  readonly value: string;

  constructor(value: string) {
    super();
    this.value = value;
  }

  repr(): string {
    return `Markup(${quoted(this.value)})`;
  }

  override text(): string {
    return this.value;
  }

  override isTruthy(): boolean {
    return this.value !== "";
  }

  override item(key: Value): Value {
    return new Markup(itemOf(this.value, key) as string);
  }

  override iterate(): Iterator<Value> {
    return characters(this.value).values();
  }

  override length(): number {
    return lengthOf(this.value);
  }

  override contains(value: Value): boolean {
    return contains(this.value, value);
  }

  override hash(): HashKey {
    return hashOf(this.value);
  }
}

/**
 * A name, attribute or item that does not exist. It prints nothing and is false and empty; most else that is done with
 * it fails. https://jinja.palletsprojects.com/en/stable/api/#undefined-types
 */
export class Undefined extends PythonObject {
  readonly typeName = "Undefined";
  readonly #fault: PythonError;

  constructor(message: string, kind: "UndefinedError" | "SecurityError" = "UndefinedError") {
    super();
    this.#fault = new PythonError(kind, message);
  }

  fail(): never {
    throw new PythonError(this.#fault.kind, this.#fault.message);
  }

  repr(): string {
    return "Undefined";
  }

  override text(): string {
    return "";
  }

  override isTruthy(): boolean {
    return false;
  }

  override attribute(name: string): Value | undefined {
    return name.startsWith("__") && name.endsWith("__") ? undefined : this.fail();
  }

  override item(): Value {
    return this.fail();
  }

  override *iterate(): Iterator<Value> {}

  override length(): number {
    return 0;
  }

  override get isCallable(): boolean {
    return true;
  }

  override call(): Value {
    return this.fail();
  }

  override equals(other: PythonObject): boolean {
    return other instanceof Undefined;
  }

  override compare(): number {
    return this.fail();
  }

  override hash(): HashKey {
    return `${HASH_MARK}undefined`;
  }
}

export function isText(value: Value): value is string | Markup {
  return typeof value === "string" || value instanceof Markup;
}

/** The characters of a text, whether it is safe in HTML or not. */
export function charactersOf(value: string | Markup): string {
  return typeof value === "string" ? value : value.value;
}

/** `type(value).__name__`. */
export function typeName(value: Value): string {
  if (value === null) return "NoneType";
  if (typeof value === "string") return "str";
  if (typeof value === "boolean") return "bool";
  if (value instanceof PythonObject) return value.typeName;
  return isInt(value) ? "int" : "float";
}

/** `bool(value)`. */
export function isTruthy(value: Value): boolean {
  if (value instanceof PythonObject) return value.isTruthy();
  return value instanceof PythonFloat ? value.value !== 0 : Number.isNaN(value) || Boolean(value);
}

/** `str(value)`, which is also how a value is printed. */
export function str(value: Value): string {
  if (typeof value === "string") return value;
  return value instanceof PythonObject ? value.text() : repr(value);
}

/** `repr(value)`, which is how a value is printed within a list or dict. */
export function repr(value: Value): string {
  if (typeof value === "string") return quoted(value);
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (value instanceof PythonObject) return value.repr();
  return isInt(value) ? intText(value) : floatText(value);
}

/** A number, with True as 1 and False as 0; undefined for all else. */
export function numeric(value: Value): Int | Float | undefined {
  if (typeof value === "number" || typeof value === "bigint" || value instanceof PythonFloat) return value;
  return typeof value === "boolean" ? Number(value) : undefined;
}

/** `left is right`. NaN, which equals nothing, is itself; for numbers and texts, Python does not promise it. */
export function isSame(left: Value, right: Value): boolean {
  return left === right || (Number.isNaN(left) && Number.isNaN(right));
}

/** `left == right`. */
export function equals(left: Value, right: Value): boolean {
  if (typeof left === "string" && typeof right === "string") return left === right;
  if (left instanceof Markup || right instanceof Markup) {
    return isText(left) && isText(right) && charactersOf(left) === charactersOf(right);
  }
  if (left instanceof PythonObject) return right instanceof PythonObject && left.equals(right);
  const [a, b] = [numeric(left), numeric(right)];
  if (a === undefined || b === undefined) return left === right;
  return compareNumbers(a, b) === 0;
}

/** Undefined if one is not a number. Ints and floats compare exactly, however large. */
function compareNumbers(left: Int | Float, right: Int | Float): number | undefined {
  const [a, b] = [comparable(left), comparable(right)];
  return a < b ? -1 : a > b ? 1 : Number.isNaN(a) || Number.isNaN(b) ? undefined : 0;
}

function comparable(value: Int | Float): number | bigint {
  return typeof value === "bigint" ? value : toDouble(value);
}

/** `left < right`. @throws TypeError if they have no order. */
export function isLess(left: Value, right: Value): boolean {
  return ordered(left, right, "<", (order) => order < 0);
}

/** True if the order of two values holds. @throws TypeError if they have none. */
export function ordered(left: Value, right: Value, operator: string, holds: (order: number) => boolean): boolean {
  const [a, b] = [numeric(left), numeric(right)];
  if (a !== undefined && b !== undefined) {
    const order = compareNumbers(a, b);
    return order !== undefined && holds(order);
  }
  if (isText(left) && isText(right)) return holds(compareTexts(charactersOf(left), charactersOf(right)));
  if (right instanceof Undefined) right.fail();
  const order = left instanceof PythonObject && right instanceof PythonObject ? left.compare(right) : undefined;
  if (left instanceof Undefined) left.fail();
  if (order !== undefined) return holds(order);
  const types = `instances of '${typeName(left)}' and '${typeName(right)}'`;
  throw typeError(`'${operator}' not supported between ${types}`);
}

/** The items of a value. @throws TypeError if it has none. */
export function iterate(value: Value): Iterator<Value, unknown> {
  if (typeof value === "string") return characters(value).values();
  if (value instanceof PythonObject) return value.iterate();
  throw typeError(`'${typeName(value)}' object is not iterable`);
}

/** The items of a value, for `for` loops. */
export function iterableOf(value: Value): Iterable<Value> {
  return { [Symbol.iterator]: () => iterate(value) as Iterator<Value> };
}

/** `list(value)`. */
export function itemsOf(value: Value): readonly Value[] {
  return value instanceof List || value instanceof Tuple ? value.items : [...iterableOf(value)];
}

/** `len(value)`. */
export function length(value: Value): number {
  if (typeof value === "string") return lengthOf(value);
  if (value instanceof PythonObject) return value.length();
  throw typeError(`object of type '${typeName(value)}' has no len()`);
}

/** `item in container`. */
export function contains(container: Value, item: Value): boolean {
  if (typeof container === "string") {
    if (isText(item)) return container.includes(charactersOf(item));
    throw typeError(`'in <string>' requires string as left operand, not ${typeName(item)}`);
  }
  if (container instanceof PythonObject) return container.contains(item);
  throw typeError(`argument of type '${typeName(container)}' is not iterable`);
}

/** `value[key]`. @throws TypeError, IndexError or KeyError. */
export function itemOf(value: Value, key: Value): Value {
  if (typeof value === "string") {
    const start = unitsBefore(value, indexOf(key, lengthOf(value), "string"));
    return String.fromCodePoint(value.codePointAt(start)!);
  }
  if (value instanceof PythonObject) return value.item(key);
  throw typeError(`'${typeName(value)}' object is not subscriptable`);
}

/** A valid index from a key. @throws TypeError or IndexError. */
export function indexOf(key: Value, count: number, what: string): number {
  if (typeof key !== "boolean" && !isInt(key)) throw typeError(`${what} indices must be integers`);
  const index = toIndex(key, typeName(key));
  const fromStart = index < 0 ? index + count : index;
  if (fromStart >= 0 && fromStart < count) return fromStart;
  throw new PythonError("IndexError", `${what} index out of range`);
}

/** True for floats as well as ints and booleans: `numbers.Number`. */
export function isNumber(value: Value): boolean {
  return numeric(value) !== undefined;
}
