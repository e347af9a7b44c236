import { DataError } from "../base/errors.js";
import { isObject, shortened, shownValue } from "../base/json.js";
import { parsePythonJson, withPlainKeys } from "../python/json.js";

/** Number of faults that one message lists. */
const MAX_FAULTS = 5;

/**
 * Reads a `.jsonl` text: one JSON object per line, except blank lines.
 * @param readRecord makes a value from an object and the number of its line, or throws a DataError with its fault.
 * @throws DataError naming the file and the number of each faulty line.
 */
export function readJsonLines<T>(
  text: string,
  path: string,
  readRecord: (record: Readonly<Record<string, unknown>>, line: number) => T,
): T[] {
  const values: T[] = [];
  const faults: string[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    try {
      values.push(readRecord(parseObject(line), index + 1));
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      faults.push(`${path}, line ${index + 1}: ${error.text}`);
    }
  }
  requireNoFaults(faults, "lines");
  return values;
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
  if (faults.length === 0) return;
  const more = faults.length > MAX_FAULTS ? [`and ${faults.length - MAX_FAULTS} more ${unit}`] : [];
  throw new DataError([...faults.slice(0, MAX_FAULTS), ...more].join("\n"));
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
