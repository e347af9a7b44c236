import { DataError } from "../base/errors.js";
import { isObject, parseJson, shortened } from "../base/json.js";

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
      faults.push(`${path}, line ${index + 1}: ${error.message}`);
    }
  }
  requireNoFaults(faults, "lines");
  return values;
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
    value = parseJson(line);
  } catch (cause) {
    throw new DataError(`not JSON (${(cause as Error).message}); each line must be one JSON object`, { cause });
  }
  if (isObject(value)) return value;
  throw new DataError(`must be a JSON object, got ${line.trim().slice(0, 40)}`);
}

/** Keys of a record, for messages. */
export function shownKeys(record: Readonly<Record<string, unknown>>): string {
  const keys = Object.keys(record).map((key) => JSON.stringify(key));
  return shortened(keys.join(", ")) || "none";
}
