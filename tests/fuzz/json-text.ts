/** Text that stands in JSON as it is, valid or not. */
export class RawJson {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** An object that may name a key twice. */
export class JsonObject {
  readonly entries: [key: string, value: unknown][];

  constructor(entries: [key: string, value: unknown][]) {
    this.entries = entries;
  }
}

/** The JSON value with every object as a `JsonObject`, to be changed in place. */
export function toMutable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toMutable);
  if (typeof value !== "object" || value === null) return value;
  return new JsonObject(Object.entries(value).map(([key, entry]) => [key, toMutable(entry)]));
}

/** A copy of what `toMutable` gave that shares nothing with it that can change. */
export function copyOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copyOf);
  if (!(value instanceof JsonObject)) return value;
  return new JsonObject(value.entries.map(([key, entry]) => [key, copyOf(entry)]));
}

/** JSON of what `toMutable` gave; what a mutation put there may make it invalid. */
export function toText(value: unknown): string {
  if (value instanceof RawJson) return value.text;
  if (Array.isArray(value)) return `[${value.map(toText).join(",")}]`;
  if (value instanceof JsonObject) {
    return `{${value.entries.map(([key, entry]) => `${JSON.stringify(key)}:${toText(entry)}`).join(",")}}`;
  }
  return typeof value === "object" && value !== null ? toText(toMutable(value)) : (JSON.stringify(value) ?? "null");
}
