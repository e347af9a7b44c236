import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import type { Settings } from "../config/settings.js";
import { changePlan } from "../relora/plan-change.js";
import { reopenLastCycle, type SavedRun } from "../runs/saved-run.js";

/** A run that goes on, with the plan of its new length. */
export interface RunToGoOn {
  readonly saved: SavedRun;
  /** The changes of the learning rate and of the last cycle, in words; null where the length is what it was. */
  readonly change: string | null;
}

/** @throws ConfigError unless the steps done fit a run of the length that is asked for. */
export function withLength(saved: SavedRun, settings: Settings): RunToGoOn {
  const { checkpoint, state, settings: before } = saved;
  const { maxSteps } = settings;
  const { step, folder } = checkpoint;
  if (maxSteps < step) {
    throw new ConfigError(
      `${optionName("maxSteps")}: must be at least ${step}, the steps done at ${folder}, got ${maxSteps}; or name an earlier checkpoint`,
    );
  }
  const change = changePlan({ ...state, step }, before, settings);
  if (typeof change === "string" && maxSteps === step) {
    throw new ConfigError(
      `${optionName("maxSteps")}: ${step} steps are done already, of a run that was planned for ${state.maxSteps}; name more, ` +
        `or write the model as it is with highrank merge ${saved.folder} --out DIR`,
    );
  }
  if (typeof change === "string") {
    throw new ConfigError(
      `${optionName("maxSteps")}: the run was planned for ${state.maxSteps} steps and cannot go on to ${maxSteps}: ${change}; ` +
        "name another length",
    );
  }
  const planned = { ...saved, state: { ...state, stretches: change.stretches } };
  return { saved: change.reopens ? reopenLastCycle(planned) : planned, change: change.text };
}
