import { sum } from "../base/numbers.js";

/** Steps at most whose mean loss stands for the present. */
const MOST_STEPS = 20;

/** Where the training loss of a run is now, with less noise than a single step has. */
export interface RecentLoss {
  /** Null where no step has a finite one. */
  readonly loss: number | null;
  /** The last steps that it is the mean of. */
  readonly steps: number;
}

/** The number of last steps whose loss is that of now: at most a tenth, so that no early step counts. */
export function recentSteps(steps: number): number {
  return Math.min(MOST_STEPS, Math.max(1, Math.floor(steps / 10)));
}

/** @param losses those of the last steps, as many as `recentSteps` says. */
export function recentLoss(losses: readonly (number | null)[]): RecentLoss {
  const known = losses.filter((loss): loss is number => loss !== null && Number.isFinite(loss));
  return { loss: known.length === 0 ? null : sum(known) / known.length, steps: losses.length };
}

/** `mean of 20 steps`, or `last step`. */
export function recentWords({ steps }: Pick<RecentLoss, "steps">): string {
  return steps > 1 ? `mean of ${steps} steps` : "last step";
}
