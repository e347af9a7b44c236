import type { RunPhase, RunStatus } from "./study-run.js";

/** The length and the progress of a run. */
export interface PlannedRun {
  readonly arm: string;
  readonly seed: number;
  readonly steps: number;
  /** Tokens to train on in all. */
  readonly tokens: number;
  readonly phase: RunPhase;
  /** Steps done. */
  readonly step: number;
}

export interface StudyPlan {
  readonly runs: readonly PlannedRun[];
  /** Share of all tokens that are still to be trained on, from 0 to 1. */
  readonly left: number;
}

export function planStudy(statuses: readonly RunStatus[]): StudyPlan {
  let [all, left] = [0, 0];
  const runs = statuses.map(({ run, phase, step }): PlannedRun => {
    const { maxSteps, totalBatchSize, sequenceLength } = run.settings;
    const ofStep = totalBatchSize * sequenceLength;
    all += ofStep * maxSteps;
    if (phase === "new" || phase === "begun") left += ofStep * (maxSteps - step);
    return { arm: run.arm, seed: run.seed, steps: maxSteps, tokens: ofStep * maxSteps, phase, step };
  });
  return { runs, left: left / all };
}
