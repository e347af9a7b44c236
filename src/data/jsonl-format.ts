import { DataError } from "../base/errors.js";
import { isObject, shortened, shownValue } from "../base/json.js";
import { parsePythonJson, withPlainKeys } from "../python/json.js";
import { requireShort } from "./text-parts.js";

/** Number of faults that one message lists. */
const MAX_FAULTS = 5;

/** Faults of records, of which a message lists the first and counts the others. */
export class Faults {
  readonly #first: string[] = [];
  #count = 0;

  add(fault: string): void {
    if (this.#count < MAX_FAULTS) this.#first.push(fault);
    this.#count++;
  }

  /** @param unit in the plural. @throws DataError if there is one. */
  requireNone(unit: string): void {
    if (this.#count === 0) return;
    const more = this.#count > MAX_FAULTS ? [`and ${this.#count - MAX_FAULTS} more ${unit}`] : [];
    throw new DataError([...this.#first, ...more].join("\n"));
  }
}

type ReadLine<T> = (record: Readonly<Record<string, unknown>>, line: number) => T;

/** Reads a `.jsonl` text, which comes in parts: one JSON object per line, except blank lines. */
export class JsonLines<T> {
  readonly #path: string;
  readonly #readRecord: ReadLine<T>;
  readonly #faults = new Faults();
  #rest = "";
  #line = 0;

  /** @param readRecord makes a value from an object and the number of its line, or throws its fault as a DataError. */
  constructor(path: string, readRecord: ReadLine<T>) {
    this.#path = path;
    this.#readRecord = readRecord;
  }

  /** The values of the lines that end in the next part of the text. @throws DataError for a line that is too long. */
  take(part: string): T[] {
    const lines = part.split("\n");
    lines[0] = this.#rest + lines[0]!;
    this.#rest = lines.pop()!;
    requireShort(`${this.#path}, line ${this.#line + lines.length + 1}`, this.#rest.length);
    return this.#valuesOf(lines);
  }

  /** The value of a last line. @throws DataError naming the file and the number of each faulty line. */
  end(): T[] {
    const values = this.#valuesOf([this.#rest]);
    this.#faults.requireNone("lines");
    return values;
  }

  #valuesOf(lines: readonly string[]): T[] {
    const values: T[] = [];
    for (const line of lines) {
      this.#line++;
      if (line.trim() === "") continue;
      try {
        values.push(this.#readRecord(parseObject(line), this.#line));
      } catch (error) {
        if (!(error instanceof DataError)) throw error;
        this.#faults.add(`${this.#path}, line ${this.#line}: ${error.text}`);
      }
    }
    return values;
  }
}

/** Reads a `.jsonl` text that is in memory. @throws DataError as `JsonLines`. */
export function readJsonLines<T>(text: string, path: string, readRecord: ReadLine<T>): T[] {
  const lines = new JsonLines(path, readRecord);
  return [...lines.take(text), ...lines.end()];
}

/**
 * Reads a `.json` text as `datasets` does: a list of objects or of texts, one object, or, as in a `.jsonl` file, one
 * object per line. Unlike there, an object whose `data` is a list of objects stands for these.
 * @param readRecord as in `readJsonLines`; also says what the number counts.
 * @throws DataError naming the file and the number of each faulty record.
 */
export function readJson<T>(
  text: string,
  path: string,
  readRecord: (record: Readonly<Record<string, unknown>>, unit: "line" | "record", number: number) => T,
): T[] {
  const byLine = () => readJsonLines(text, path, (record, line) => readRecord(record, "line", line));
  let whole: unknown;
  try {
    whole = parsePythonJson(text);
  } catch (cause) {
    const [first = "", ...others] = text.split("\n").filter((line) => line.trim() !== "");
    // The first line of a list or of an object that is written over several lines is no JSON.
    if (others.length > 0 && isObjectText(first)) return byLine();
    const reason = (cause as Error).message;
    throw new DataError(`${path}: not JSON (${reason}); it must be one list of objects, or one object per line`, {
      cause,
    });
  }
  if (isObject(whole) && Array.isArray(whole.data) && whole.data.every(isObject)) whole = whole.data;
  const faults: string[] = [];
  const values: T[] = [];
  for (const [index, item] of (Array.isArray(whole) ? whole : [whole]).entries()) {
    try {
      const record = typeof item === "string" ? { text: item } : item;
      if (!isObject(record)) throw new DataError(`must be a JSON object, got ${shownValue(item)}`);
      values.push(readRecord(withPlainKeys(record), "record", index + 1));
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      faults.push(`${path}, record ${index + 1}: ${error.text}`);
    }
  }
  requireNoFaults(faults, "records");
  return values;
}

function isObjectText(line: string): boolean {
  try {
    return isObject(parsePythonJson(line));
  } catch {
    return false;
  }
}

/** @throws DataError listing the first faults and counting the others. */
export function requireNoFaults(faults: readonly string[], unit: string): void {
  const found = new Faults();
  for (const fault of faults) found.add(fault);
  found.requireNone(unit);
}

function parseObject(line: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = parsePythonJson(line);
  } catch (cause) {
    throw new DataError(`not JSON (${(cause as Error).message}); each line must be one JSON object`, { cause });
  }
  if (isObject(value)) return withPlainKeys(value);
  throw new DataError(`must be a JSON object, got ${line.trim().slice(0, 40)}`);
}

/** Keys of a record, for messages. */
export function shownKeys(record: Readonly<Record<string, unknown>>): string {
  const keys = Object.keys(record).map((key) => JSON.stringify(key));
  return shortened(keys.join(", ")) || "none";
}
