import { type Batch, copyRow, emptyBatch, requireTokens, type TokenStream } from "./packing.js";

export interface EvaluationBatchesOptions {
  sequenceLength: number;
  batchSize: number;
  /** Score about this many tokens at most, in whole rows spread evenly over the stream (at least one row). */
  maxTokens?: number;
}

/**
 * Batches that score each token of the stream but the first exactly once, in a fixed order. All have the same shape: what
 * is missing in the last row and the last batch is token 0 with label -100.
 * @throws DataError when there are fewer than two tokens.
 */
export function evaluationBatches(tokens: TokenStream, options: EvaluationBatchesOptions): Iterable<Batch> {
  const { sequenceLength, batchSize, maxTokens = Number.POSITIVE_INFINITY } = options;
  requireTokens(tokens, 2, "evaluation");
  const rowsInStream = Math.ceil((tokens.length - 1) / sequenceLength);
  const rows = Math.max(1, Math.min(rowsInStream, Math.floor(maxTokens / sequenceLength)));
  return {
    *[Symbol.iterator]() {
      for (let first = 0; first < rows; first += batchSize) {
        const batch = emptyBatch(batchSize, sequenceLength);
        for (let i = 0; i < Math.min(batchSize, rows - first); i++) {
          const row = Math.floor(((first + i) * rowsInStream) / rows);
          copyRow(tokens, row, batch, i, sequenceLength);
        }
        yield batch;
      }
    },
  };
}
