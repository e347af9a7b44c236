import type { Settings } from "../config/settings.js";
import type { LossAtStep, RunState } from "./run-state.js";

/** The end of a run: after its last step, or before, when the held-out loss falls no more. */
export type Ending = "done" | "early";

/**
 * The end that a run comes to after this step; null where it goes on. A function of what a checkpoint holds, so that
 * a resumed run ends as well.
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
 * The best checkpoint for a run that goes on from the one of this step, out of those that are there: the one that it
 * knew as the best may have given way to a better one since then.
 */
export function bestOf(
  step: number,
  { best, evaluated }: Pick<RunState, "best" | "evaluated">,
  steps: readonly number[],
): LossAtStep | null {
  if (best !== null && steps.includes(best.step)) return best;
  return evaluated?.step === step ? evaluated : null;
}
