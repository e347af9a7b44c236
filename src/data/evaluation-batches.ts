import type { Batch, Rows } from "./packing.js";

export interface EvaluationBatchesOptions {
  batchSize: number;
  /** Score at most about this many tokens, in whole rows spread evenly over all (at least one row). */
  maxTokens?: number;
}

/** Rows of an evaluation that scores about so many tokens at most: at least one. */
export function evaluationRowCount(rows: Rows, maxTokens: number = Number.POSITIVE_INFINITY): number {
  return Math.max(1, Math.min(rows.count, Math.floor(maxTokens / rows.scoredPerRow)));
}

/** Batches with each row exactly once, in a fixed order; the last one may lack rows. */
export function evaluationBatches(rows: Rows, options: EvaluationBatchesOptions): Iterable<Batch> {
  const { batchSize, maxTokens } = options;
  const count = evaluationRowCount(rows, maxTokens);
  return {
    *[Symbol.iterator]() {
      for (let first = 0; first < count; first += batchSize) {
        const size = Math.min(batchSize, count - first);
        const chosen = Array.from({ length: size }, (_, i) => Math.floor(((first + i) * rows.count) / count));
        yield rows.batch(chosen, batchSize);
      }
    },
  };
}
