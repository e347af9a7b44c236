import { shownValue } from "../base/json.js";

/** One part of a tokenizer.json, such as a normalizer; its `type` says which. */
export type Part = Readonly<Record<string, unknown>>;

/** Parts within one, and characters that they make of those of a text: many more than tokenizers have. */
const MOST = { parts: 1000, times: 100, more: 1000 } as const;

/** @throws Error if a part holds so many others that each text would take long. */
export function requireFewParts(part: unknown, name: string): void {
  let parts = 0;
  const count = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    if ("type" in value && ++parts > MOST.parts) throw new Error(`${name} must be of at most ${MOST.parts} parts`);
    for (const each of Object.values(value)) count(each);
  };
  count(part);
}

/** @throws Error if a part has made so many characters of a text that it could fill the memory with short ones. */
export function requireBounded(made: number, given: number, name: string): void {
  const most = MOST.times * given + MOST.more;
  if (made > most) throw new Error(`${name} makes ${made} characters of ${given}; at most ${most} are taken`);
}

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
