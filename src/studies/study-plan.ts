import type { RunPhase, RunStatus } from "./study-run.js";

/** The length and the progress of a run. */
export interface PlannedRun {
  readonly arm: string;
  readonly seed: number;
  readonly steps: number;
  /** Tokens to train on in all, without padding. */
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
    const { arm, seed, settings, tokensPerStep } = run;
    const { maxSteps } = settings;
    const tokens = tokensPerStep * maxSteps;
    all += tokens;
    if (phase === "new" || phase === "begun") left += tokensPerStep * (maxSteps - step);
    return { arm, seed, steps: maxSteps, tokens: Math.round(tokens), phase, step };
  });
  return { runs, left: left / all };
}
