import { ConfigError, DataError } from "../tensor/errors.js";
import { Rng } from "../tensor/random.js";
import { type Batch, copyRow, countRows, emptyBatch, requireTokens, type TokenStream } from "./packing.js";

/** Where a cursor stands: the next row is the `row`-th of the epoch's order. Both count from 0. */
export interface DataPosition {
  readonly epoch: number;
  readonly row: number;
}

export interface BatchCursorOptions {
  sequenceLength: number;
  batchSize: number;
  /** Fixes the order of the rows in every epoch. */
  seed: number;
}

/**
 * Endless batches from a stream of tokens. Each epoch visits every complete row once, in an order of its own; a batch may
 * run over the end of an epoch. What `next` returns depends on the options and the position alone.
 */
export class BatchCursor {
  readonly rowsPerEpoch: number;
  readonly #tokens: TokenStream;
  readonly #options: BatchCursorOptions;
  #position: DataPosition = { epoch: 0, row: 0 };
  #order: Uint32Array;

  /** @throws DataError when the tokens do not fill one row. */
  constructor(tokens: TokenStream, options: BatchCursorOptions) {
    const { sequenceLength, batchSize } = options;
    for (const [name, value] of Object.entries({ sequenceLength, batchSize })) {
      if (!Number.isInteger(value) || value < 1) {
        throw new ConfigError(`BatchCursor: ${name} must be a positive integer, got ${value}`);
      }
    }
    requireTokens(tokens, sequenceLength + 1, `training on rows of ${sequenceLength} tokens`);
    this.#tokens = tokens;
    this.#options = { ...options };
    this.rowsPerEpoch = countRows(tokens, sequenceLength);
    this.#order = shuffledRows(this.rowsPerEpoch, options.seed, 0);
  }

  get position(): DataPosition {
    return this.#position;
  }

  /** Goes to a position that a cursor over the same tokens named. @throws DataError when these tokens have no such row. */
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
    const { batchSize, sequenceLength } = this.#options;
    const batch = emptyBatch(batchSize, sequenceLength);
    for (let batchRow = 0; batchRow < batchSize; batchRow++) {
      const { epoch, row } = this.#position;
      copyRow(this.#tokens, this.#order[row]!, batch, batchRow, sequenceLength);
      const isLast = row + 1 === this.rowsPerEpoch;
      this.seek(isLast ? { epoch: epoch + 1, row: 0 } : { epoch, row: row + 1 });
    }
    return batch;
  }
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
