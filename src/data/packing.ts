import { DataError } from "../tensor/errors.js";

/** Tokens of many documents after one another, an end-of-text token after each. */
export type TokenStream = Int32Array;

/** A label that is not scored. */
export const IGNORED_LABEL = -100;

/** Token ids and, for each, the id that follows it; both of length batchSize · sequenceLength, row by row. */
export interface Batch {
  readonly inputIds: Int32Array;
  /** `labels[i]` is the token after `inputIds[i]`, or -100 where nothing is to be scored. */
  readonly labels: Int32Array;
}

/** Complete rows of a stream: row r reads tokens r · sequenceLength to (r + 1) · sequenceLength, both included. */
export function countRows(tokens: TokenStream, sequenceLength: number): number {
  return Math.max(0, Math.floor((tokens.length - 1) / sequenceLength));
}

/** Copies a row of the stream into a row of the batch. An incomplete row is padded: token 0, label -100. */
export function copyRow(
  tokens: TokenStream,
  row: number,
  batch: Batch,
  batchRow: number,
  sequenceLength: number,
): void {
  const from = row * sequenceLength;
  const to = batchRow * sequenceLength;
  const available = Math.min(sequenceLength, tokens.length - 1 - from);
  batch.inputIds.set(tokens.subarray(from, from + available), to);
  batch.inputIds.fill(0, to + available, to + sequenceLength);
  batch.labels.set(tokens.subarray(from + 1, from + 1 + available), to);
  batch.labels.fill(IGNORED_LABEL, to + available, to + sequenceLength);
}

/** A batch with nothing to score yet. */
export function emptyBatch(batchSize: number, sequenceLength: number): Batch {
  const length = batchSize * sequenceLength;
  return { inputIds: new Int32Array(length), labels: new Int32Array(length).fill(IGNORED_LABEL) };
}

/** @throws DataError unless the stream holds at least `needed` tokens. */
export function requireTokens(tokens: TokenStream, needed: number, purpose: string): void {
  if (tokens.length >= needed) return;
  const remedy = "shorten --sequence-length or bring more data";
  throw new DataError(`${purpose}: needs at least ${needed} tokens, the data has ${tokens.length}; ${remedy}`);
}
