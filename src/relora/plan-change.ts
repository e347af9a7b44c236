import { formatLearningRate, formatShare } from "../base/numbers.js";
import type { Settings } from "../config/settings.js";
import { planStep, type ReloraConfig, type StepPlan, type Stretch, transitionSteps } from "./plan.js";

/** The plan of a run that goes on with another length. */
export interface PlanChange {
  /** The lengths of before that its steps had; to go into the {@link ReloraConfig} of the steps to come. */
  readonly stretches: readonly Stretch[];
  /** True if the last step merged the adapters only because it was the last: the cycle is to be taken up again. */
  readonly reopens: boolean;
  /** The changes in words; null where the length is what it was. */
  readonly text: string | null;
}

/** A run up to one of its checkpoints. */
export interface DonePart {
  /** Completed steps. */
  readonly step: number;
  /** The length that they were planned for last. */
  readonly maxSteps: number;
  readonly stretches: readonly Stretch[];
  /** Steps after which full adapters were restarted. */
  readonly restarts: readonly number[];
}

/** The settings that {@link changePlan} reads. */
export type PlanSettings = ReloraConfig & Pick<Settings, "lr" | "adapterLr">;

/**
 * The plan of a run that goes on after the steps that are done, or the reason why it cannot. What was done stays as it
 * was: where the learning rates of those steps depended on the length, they are kept as a stretch of their own.
 */
export function changePlan(done: DonePart, before: PlanSettings, after: PlanSettings): PlanChange | string {
  const { step, maxSteps, stretches, restarts } = done;
  const planned = { ...before, maxSteps, stretches, restarts };
  const isSame = ratesAgree(planned, { ...after, stretches, restarts }, step);
  const kept = isSame ? stretches : [...stretches, { until: step, maxSteps }];
  const wanted = { ...after, stretches: kept, restarts };
  const conflict = planConflict(planned, wanted, step);
  if (conflict !== null) return conflict;
  const [was, is] = [planStep(step, planned), planStep(step, wanted)];
  const reopens = was.merge && !is.merge;
  const adapters = reopens
    ? "; the adapters of the last step, which the finished model had merged, go on"
    : was.mergeShare > is.mergeShare
      ? "; the last step has merged and restarted all directions, of which it would have taken " +
        formatShare(is.mergeShare)
      : "";
  const text = maxSteps === after.maxSteps ? null : describeChange(planned, wanted, { step, isSame, adapters });
  return { stretches: kept, reopens, text };
}

function ratesAgree(one: ReloraConfig, other: ReloraConfig, steps: number): boolean {
  for (let step = 1; step <= steps; step++) {
    if (planStep(step, one).lrMultiplier !== planStep(step, other).lrMultiplier) return false;
  }
  return true;
}

/**
 * The reason why a run that has done `steps` steps under one plan cannot go on under another; null where it can. What
 * the last step of a plan does or leaves out, because it is the last, can be taken back or done later.
 */
export function planConflict(before: ReloraConfig, after: ReloraConfig, steps: number): string | null {
  for (let step = 1; step <= steps; step++) {
    const [done, wanted] = [planStep(step, before), planStep(step, after)];
    const wasLast = step === steps && step === before.maxSteps;
    for (const key of Object.keys(CONFLICTS) as (keyof typeof CONFLICTS)[]) {
      if (done[key] === wanted[key] || (wasLast && OF_THE_LAST_STEP.includes(key))) continue;
      return `step ${step} ${CONFLICTS[key](done, wanted)}`;
    }
  }
  return null;
}

const OF_THE_LAST_STEP: readonly (keyof StepPlan)[] = ["merge", "mergeShare", "resetOptimizer"];

type Describe = (done: StepPlan, wanted: StepPlan) => string;

const CONFLICTS: Readonly<Record<Exclude<keyof StepPlan, "step" | "lrMultiplier">, Describe>> = {
  phase: (done, wanted) => `was part of the phase ${done.phase} and would belong to ${wanted.phase}`,
  cycle: (done, wanted) => `was part of cycle ${done.cycle} and would belong to cycle ${wanted.cycle}`,
  addAdapters: () => "would begin the adapters at another place",
  merge: ({ merge }) =>
    merge ? "merged the adapters and would not" : "would merge the adapters, as the last one does",
  mergeShare: () => "would merge another share of the adapters",
  resetOptimizer: () => "would treat the optimizer's state in another way",
};

/** A sentence on what becomes of the learning rate and of the last cycle. */
function describeChange(
  before: PlanSettings & { readonly maxSteps: number },
  after: PlanSettings,
  { step, isSame, adapters }: { step: number; isSame: boolean; adapters: string },
): string {
  const { maxSteps, schedule } = after;
  const lengths = `${before.maxSteps} steps become ${maxSteps}`;
  if (step === maxSteps) return `${lengths}, which are done${adapters}`;
  if (isSame) return `${lengths}; the learning rate is that of a run planned so from the start${adapters}`;
  const transition = transitionSteps(step, after);
  const arrives = Math.min(maxSteps, step + Math.max(1, transition));
  const way =
    transition > 0
      ? `it moves within ${transition} ${transition === 1 ? "step" : "steps"} to ${rateText(arrives, after)}`
      : "a restart begins there anyhow";
  return (
    `${lengths}; the learning rate stood at ${rateText(step, before)} on ${schedule} over ${before.maxSteps} steps: ` +
    `${way}, follows ${schedule} over ${maxSteps} steps and ends at ${rateText(maxSteps, after)}${adapters}`
  );
}

function rateText(step: number, settings: PlanSettings): string {
  const { phase, lrMultiplier } = planStep(step, settings);
  return formatLearningRate((phase === "adapter" ? settings.adapterLr : settings.lr) * lrMultiplier);
}
