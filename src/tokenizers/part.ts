import { shownValue } from "../base/json.js";

/** One part of a tokenizer.json, such as a normalizer; its `type` says which. */
export type Part = Readonly<Record<string, unknown>>;

/** A part or null for none. @throws Error for anything else. */
export function partOf(value: unknown, name: string): Part | null {
  if (value === null || value === undefined) return null;
  if (typeof value === "object" && !Array.isArray(value)) return value as Part;
  throw new Error(`${name} must be an object or null, not ${shownValue(value)}`);
}

/** The parts in a list, such as those of a Sequence. @throws Error for anything else. */
export function partsOf(part: Part, key: string): Part[] {
  const list = part[key];
  if (Array.isArray(list) && list.every((each) => typeof each === "object" && each !== null)) return list;
  throw new Error(`${key} must be a list of objects, not ${shownValue(list)}`);
}

/** @throws Error unless the field is a text; one that is missing is the default. */
export function textIn(part: Part, key: string, missing?: string): string {
  const value = part[key] ?? missing;
  if (typeof value === "string") return value;
  throw new Error(`${key} must be a text, not ${shownValue(value)}`);
}

/** @throws Error unless the field is true or false; one that is missing is the default. */
export function flagIn(part: Part, key: string, missing: boolean): boolean {
  const value = part[key] ?? missing;
  if (typeof value === "boolean") return value;
  throw new Error(`${key} must be true or false, not ${shownValue(value)}`);
}

/** @throws Error unless the field is a whole number of 0 or more; one that is missing is the default. */
export function countIn(part: Part, key: string, missing?: number): number {
  const value = part[key] ?? missing;
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw new Error(`${key} must be a whole number, not ${shownValue(value)}`);
}

/** Makes what a part describes. @throws Error for a type that is not in the table. */
export function build<T>(kinds: Readonly<Record<string, (part: Part) => T>>, part: Part, name: string): T {
  const type = textIn(part, "type", "");
  const make = Object.hasOwn(kinds, type) ? kinds[type] : undefined;
  if (make !== undefined) return make(part);
  throw new Error(`${name} must be one of ${Object.keys(kinds).join(", ")}, not ${shownValue(part.type)}`);
}
