import { readText } from "#platform";
import { DataError } from "../base/errors.js";
import { shownValue } from "../base/json.js";
import { readJsonLines, shownKeys } from "./jsonl-format.js";

/** One tokenized row, scored by itself. Both arrays are one shorter than the row's `input_ids`. */
export interface TokenRow {
  readonly inputIds: Int32Array;
  /** `labels[i]` is the target after `inputIds[i]`, or -100 if it is not scored. */
  readonly labels: Int32Array;
}

/**
 * Tokens and, for each, the id to predict at its place, or -100 if it is not scored, as in transformers. The first one
 * never is.
 */
export interface TokenLabels {
  readonly ids: Int32Array;
  readonly labels: Int32Array;
}

/**
 * Reads a `.jsonl` file of tokenized rows: `input_ids` and, if not every token is scored, `labels` of the same length
 * in which -100 is not scored. In the file, as in transformers, a label stands at its own token; here it stands one
 * place earlier, at the token from which it is predicted. So the first label of a row is never scored.
 * @throws DataError naming the file and the number of each faulty line.
 */
export async function loadTokenRows(path: string): Promise<TokenRow[]> {
  const rows = readJsonLines(await readText(path), path, (record): TokenRow => {
    const { ids, labels } = readTokens(record);
    return { inputIds: ids.slice(0, -1), labels: labels.slice(1) };
  });
  if (rows.length === 0) throw new DataError(`${path}: no rows in it; name a file with some`);
  return rows;
}

/** Reads a record with `input_ids` and perhaps `labels`. @throws DataError with its fault. */
export function readTokens(record: Readonly<Record<string, unknown>>): TokenLabels {
  const { input_ids, labels = input_ids } = record;
  if (input_ids === undefined) {
    throw new DataError(`must have "input_ids"; the keys found are ${shownKeys(record)}`);
  }
  const isId = (value: unknown) => Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31;
  const ids = readIntegers("input_ids", input_ids, isId, "ids from 0 up");
  if (ids.length < 2)
    throw new DataError(`"input_ids" must have at least 2 ids, one to predict the other, got ${ids.length}`);
  const isLabel = (value: unknown) => isId(value) || value === IGNORED_LABEL;
  const targets = readIntegers("labels", labels, isLabel, "ids from 0 up, or -100");
  if (targets.length !== ids.length) {
    throw new DataError(`"labels" must be as long as "input_ids", got ${targets.length} labels for ${ids.length} ids`);
  }
  return { ids, labels: targets };
}

function readIntegers(key: string, value: unknown, isAllowed: (item: unknown) => boolean, kind: string): Int32Array {
  if (!Array.isArray(value)) throw new DataError(`"${key}" must be an array of ${kind}, got ${shownValue(value)}`);
  const fault = value.findIndex((item) => !isAllowed(item));
  if (fault < 0) return Int32Array.from(value);
  throw new DataError(`"${key}" must hold ${kind}, got ${shownValue(value[fault])} at index ${fault}`);
}

/** A label that is not scored. */
export const IGNORED_LABEL = -100;
