import type { MetricsRecord } from "../runs/metrics.js";
import { measureSpeed, type Speed } from "../training/speed.js";
import type { RunStatus } from "./study-run.js";

/**
 * The time that the runs which are left will take on this machine, in seconds: at the pace of runs of the same arm that
 * have ended, or else of two steps that are measured for it.
 * @param parallel runs at a time.
 */
export async function secondsLeft(statuses: readonly RunStatus[], parallel: number): Promise<number> {
  const paces = new Map<string, Speed>();
  for (const { run, records } of statuses) {
    const pace = paceOf(records);
    if (pace !== null) paces.set(run.arm, pace);
  }
  let seconds = 0;
  for (const { run, phase, step } of statuses) {
    if (phase !== "new" && phase !== "begun") continue;
    const { maxSteps, evalEvery } = run.settings;
    const pace = paces.get(run.arm) ?? (await measureSpeed(run.settings));
    paces.set(run.arm, pace);
    const evaluations = 1 + (evalEvery === null ? 0 : Math.floor((maxSteps - step) / evalEvery));
    seconds += (maxSteps - step) * pace.secondsPerStep + evaluations * pace.secondsPerEvaluation;
  }
  return seconds / parallel;
}

/** The pace of a run that has ended, with its evaluations among its steps. */
function paceOf(records: readonly MetricsRecord[]): Speed | null {
  const end = records.findLast((record) => record.kind === "end");
  if (end === undefined || end.step === 0) return null;
  return { secondsPerStep: end.seconds / end.step, secondsPerEvaluation: 0 };
}
