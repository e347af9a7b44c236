import { isModelPreset } from "./presets.js";
import type { Setting, Settings } from "./settings.js";

/** The two jobs of a run, which have defaults of their own: a model that starts at random, or one that has learned. */
export type Job = "from scratch" | "fine-tune";

export function jobOf({ model }: Pick<Settings, "model">): Job {
  return isModelPreset(model) ? "from scratch" : "fine-tune";
}

/** The default of a setting in a job: a value, the rule that gives one, or the reason why there is none. */
export type JobDefault =
  | { readonly value: Exclude<Setting["default"], undefined> }
  | { readonly derived: string }
  | { readonly required: string };

export function defaultIn(job: Job, { default: value, derived, fineTune }: Setting): JobDefault {
  const own = job === "fine-tune" ? fineTune : undefined;
  if (own !== undefined) {
    const isValue = own === null || typeof own !== "object" || Array.isArray(own);
    return isValue ? { value: own as Exclude<Setting["default"], undefined> } : (own as JobDefault);
  }
  return value === undefined ? { derived: derived! } : { value };
}
