import { type Batch, emptyBatch, type Rows } from "./packing.js";

export interface EvaluationBatchesOptions {
  batchSize: number;
  /** Score at most about this many tokens, in whole rows spread evenly over all (at least one row). */
  maxTokens?: number;
}

/** Rows of an evaluation that scores about so many tokens at most: at least one. */
export function evaluationRowCount(rows: Rows, maxTokens: number = Number.POSITIVE_INFINITY): number {
  return Math.max(1, Math.min(rows.count, Math.floor(maxTokens / rows.scoredPerRow)));
}

/**
 * Batches with each row exactly once, in a fixed order. All have the same shape: missing rows of the last one are token
 * 0 with label -100.
 */
export function evaluationBatches(rows: Rows, options: EvaluationBatchesOptions): Iterable<Batch> {
  const { batchSize, maxTokens } = options;
  const count = evaluationRowCount(rows, maxTokens);
  return {
    *[Symbol.iterator]() {
      for (let first = 0; first < count; first += batchSize) {
        const batch = emptyBatch(batchSize, rows.sequenceLength);
        for (let i = 0; i < Math.min(batchSize, count - first); i++) {
          rows.copyTo(Math.floor(((first + i) * rows.count) / count), batch, i);
        }
        yield batch;
      }
    },
  };
}
