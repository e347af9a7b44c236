import { readText } from "#platform";
import { DataError } from "../base/errors.js";
import { shownValue } from "../base/json.js";
import { PythonFloat } from "../python/float.js";
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

/** Keys that are read beside `input_ids`. */
export const TOKEN_KEYS = ["labels", "attention_mask", "completion_mask", "assistant_masks"] as const;

/**
 * Reads a record with `input_ids` and perhaps `labels`. Without labels, a token is scored unless one of the masks
 * `completion_mask` and `assistant_masks` is 0 there, as in TRL. Tokens at either end whose `attention_mask` is 0 are
 * padding and left out.
 * @throws DataError with its fault.
 */
export function readTokens(record: Readonly<Record<string, unknown>>): TokenLabels {
  const { input_ids, labels = input_ids } = record;
  if (input_ids === undefined) {
    throw new DataError(`must have "input_ids"; the keys found are ${shownKeys(record)}`);
  }
  const isId = (value: number) => Number.isInteger(value) && value >= 0 && value < 2 ** 31;
  const ids = readIntegers("input_ids", input_ids, isId, "ids from 0 up");
  const isLabel = (value: number) => isId(value) || value === IGNORED_LABEL;
  const targets = readIntegers("labels", labels, isLabel, "ids from 0 up, or -100");
  if (targets.length !== ids.length) {
    throw new DataError(`"labels" must be as long as "input_ids", got ${targets.length} labels for ${ids.length} ids`);
  }
  if (record.labels === undefined) {
    for (const key of ["completion_mask", "assistant_masks"] as const) {
      const mask = readMask(record, key, ids.length);
      for (let i = 0; i < ids.length; i++) if (mask?.[i] === 0) targets[i] = IGNORED_LABEL;
    }
  }
  const tokens = withoutPadding({ ids, labels: targets }, record);
  if (tokens.ids.length >= 2) return tokens;
  throw new DataError(`"input_ids" must have at least 2 ids, one to predict the other, got ${tokens.ids.length}`);
}

function withoutPadding({ ids, labels }: TokenLabels, record: Readonly<Record<string, unknown>>): TokenLabels {
  const mask = readMask(record, "attention_mask", ids.length);
  if (mask === undefined || !mask.includes(0)) return { ids, labels };
  const [start, end] = [Math.max(0, mask.indexOf(1)), mask.lastIndexOf(1) + 1];
  const hole = mask.subarray(start, end).indexOf(0);
  if (hole >= 0) {
    throw new DataError(
      `"attention_mask" must be 0 only before the first 1 and after the last, got 0 at index ${start + hole}; ` +
        "split the row there",
    );
  }
  const outside = labels.findIndex((label, i) => (i < start || i >= end) && label !== IGNORED_LABEL);
  if (outside >= 0 && record.labels !== undefined) {
    throw new DataError(
      `"labels" must be -100 where "attention_mask" is 0, got ${labels[outside]} at index ${outside}; ` +
        "mask them, or leave out the padding",
    );
  }
  return { ids: ids.slice(start, end), labels: labels.slice(start, end) };
}

function readMask(record: Readonly<Record<string, unknown>>, key: string, length: number): Int32Array | undefined {
  const value = record[key];
  if (value === undefined || value === null) return undefined;
  const mask = readIntegers(key, value, (bit) => bit === 0 || bit === 1, "0 or 1");
  if (mask.length === length) return mask;
  throw new DataError(`"${key}" must be as long as "input_ids", got ${mask.length} for ${length} ids`);
}

function readIntegers(key: string, value: unknown, isAllowed: (item: number) => boolean, kind: string): Int32Array {
  if (!Array.isArray(value)) throw new DataError(`"${key}" must be an array of ${kind}, got ${shownValue(value)}`);
  const isNumber = (item: unknown) =>
    typeof item === "number" || typeof item === "boolean" || item instanceof PythonFloat;
  const fault = value.findIndex((item) => !isNumber(item) || !isAllowed(Number(item)));
  if (fault < 0) return Int32Array.from(value, Number);
  throw new DataError(`"${key}" must hold ${kind}, got ${shownValue(value[fault])} at index ${fault}`);
}

/** A label that is not scored. */
export const IGNORED_LABEL = -100;
