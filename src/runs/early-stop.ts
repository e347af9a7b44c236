import type { Settings } from "../config/settings.js";
import type { LossAtStep, RunState } from "./run-state.js";

/** The end of a run: `done` after its last step, or `early` before it, when the held-out loss falls no more. */
export type Ending = "done" | "early";

/**
 * The ending of a run after this step; null where it goes on. It depends on what a checkpoint holds, so that a resumed
 * run ends as well.
 */
export function endingOf(
  step: number,
  { waited }: Pick<RunState, "waited">,
  { maxSteps, patience }: Pick<Settings, "maxSteps" | "patience">,
): Ending | null {
  if (step === maxSteps) return "done";
  return patience !== null && waited >= patience ? "early" : null;
}

/** The step of the checkpoint that the finished model and adapter are made of. */
export function publishedStep(
  step: number,
  { best }: Pick<RunState, "best">,
  { loadBest }: Pick<Settings, "loadBest">,
): number {
  return loadBest && best !== null ? best.step : step;
}

/**
 * The best checkpoint of those that are there, for a run that goes on from the one of this step: the one that it knew
 * as the best may have given way to a better one since then.
 */
export function bestOf(
  step: number,
  { best, evaluated }: Pick<RunState, "best" | "evaluated">,
  steps: readonly number[],
): LossAtStep | null {
  if (best !== null && steps.includes(best.step)) return best;
  return evaluated?.step === step ? evaluated : null;
}
