import type { Rng } from "../../src/tensor/random.js";
import { mutateBytes } from "./byte-mutations.js";
import { chance, pick, weighted } from "./choice.js";
import { hostileNumber, hostileString, hostileValue } from "./hostile-values.js";
import { copyOf, JsonObject, RawJson, toMutable, toText } from "./json-text.js";

/** How often a repeated part is written: quadratic time is noticed, or a call that takes each as an argument. */
const MANY = [30_000, 150_000] as const;

/** How often a part is put beside itself: enough for one that doubles a text. */
const SOME = 40;

/** A place in a JSON document that can be set or removed. */
interface Place {
  readonly key: string | undefined;
  readonly value: unknown;
  set(value: unknown): void;
  remove(): void;
  /** Puts more beside it: in an object under `key`. */
  addBeside(value: unknown, key: string): void;
}

/** The text of a JSON document with one to three changes to its values, its keys or its text. */
export function mutateJson(rng: Rng, text: string): Uint8Array {
  let changed: string;
  try {
    let document = toMutable(JSON.parse(text));
    for (let changes = pick(rng, [1, 1, 1, 2, 3]); changes > 0; changes--) document = mutateValue(rng, document);
    changed = toText(document);
  } catch {
    // Not JSON, or, after an earlier change, nested too deep.
    return mutateBytes(rng, encode(text));
  }
  if (chance(rng, 0.06)) return mutateBytes(rng, encode(changed));
  if (chance(rng, 0.03))
    return encode(
      pick(rng, [`\ufeff${changed}`, `${changed}x`, `${changed}${changed}`, `//\n${changed}`, `${changed}\0`]),
    );
  return encode(changed);
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

function mutateValue(rng: Rng, document: unknown): unknown {
  const places = placesIn(document);
  if (places.length === 0 || chance(rng, 0.02)) return hostileValue(rng);
  // Deep places outnumber shallow ones, which matter more.
  const place = chance(rng, 0.5) ? pick(rng, places.slice(0, 30)) : pick(rng, places);
  weighted<void>(rng, [
    [5, () => place.set(hostileValue(rng))],
    [4, () => place.set(nearby(rng, place.value))],
    [2, () => place.remove()],
    // A copy: what holds the place would otherwise hold itself.
    [2, () => place.set(copyOf(pick(rng, places).value))],
    [1, () => place.addBeside(hostileValue(rng), place.key ?? "")],
    [1, () => place.addBeside(place.value, hostileString(rng))],
    [1, () => place.addBeside(hostileValue(rng), pick(rng, places).key ?? "x")],
    [1, () => rename(rng, place)],
    [1, () => place.set(pick(rng, [[place.value], new JsonObject([["a", place.value]]), toText(place.value)]))],
    [0.06, () => place.set(many(rng, place))],
    [0.3, () => repeat(place)],
  ]);
  return document;
}

/** A value of the same kind that is not quite the one there. */
function nearby(rng: Rng, value: unknown): unknown {
  if (typeof value === "number") {
    return pick(rng, [
      value + 1,
      value - 1,
      -value,
      value * 2,
      value / 2,
      value + 0.5,
      value * 1e6,
      value + 2 ** 32,
      `${value}`,
      hostileNumber(rng),
    ]);
  }
  if (typeof value === "string") {
    return pick(rng, [
      `${value}x`,
      value.slice(1),
      value.toUpperCase(),
      `${value}.${value}`,
      `${value}\0`,
      `../${value}`,
      `/${value}`,
      value.split("."),
      "",
      hostileString(rng),
    ]);
  }
  if (typeof value === "boolean") return pick(rng, [!value, value ? 1 : 0, `${value}`, null]);
  if (Array.isArray(value) && value.length > 0) {
    const element = pick(rng, value);
    return pick(rng, [
      value.slice(1),
      [...value, element],
      [...value].reverse(),
      [...value, hostileValue(rng)],
      element,
      [...value, ...value],
    ]);
  }
  return hostileValue(rng);
}

function rename(rng: Rng, place: Place): void {
  const key = chance(rng, 0.5) || place.key === undefined ? hostileString(rng) : `${nearby(rng, place.key)}`;
  place.addBeside(place.value, key);
  place.remove();
}

/** A list or object in which the place's value, or nothing much, stands again and again. */
function many(rng: Rng, { value, key }: Place): RawJson {
  const item = toText(value);
  const times = Math.min(pick(rng, MANY), Math.floor(1_500_000 / (item.length + 16)));
  const parts = Array.from({ length: times }, (_, index) => index);
  if (chance(rng, 0.5)) return new RawJson(`[${parts.map((index) => pick(rng, [item, `"${index}"`])).join(",")}]`);
  return new RawJson(`{${parts.map((index) => `${JSON.stringify(`${key ?? "k"}.${index}`)}:${item}`).join(",")}}`);
}

function repeat(place: Place): void {
  for (let i = 0; i < SOME; i++) place.addBeside(copyOf(place.value), `${place.key ?? ""}.${i}`);
}

function placesIn(document: unknown): Place[] {
  const places: Place[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) {
      value.forEach((_, index) => {
        places.push(elementOf(value, index));
      });
      value.forEach(visit);
    } else if (value instanceof JsonObject) {
      for (const entry of value.entries) places.push(entryOf(value, entry));
      for (const [, entry] of value.entries) visit(entry);
    }
  };
  visit(document);
  return places;
}

function elementOf(array: unknown[], index: number): Place {
  return {
    key: undefined,
    value: array[index],
    set: (value) => {
      array[index] = value;
    },
    remove: () => void array.splice(index, 1),
    addBeside: (value) => void array.splice(index, 0, value),
  };
}

function entryOf(object: JsonObject, entry: [string, unknown]): Place {
  return {
    key: entry[0],
    value: entry[1],
    set: (value) => {
      entry[1] = value;
    },
    remove: () => void object.entries.splice(object.entries.indexOf(entry), 1),
    addBeside: (value, key) => void object.entries.push([key, value]),
  };
}
