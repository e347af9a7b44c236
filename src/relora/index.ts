export { appendDelta, type Delta, readDeltas } from "./delta-log.js";
export {
  describePlan,
  type Phase,
  type PhaseName,
  planRun,
  planStep,
  type ReloraConfig,
  type RunPlan,
  type StepPlan,
} from "./plan.js";
