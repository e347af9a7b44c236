import { ConfigError, DataError } from "../base/errors.js";
import { Rng } from "../tensor/random.js";
import type { Batch, Rows } from "./packing.js";

/** Position of a cursor: its next row is number `row` in the epoch's order. Both count from 0. */
export interface DataPosition {
  readonly epoch: number;
  readonly row: number;
}

export interface BatchCursorOptions {
  batchSize: number;
  /** Fixes the order of the rows in every epoch. */
  seed: number;
}

/**
 * Endless batches of rows. Each epoch visits every row once, in its own order; a batch may run over the end of an
 * epoch. The result of `next` depends only on the options and the position.
 */
export class BatchCursor {
  readonly rowsPerEpoch: number;
  /** Mean number of tokens of a row, without padding. */
  readonly tokensPerRow: number;
  readonly #rows: Rows;
  readonly #options: BatchCursorOptions;
  #position: DataPosition = { epoch: 0, row: 0 };
  #order: Uint32Array;

  /** @throws DataError if there are no rows; ConfigError for an invalid batch size. */
  constructor(rows: Rows, options: BatchCursorOptions) {
    const { batchSize } = options;
    if (!Number.isInteger(batchSize) || batchSize < 1) {
      throw new ConfigError(`BatchCursor: batchSize must be a positive integer, got ${batchSize}`);
    }
    if (rows.count === 0) throw new DataError("BatchCursor: there are no rows; bring some data");
    this.#rows = rows;
    this.#options = { ...options };
    this.rowsPerEpoch = rows.count;
    this.tokensPerRow = tokensOf(rows) / rows.count;
    this.#order = shuffledRows(this.rowsPerEpoch, options.seed, 0);
  }

  get position(): DataPosition {
    return this.#position;
  }

  /** Moves to a position reported by a cursor over the same rows. @throws DataError if there is no such row. */
  seek({ epoch, row }: DataPosition): void {
    const isCount = (value: number) => Number.isSafeInteger(value) && value >= 0;
    if (!isCount(epoch) || !isCount(row) || row >= this.rowsPerEpoch) {
      const remedy = "resume with the data, tokenizer and sequence length that the run began with";
      const rows = `the data has rows 0 to ${this.rowsPerEpoch - 1} in each epoch`;
      throw new DataError(`BatchCursor: there is no row ${row} in epoch ${epoch}, ${rows}; ${remedy}`);
    }
    if (epoch !== this.#position.epoch) this.#order = shuffledRows(this.rowsPerEpoch, this.#options.seed, epoch);
    this.#position = { epoch, row };
  }

  next(): Batch {
    const { batchSize } = this.#options;
    const rows: number[] = [];
    while (rows.length < batchSize) {
      const { epoch, row } = this.#position;
      rows.push(this.#order[row]!);
      const isLast = row + 1 === this.rowsPerEpoch;
      this.seek(isLast ? { epoch: epoch + 1, row: 0 } : { epoch, row: row + 1 });
    }
    return this.#rows.batch(rows, batchSize);
  }

  /** The next batches. */
  take(count: number): Batch[] {
    return Array.from({ length: count }, () => this.next());
  }
}

/** The number of rows that hold at most so many tokens, in the order in which a cursor with this seed takes them. */
export function rowsWithin(tokens: number, rows: Rows, seed: number): number {
  const ofEpoch = tokensOf(rows);
  const epochs = Math.floor(tokens / ofEpoch);
  let [left, count] = [tokens - epochs * ofEpoch, epochs * rows.count];
  for (const row of shuffledRows(rows.count, seed, epochs)) {
    left -= rows.tokensOf(row);
    if (left < 0) break;
    count++;
  }
  return count;
}

function tokensOf(rows: Rows): number {
  let tokens = 0;
  for (let row = 0; row < rows.count; row++) tokens += rows.tokensOf(row);
  return tokens;
}

/** Row numbers in the order of one epoch (Fisher–Yates). */
function shuffledRows(count: number, seed: number, epoch: number): Uint32Array {
  const rng = new Rng(seed, "data-order", epoch);
  const rows = Uint32Array.from({ length: count }, (_, row) => row);
  for (let i = count - 1; i > 0; i--) {
    const j = rng.below(i + 1);
    const row = rows[i]!;
    rows[i] = rows[j]!;
    rows[j] = row;
  }
  return rows;
}
