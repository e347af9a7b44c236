import { intArgument } from "../python/arguments.js";
import { except, typeError, valueError } from "../python/error.js";
import { escapeValue } from "../python/html.js";
import { float, type Int, isInt, parseFloatText, parseInteger, round, toDouble, truncate } from "../python/numbers.js";
import { binary } from "../python/operators.js";
import {
  charactersOf,
  Dict,
  equals,
  isLess,
  isText,
  isTruthy,
  itemsOf,
  List,
  numeric,
  repr,
  str,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "../python/values.js";
import { urlQuoted } from "./text-filters.js";

// What filters make of a single value.

/** `float(value)`. */
export function toFloat(value: Value): number {
  if (isText(value)) return toDouble(parseFloatText(charactersOf(value)));
  const number = numeric(value);
  if (number !== undefined) return toDouble(number);
  if (value instanceof Undefined) value.fail();
  throw typeError(`float() argument must be a string or a real number, not '${typeName(value)}'`);
}

export function toInt(value: Value, base: Value): Value {
  if (isText(value)) return parseInteger(charactersOf(value), intArgument(base));
  const number = numeric(value);
  if (number !== undefined) return isInt(number) ? number : truncate(number);
  if (value instanceof Undefined) value.fail();
  throw typeError(`int() argument must be a string or a real number, not '${typeName(value)}'`);
}

export function rounded(value: Value, precision: Value, method: Value): Value {
  if (!["common", "ceil", "floor"].some((known) => equals(method, known))) {
    throw typeError("method must be common, ceil or floor");
  }
  const number = numeric(value);
  if (equals(method, "common")) {
    if (number === undefined) throw typeError(`type ${typeName(value)} doesn't define __round__ method`);
    return precision === null ? toInt(round(number, 0), 10) : round(number, intArgument(precision));
  }
  const scale = binary("**", 10, precision);
  const scaled = numeric(binary("*", value, scale));
  if (scaled === undefined) throw typeError(`must be real number, not ${typeName(value)}`);
  const whole = isInt(scaled) ? scaled : equals(method, "ceil") ? ceil(toDouble(scaled)) : floor(toDouble(scaled));
  return binary("/", whole, scale);
}

function floor(value: number): Int {
  return truncate(float(Math.floor(value)));
}

function ceil(value: number): Int {
  return truncate(float(Math.ceil(value)));
}

export function pairsForUrl(value: Value): string {
  const pairs = value instanceof Dict ? [...value.entries()] : itemsOf(value).map((pair) => itemsOf(pair));
  return pairs
    .map((pair) => {
      if (pair.length !== 2) throw valueError("urlencode takes pairs of key and value");
      return pair.map((part) => urlQuoted(str(part), true)).join("=");
    })
    .join("&");
}

export function attributesForXml(value: Value, autospace: Value): Value {
  if (!(value instanceof Dict)) throw typeError(`'${typeName(value)}' object has no attribute 'items'`);
  const parts: string[] = [];
  for (const [key, one] of value.entries()) {
    if (one === null || one instanceof Undefined) continue;
    if (!isText(key)) throw typeError("expected string or bytes-like object");
    if (/[ \t-\r/>=]/.test(charactersOf(key))) throw valueError(`Invalid character in attribute name: ${repr(key)}`);
    parts.push(`${escapeValue(key).value}="${escapeValue(one).value}"`);
  }
  const text = parts.join(" ");
  return isTruthy(autospace) && text !== "" ? ` ${text}` : text;
}

/** Columns that Python's `pprint` fills before it breaks a line. */
const PRETTY_WIDTH = 80;

/** `pprint.pformat` of what fits a line: dicts are sorted. */
export function prettyText(value: Value): string {
  const text = prettyRepr(value);
  if (text.length <= PRETTY_WIDTH) return text;
  throw typeError(`pprint takes values of up to ${PRETTY_WIDTH} characters here; use tojson(indent=2)`);
}

function prettyRepr(value: Value): string {
  if (value instanceof List) return `[${value.items.map(prettyRepr).join(", ")}]`;
  if (value instanceof Tuple) {
    return value.items.length === 1
      ? `(${prettyRepr(value.items[0]!)},)`
      : `(${value.items.map(prettyRepr).join(", ")})`;
  }
  if (!(value instanceof Dict)) return repr(value);
  // Keys that have no order go by the names of their types.
  const isBefore = (a: Value, b: Value): boolean =>
    except(
      ["TypeError"],
      () => isLess(a, b),
      () => typeName(a) < typeName(b),
    );
  const keys = [...value.keys()].sort((a, b) => (isBefore(a, b) ? -1 : isBefore(b, a) ? 1 : 0));
  return `{${keys.map((key) => `${prettyRepr(key)}: ${prettyRepr(value.item(key))}`).join(", ")}}`;
}
