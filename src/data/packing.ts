import { DataError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import type { TokenLabels } from "./rows.js";
import { IGNORED_LABEL } from "./rows.js";

/** Tokens of many documents one after another, with an end-of-text token after each. */
export type TokenStream = Int32Array;

/** Token ids and, for each, the id that follows it; both of length batchSize · sequenceLength, row by row. */
export interface Batch {
  readonly inputIds: Int32Array;
  /** `labels[i]` is the token after `inputIds[i]`, or -100 if it is not scored. */
  readonly labels: Int32Array;
}

/** A batch without any labels to score. */
export function emptyBatch(batchSize: number, sequenceLength: number): Batch {
  const length = batchSize * sequenceLength;
  return { inputIds: new Int32Array(length), labels: new Int32Array(length).fill(IGNORED_LABEL) };
}

/** Rows of one length, from which batches are made. */
export interface Rows {
  readonly count: number;
  readonly sequenceLength: number;
  /** Mean number of scored tokens per row. */
  readonly scoredPerRow: number;
  /** Share of the tokens of all rows that is padding, from 0 to below 1. */
  readonly padding: number;
  /** Bytes that determine all tokens and labels. */
  readonly content: readonly Uint8Array[];
  /** Copies a row into a row of an empty batch. A short row leaves token 0 with label -100 at its end. */
  copyTo(row: number, batch: Batch, batchRow: number): void;
}

/**
 * A stream of tokens cut into rows: row r reads tokens r · sequenceLength to (r + 1) · sequenceLength, both included.
 */
export class StreamRows implements Rows {
  readonly count: number;
  readonly sequenceLength: number;
  readonly scoredPerRow: number;
  readonly padding = 0;
  readonly #tokens: TokenStream;

  private constructor(tokens: TokenStream, sequenceLength: number, count: number) {
    this.#tokens = tokens;
    this.sequenceLength = sequenceLength;
    this.scoredPerRow = sequenceLength;
    this.count = count;
  }

  /** Complete rows only; fewer than `sequenceLength` tokens are left out. @throws DataError if there are none. */
  static complete(tokens: TokenStream, sequenceLength: number): StreamRows {
    requireTokens(tokens, sequenceLength + 1, `training on rows of ${sequenceLength} tokens`);
    return new StreamRows(tokens, sequenceLength, Math.floor((tokens.length - 1) / sequenceLength));
  }

  /** All tokens, with a last row that need not be full. @throws DataError if there are fewer than two tokens. */
  static all(tokens: TokenStream, sequenceLength: number): StreamRows {
    requireTokens(tokens, 2, "evaluation");
    return new StreamRows(tokens, sequenceLength, Math.ceil((tokens.length - 1) / sequenceLength));
  }

  get content(): Uint8Array[] {
    return [bytesOf(this.#tokens)];
  }

  copyTo(row: number, batch: Batch, batchRow: number): void {
    const from = row * this.sequenceLength;
    const to = batchRow * this.sequenceLength;
    const available = Math.min(this.sequenceLength, this.#tokens.length - 1 - from);
    batch.inputIds.set(this.#tokens.subarray(from, from + available), to);
    batch.labels.set(this.#tokens.subarray(from + 1, from + 1 + available), to);
  }
}

/**
 * Whole samples in rows, one or several in each. No label crosses from one sample to the next: the first token of a
 * sample is never scored. Attention does reach from a sample to those before it in its row.
 */
export class SampleRows implements Rows {
  readonly sequenceLength: number;
  readonly #rows: readonly (readonly TokenLabels[])[];

  private constructor(rows: readonly (readonly TokenLabels[])[], sequenceLength: number) {
    this.#rows = rows;
    this.sequenceLength = sequenceLength;
  }

  /** One row per sample. @param samples of at most sequenceLength + 1 tokens. */
  static padded(samples: readonly TokenLabels[], sequenceLength: number): SampleRows {
    return new SampleRows(
      samples.map((sample) => [sample]),
      sequenceLength,
    );
  }

  /** As many whole samples per row as fit: each goes into the first with room among the rows begun last. */
  static packed(samples: readonly TokenLabels[], sequenceLength: number): SampleRows {
    const rows: TokenLabels[][] = [];
    let open: { room: number; row: TokenLabels[] }[] = [];
    for (const sample of samples) {
      const length = sample.ids.length;
      let target = open.find(({ room }) => room >= length);
      if (target === undefined) {
        target = { room: sequenceLength + 1, row: [] };
        rows.push(target.row);
        open = [...open.slice(1 - OPEN_ROWS), target];
      }
      target.row.push(sample);
      target.room -= length;
    }
    return new SampleRows(rows, sequenceLength);
  }

  get count(): number {
    return this.#rows.length;
  }

  get scoredPerRow(): number {
    const scored = this.#rows.flat().reduce((sum, { labels }) => sum + countScoredLabels(labels), 0);
    return scored / Math.max(1, this.count);
  }

  get padding(): number {
    const lengths = this.#rows.map((row) => row.reduce((sum, { ids }) => sum + ids.length, 0));
    const used = lengths.reduce((sum, length) => sum + Math.min(length, this.sequenceLength), 0);
    return 1 - used / Math.max(1, this.count * this.sequenceLength);
  }

  get content(): Uint8Array[] {
    return this.#rows.flatMap((row) => [
      bytesOf(Int32Array.from([row.length, ...row.map(({ ids }) => ids.length)])),
      ...row.flatMap(({ ids, labels }) => [bytesOf(ids), bytesOf(labels)]),
    ]);
  }

  copyTo(row: number, batch: Batch, batchRow: number): void {
    let to = batchRow * this.sequenceLength;
    const end = to + this.sequenceLength;
    for (const { ids, labels } of this.#rows[row]!) {
      batch.inputIds.set(ids.subarray(0, end - to), to);
      batch.labels.set(labels.subarray(1), to);
      to += ids.length;
    }
  }
}

/** Rows that are searched for room: enough to fill them well, few enough to be quick. */
const OPEN_ROWS = 32;

/** Counts the labels of a sample that are scored; all but the first may be. */
export function countScoredLabels(labels: Int32Array): number {
  let count = 0;
  for (let i = 1; i < labels.length; i++) if (labels[i] !== IGNORED_LABEL) count++;
  return count;
}

function bytesOf({ buffer, byteOffset, byteLength }: Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** @throws DataError unless the stream holds at least `needed` tokens. */
function requireTokens(tokens: TokenStream, needed: number, purpose: string): void {
  if (tokens.length >= needed) return;
  const remedy = `shorten ${optionName("sequenceLength")} or bring more data`;
  throw new DataError(`${purpose}: needs at least ${needed} tokens, the data has ${tokens.length}; ${remedy}`);
}
