import { PythonError, typeError, valueError } from "./error.js";
import { escapeValue } from "./html.js";
import {
  add,
  divide,
  floorDivide,
  type Int,
  isInt,
  modulo,
  multiply,
  negate,
  power,
  subtract,
  toIndex,
} from "./numbers.js";
import { Range } from "./objects.js";
import { percentFormat } from "./percent-format.js";
import { characters } from "./text.js";
import {
  charactersOf,
  contains,
  equals,
  isText,
  List,
  Markup,
  numeric,
  ordered,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.js";

// Operators of expressions: https://jinja.palletsprojects.com/en/stable/templates/#expressions

/** Items of the longest list that `*` makes; a template that needs more is broken. */
const MAX_REPEATED_ITEMS = 10_000_000;

export type BinaryOperator = "+" | "-" | "*" | "/" | "//" | "%" | "**";
export type ComparisonOperator = "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in";

const NUMERIC = {
  "+": add,
  "-": subtract,
  "*": multiply,
  "/": divide,
  "//": floorDivide,
  "%": modulo,
  "**": power,
} as const;

/** The operator on values of any kind. @throws TypeError if they do not go together. */
export function binary(operator: BinaryOperator, left: Value, right: Value): Value {
  const [a, b] = [numeric(left), numeric(right)];
  if (a !== undefined && b !== undefined) return NUMERIC[operator](a, b);
  if (operator === "%" && isText(left)) return percentFormat(left, right);
  if (left instanceof Undefined) left.fail();
  if (right instanceof Undefined) right.fail();
  if (operator === "+") {
    if (typeof left === "string" && typeof right === "string") return left + right;
    if (isText(left) && isText(right)) return new Markup(escapeValue(left).value + escapeValue(right).value);
    if (left instanceof List && right instanceof List) return new List([...left.items, ...right.items]);
    if (left instanceof Tuple && right instanceof Tuple) return new Tuple([...left.items, ...right.items]);
  }
  if (operator === "*") {
    const repeated = repeat(left, right) ?? repeat(right, left);
    if (repeated !== undefined) return repeated;
  }
  const name = operator === "**" ? "** or pow()" : operator;
  throw typeError(`unsupported operand type(s) for ${name}: '${typeName(left)}' and '${typeName(right)}'`);
}

/** A text or list several times over; undefined if the two are something else. */
function repeat(value: Value, count: Value): Value | undefined {
  if (!isInt(count) && typeof count !== "boolean") return undefined;
  const times = Math.max(0, toIndex(count, "int"));
  if (isText(value)) {
    const text = charactersOf(value);
    const repeated = text === "" ? "" : text.repeat(times);
    return typeof value === "string" ? repeated : new Markup(repeated);
  }
  if (!(value instanceof List) && !(value instanceof Tuple)) return undefined;
  if (value.items.length === 0) return value;
  if (value.items.length * times > MAX_REPEATED_ITEMS) {
    throw new PythonError("MemoryError", `a list of more than ${MAX_REPEATED_ITEMS} items`);
  }
  const items = Array.from({ length: times }, () => value.items).flat();
  return value instanceof List ? new List(items) : new Tuple(items);
}

/** `-value` and `+value`. */
export function unary(operator: "+" | "-", value: Value): Value {
  const number = numeric(value);
  if (number !== undefined) return operator === "-" ? negate(number) : number;
  if (value instanceof Undefined) value.fail();
  throw typeError(`bad operand type for unary ${operator}: '${typeName(value)}'`);
}

export function compare(operator: ComparisonOperator, left: Value, right: Value): boolean {
  switch (operator) {
    case "==":
      return equals(left, right);
    case "!=":
      return !equals(left, right);
    case "in":
      return contains(right, left);
    case "not in":
      return !contains(right, left);
    case "<":
      return ordered(left, right, operator, (order) => order < 0);
    case "<=":
      return ordered(left, right, operator, (order) => order <= 0);
    case ">":
      return ordered(left, right, operator, (order) => order > 0);
    case ">=":
      return ordered(left, right, operator, (order) => order >= 0);
  }
}

/** `value[start:stop:step]`; null stands for a bound that is left out. */
export function slice(value: Value, start: Value, stop: Value, step: Value): Value {
  if (value instanceof Undefined) value.fail();
  const bounds = [start, stop, step].map(sliceIndex);
  if (isText(value)) {
    const sliced = sliceOf(characters(charactersOf(value)), bounds).join("");
    return typeof value === "string" ? sliced : new Markup(sliced);
  }
  if (value instanceof List) return new List(sliceOf(value.items, bounds));
  if (value instanceof Tuple) return new Tuple(sliceOf(value.items, bounds));
  if (value instanceof Range) {
    const [from, to, by] = sliceBounds(value.length(), bounds);
    const at = (index: number): number => value.start + index * value.step;
    return new Range(at(from), at(to), value.step * by);
  }
  throw typeError(`'${typeName(value)}' object cannot be sliced`);
}

function sliceIndex(value: Value): number | null {
  if (value === null) return null;
  if (typeof value !== "boolean" && !isInt(value)) throw typeError("slice indices must be integers or None");
  return toIndex(value as Int | boolean, typeName(value));
}

function sliceOf<T>(items: readonly T[], bounds: readonly (number | null)[]): T[] {
  const [start, stop, step] = sliceBounds(items.length, bounds);
  if (step === 1) return items.slice(start, Math.max(start, stop));
  const taken: T[] = [];
  for (let i = start; step > 0 ? i < stop : i > stop; i += step) taken.push(items[i]!);
  return taken;
}

/** `slice.indices(count)`: the bounds, moved into the sequence. */
export function sliceBounds(
  count: number,
  [start, stop, step]: readonly (number | null | undefined)[],
): [number, number, number] {
  const by = step ?? 1;
  if (by === 0) throw valueError("slice step cannot be zero");
  const [lowest, highest] = by > 0 ? [0, count] : [-1, count - 1];
  const clamp = (index: number): number => Math.max(lowest, Math.min(highest, index < 0 ? index + count : index));
  return [
    start == null ? (by > 0 ? lowest : highest) : clamp(start),
    stop == null ? (by > 0 ? highest : lowest) : clamp(stop),
    by,
  ];
}
