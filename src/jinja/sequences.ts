import { intArgument } from "../python/arguments.js";
import { item } from "../python/attributes.js";
import { PythonError, typeError } from "../python/error.js";
import { parseInteger } from "../python/numbers.js";
import { DictView, Range } from "../python/objects.js";
import { callStringMethod } from "../python/string-methods.js";
import { isOfClass } from "../python/text.js";
import {
  charactersOf,
  Dict,
  equals,
  hashOf,
  isLess,
  isText,
  isTruthy,
  itemsOf,
  iterableOf,
  List,
  Tuple,
  Undefined,
  type Value,
} from "../python/values.js";

// What filters do with lists and other sequences: look up, sort, group, cut.

/** Looks up `a.b.0` of a value; null is the value itself. */
export function getter(
  path: Value,
  { fallback = null, ignoresCase = false }: GetterOptions = {},
): (value: Value) => Value {
  const parts = path === null ? [] : isText(path) ? charactersOf(path).split(".").map(part) : [path];
  return (value) => {
    let found = value;
    for (const key of parts) {
      found = item(found, key);
      if (fallback !== null && found instanceof Undefined) found = fallback;
    }
    return ignoresCase && isText(found) ? callStringMethod(found, "lower") : found;
  };

  function part(text: string): Value {
    return isOfClass("isdigit", text) ? parseInteger(text, 10) : text;
  }
}

interface GetterOptions {
  readonly fallback?: Value;
  readonly ignoresCase?: boolean;
}

export function keyOf(isCaseSensitive: Value, path: Value): (value: Value) => Value {
  return getter(path, { ignoresCase: !isTruthy(isCaseSensitive) });
}

export function sortedBy(items: readonly Value[], key: (item: Value) => Value, isReversed: boolean): Value[] {
  const keyed = items.map((value) => [key(value), value] as const);
  const order = (a: Value, b: Value): number => (isLess(a, b) ? -1 : isLess(b, a) ? 1 : 0);
  return keyed.sort(([a], [b]) => (isReversed ? order(b, a) : order(a, b))).map(([, value]) => value);
}

/** `reversed(value)`; undefined if it has no order. */
export function reversed(value: Value): readonly Value[] | undefined {
  const isReversible = [List, Tuple, Dict, DictView, Range, Undefined].some((type) => value instanceof type);
  return isReversible || isText(value) ? itemsOf(value).toReversed() : undefined;
}

/** One group: a tuple whose parts have names. */
class Group extends Tuple {
  override attribute(name: string): Value | undefined {
    return name === "grouper" ? this.items[0] : name === "list" ? this.items[1] : undefined;
  }
}

export function grouped(value: Value, path: Value, fallback: Value, isCaseSensitive: Value): Value {
  const key = getter(path, { fallback, ignoresCase: !isTruthy(isCaseSensitive) });
  const groups: { readonly key: Value; readonly items: Value[] }[] = [];
  for (const one of sortedBy(itemsOf(value), key, false)) {
    const own = key(one);
    const last = groups.at(-1);
    if (last !== undefined && equals(last.key, own)) last.items.push(one);
    else groups.push({ key: own, items: [one] });
  }
  const shown = getter(path, { fallback });
  return new List(groups.map(({ items }) => new Group([shown(items[0]!), new List(items)])));
}

export function* unique(value: Value, isCaseSensitive: Value, path: Value): Generator<Value> {
  const key = keyOf(isCaseSensitive, path);
  const seen = new Set();
  for (const one of iterableOf(value)) {
    const hash = hashOf(key(one));
    if (seen.has(hash)) continue;
    seen.add(hash);
    yield one;
  }
}

export function* batches(value: Value, size: Value, fill: Value): Generator<Value> {
  let batch: Value[] = [];
  for (const one of iterableOf(value)) {
    if (equals(batch.length, size)) {
      yield new List(batch);
      batch = [];
    }
    batch.push(one);
  }
  if (batch.length === 0) return;
  if (fill !== null) for (let missing = intArgument(size) - batch.length; missing > 0; missing--) batch.push(fill);
  yield new List(batch);
}

export function* slices(value: Value, given: Value, fill: Value): Generator<Value> {
  const items = itemsOf(value);
  const count = intArgument(given);
  if (count === 0) throw new PythonError("ZeroDivisionError", "integer division or modulo by zero");
  const size = Math.floor(items.length / count);
  const longer = items.length - size * count;
  let start = 0;
  for (let number = 0; number < count; number++) {
    const end = start + size + (number < longer ? 1 : 0);
    yield new List([...items.slice(start, end), ...(fill !== null && number >= longer ? [fill] : [])]);
    start = end;
  }
}

export function* pairs(value: Value): Generator<Value> {
  if (value instanceof Undefined) return;
  if (!(value instanceof Dict)) throw typeError("Can only get item pairs from a mapping.");
  yield* iterableOf(new DictView("dict_items", value));
}
