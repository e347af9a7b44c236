import { bytesOf } from "../base/arrays.js";
import { DataError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { largest, sum } from "../base/numbers.js";
import type { TokenLabels } from "./rows.js";
import { IGNORED_LABEL } from "./rows.js";
import type { Samples } from "./sample-store.js";
import { partsOf } from "./token-store.js";

/**
 * Ways of filling batches. `separate`: samples one after another, none of which sees another; `joined`: text as one
 * stream that is cut into rows, or several samples in a row, each of which sees those before it; `none`: a padded row
 * for each sample; `auto`: joined for text, separate for other data.
 */
export const PACKINGS = ["auto", "separate", "joined", "none"] as const;
export type Packing = (typeof PACKINGS)[number];

/** Tokens of many documents one after another, with an end-of-text token after each. */
export interface TokenStream {
  readonly length: number;
  /** The tokens from `start` to before `end`. */
  subarray(start: number, end: number): Int32Array;
}

/** Token ids and, for each, the id that follows it: rows of one length, or samples one after another. */
export interface Batch {
  readonly inputIds: Int32Array;
  /** `labels[i]` is the token after `inputIds[i]`, or -100 if it is not scored. */
  readonly labels: Int32Array;
  /** Tokens of each sample. Absent: rows of one length. */
  readonly lengths?: readonly number[];
}

/** Sizes of the batches that are made of some rows. */
export interface BatchShape {
  /** Rows, or samples. */
  readonly batchSize: number;
  /** Tokens of a row, or of the longest sample. */
  readonly sequenceLength: number;
  /** Tokens of a batch of samples, at most. Absent: rows of one length. */
  readonly mostTokens?: number | undefined;
}

/** Sizes of the batches of a run. */
export interface BatchShapes {
  readonly train: BatchShape;
  readonly heldOut: BatchShape;
}

function emptyBatch(batchSize: number, sequenceLength: number): Batch {
  const length = batchSize * sequenceLength;
  return { inputIds: new Int32Array(length), labels: new Int32Array(length).fill(IGNORED_LABEL) };
}

/** The samples of a batch as rows of the length of the longest, with token 0 and label -100 behind the others. */
export function asRows({ inputIds, labels, lengths }: Batch): Batch {
  if (lengths === undefined) return { inputIds, labels };
  const longest = largest(lengths);
  const batch = emptyBatch(lengths.length, longest);
  let from = 0;
  for (const [row, length] of lengths.entries()) {
    batch.inputIds.set(inputIds.subarray(from, from + length), row * longest);
    batch.labels.set(labels.subarray(from, from + length), row * longest);
    from += length;
  }
  return batch;
}

/** Rows or samples, from which batches are made. */
export interface Rows {
  readonly count: number;
  /** Mean number of scored tokens per row. */
  readonly scoredPerRow: number;
  /** Share of the tokens of all rows that is padding, from 0 to below 1; null for samples one after another. */
  readonly padding: number | null;
  /** Bytes that determine all tokens and labels. */
  readonly content: Iterable<Uint8Array>;
  /** Tokens of a row that a step computes, without padding. */
  tokensOf(row: number): number;
  /**
   * Sizes of batches of so many rows.
   * @param isEndless true if a batch takes rows again where there are fewer, as those of training do.
   */
  shapeOf(batchSize: number, isEndless?: boolean): BatchShape;
  /**
   * The rows by their numbers, at most batchSize, as a batch. Short rows have token 0 with label -100 at their end, and
   * so have rows that are missing.
   */
  batch(rows: readonly number[], batchSize: number): Batch;
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

  get content(): Iterable<Uint8Array> {
    return contentOfStream(this.#tokens);
  }

  tokensOf(row: number): number {
    return Math.min(this.sequenceLength, this.#tokens.length - 1 - row * this.sequenceLength);
  }

  shapeOf(batchSize: number): BatchShape {
    return { batchSize, sequenceLength: this.sequenceLength };
  }

  batch(rows: readonly number[], batchSize: number): Batch {
    const { sequenceLength } = this;
    const batch = emptyBatch(batchSize, sequenceLength);
    for (const [batchRow, row] of rows.entries()) {
      const [from, to] = [row * sequenceLength, batchRow * sequenceLength];
      const available = this.tokensOf(row);
      batch.inputIds.set(this.#tokens.subarray(from, from + available), to);
      batch.labels.set(this.#tokens.subarray(from + 1, from + 1 + available), to);
    }
    return batch;
  }
}

/**
 * Samples each by itself, in batches that hold them one after another without padding. Tokens behind the last one that
 * predicts a scored token are left out: nothing depends on them.
 */
export class SeparateSamples implements Rows {
  readonly padding = null;
  readonly scoredPerRow: number;
  readonly #samples: Samples<TokenLabels>;
  readonly #lengths: Int32Array;

  /** @param samples of at most sequenceLength + 1 tokens. */
  constructor(samples: Samples<TokenLabels>) {
    this.#samples = samples;
    this.#lengths = new Int32Array(samples.length);
    let [index, scored] = [0, 0];
    for (const { labels } of samples) {
      this.#lengths[index++] = Math.max(1, lastScored(labels));
      scored += countScoredLabels(labels);
    }
    this.scoredPerRow = scored / Math.max(1, samples.length);
  }

  get count(): number {
    return this.#samples.length;
  }

  get content(): Iterable<Uint8Array> {
    return contentOf(this.#samples, (sample) => [sample]);
  }

  tokensOf(row: number): number {
    return this.#lengths[row]!;
  }

  shapeOf(batchSize: number, isEndless = false): BatchShape {
    const sorted = this.#lengths.slice().sort();
    const { length } = sorted;
    const epochs = isEndless && length > 0 ? Math.floor(batchSize / length) : 0;
    const others = sorted.slice(Math.max(0, length - (batchSize - epochs * length)));
    return { batchSize, sequenceLength: sorted.at(-1) ?? 1, mostTokens: epochs * sum(sorted) + sum(others) };
  }

  batch(rows: readonly number[], _batchSize: number): Batch {
    const lengths = rows.map((row) => this.#lengths[row]!);
    const size = sum(lengths);
    const [inputIds, labels] = [new Int32Array(size), new Int32Array(size)];
    let to = 0;
    for (const [i, row] of rows.entries()) {
      const { ids, labels: own } = this.#samples.at(row)!;
      const length = lengths[i]!;
      inputIds.set(ids.subarray(0, length), to);
      labels.set(own.subarray(1, length + 1), to);
      to += length;
    }
    return { inputIds, labels, lengths };
  }
}

/** The index of the last label that is scored; -1 if none is. */
function lastScored(labels: Int32Array): number {
  let last = labels.length - 1;
  while (last >= 0 && labels[last] === IGNORED_LABEL) last--;
  return last;
}

/**
 * Whole samples in rows, one or several in each. No label crosses from one sample to the next: the first token of a
 * sample is never scored. Attention does reach from a sample to those before it in its row.
 */
export class SampleRows implements Rows {
  readonly sequenceLength: number;
  readonly scoredPerRow: number;
  readonly padding: number;
  readonly #samples: Samples<TokenLabels>;
  /** The numbers of the samples in each row. */
  readonly #rows: readonly (readonly number[])[];
  /** Tokens of each row. */
  readonly #lengths: Int32Array;

  private constructor(samples: Samples<TokenLabels>, rows: readonly (readonly number[])[], sequenceLength: number) {
    this.#samples = samples;
    this.#rows = rows;
    this.sequenceLength = sequenceLength;
    let scored = 0;
    const lengths = new Int32Array(samples.length);
    let index = 0;
    for (const { ids, labels } of samples) {
      scored += countScoredLabels(labels);
      lengths[index++] = ids.length;
    }
    this.#lengths = Int32Array.from(rows, (row) => {
      return Math.min(sequenceLength, sum(row.map((sample) => lengths[sample]!)));
    });
    this.scoredPerRow = scored / Math.max(1, rows.length);
    this.padding = 1 - sum(this.#lengths) / Math.max(1, rows.length * sequenceLength);
  }

  /** One row per sample. @param samples of at most sequenceLength + 1 tokens. */
  static padded(samples: Samples<TokenLabels>, sequenceLength: number): SampleRows {
    const rows = Array.from({ length: samples.length }, (_, index) => [index]);
    return new SampleRows(samples, rows, sequenceLength);
  }

  /** As many whole samples per row as fit: each goes into the first with room among the rows begun last. */
  static packed(samples: Samples<TokenLabels>, sequenceLength: number): SampleRows {
    const rows: number[][] = [];
    let open: { room: number; row: number[] }[] = [];
    let index = 0;
    for (const { ids } of samples) {
      let target = open.find(({ room }) => room >= ids.length);
      if (target === undefined) {
        target = { room: sequenceLength + 1, row: [] };
        rows.push(target.row);
        open = [...open.slice(1 - OPEN_ROWS), target];
      }
      target.row.push(index++);
      target.room -= ids.length;
    }
    return new SampleRows(samples, rows, sequenceLength);
  }

  get count(): number {
    return this.#rows.length;
  }

  get content(): Iterable<Uint8Array> {
    return contentOf(this.#rows, (row) => row.map((index) => this.#samples.at(index)!));
  }

  tokensOf(row: number): number {
    return this.#lengths[row]!;
  }

  shapeOf(batchSize: number): BatchShape {
    return { batchSize, sequenceLength: this.sequenceLength };
  }

  batch(rows: readonly number[], batchSize: number): Batch {
    const batch = emptyBatch(batchSize, this.sequenceLength);
    for (const [batchRow, row] of rows.entries()) {
      let to = batchRow * this.sequenceLength;
      const end = to + this.sequenceLength;
      for (const index of this.#rows[row]!) {
        const { ids, labels } = this.#samples.at(index)!;
        batch.inputIds.set(ids.subarray(0, end - to), to);
        batch.labels.set(labels.subarray(1), to);
        to += ids.length;
      }
    }
    return batch;
  }
}

function* contentOfStream(tokens: TokenStream): Generator<Uint8Array, void> {
  for (const part of partsOf(tokens)) yield bytesOf(part);
}

/** Bytes that determine rows of samples: for each row the lengths of its samples, and their tokens and labels. */
function* contentOf<R>(rows: Iterable<R>, samplesOf: (row: R) => readonly TokenLabels[]): Generator<Uint8Array, void> {
  for (const row of rows) {
    const samples = samplesOf(row);
    yield bytesOf(Int32Array.from([samples.length, ...samples.map(({ ids }) => ids.length)]));
    for (const { ids, labels } of samples) {
      yield bytesOf(ids);
      yield bytesOf(labels);
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

/** @throws DataError unless the stream holds at least `needed` tokens. */
function requireTokens(tokens: TokenStream, needed: number, purpose: string): void {
  if (tokens.length >= needed) return;
  const remedy = `shorten ${optionName("sequenceLength")} or bring more data`;
  throw new DataError(`${purpose}: needs at least ${needed} tokens, the data has ${tokens.length}; ${remedy}`);
}
