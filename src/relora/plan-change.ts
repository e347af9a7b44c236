import { planStep, type ReloraConfig, type StepPlan } from "./plan.js";

/**
 * The reason why a run that has done `steps` steps under one plan cannot go on under another as if that had been its
 * plan from the start; null where it can. A reset that the last step of a plan leaves out can be done later.
 */
export function planConflict(before: ReloraConfig, after: ReloraConfig, steps: number): string | null {
  for (let step = 1; step <= steps; step++) {
    const [done, wanted] = [planStep(step, before), planStep(step, after)];
    for (const key of Object.keys(CONFLICTS) as (keyof typeof CONFLICTS)[]) {
      if (done[key] === wanted[key] || (key === "resetOptimizer" && step === steps && wanted[key])) continue;
      return `step ${step} ${CONFLICTS[key](done, wanted, before)}`;
    }
  }
  return null;
}

type Describe = (done: StepPlan, wanted: StepPlan, config: ReloraConfig) => string;

const CONFLICTS: Readonly<Record<Exclude<keyof StepPlan, "step">, Describe>> = {
  phase: (done, wanted) => `was part of the phase ${done.phase} and would belong to ${wanted.phase}`,
  cycle: (done, wanted) => `was part of cycle ${done.cycle} and would belong to cycle ${wanted.cycle}`,
  addAdapters: () => "would begin the adapters at another place",
  lrMultiplier: (done, wanted, { schedule }) =>
    `ran at ${percent(done.lrMultiplier)} of the peak learning rate and ` +
    `would run at ${percent(wanted.lrMultiplier)}: ` +
    `schedule ${schedule} depends on the length of the run, constant does not`,
  merge: ({ merge }) => (merge ? "merged the adapters because it was the last one" : "would merge the adapters"),
  mergeShare: () => "merged whole adapters because it was the last one",
  resetOptimizer: () => "reset the optimizer's state and would not",
};

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}
