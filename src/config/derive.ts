import { optionName } from "../base/naming.js";
import { isModelPreset } from "./presets.js";
import type { DerivedKey, SettingKey, Settings } from "./settings.js";

interface Derivation<K extends DerivedKey> {
  /** Settings that the value is computed from; it is computed after them. */
  readonly from: readonly SettingKey[];
  readonly value: (settings: Settings) => Settings[K];
}

const LENGTH = ["maxSteps", "maxTrainTokens", "totalBatchSize", "sequenceLength"] as const;

/** The rule of each setting without a default, in an order in which they can be computed. */
export const DERIVATIONS: { readonly [K in DerivedKey]: Derivation<K> } = {
  totalBatchSize: { from: ["batchSize"], value: ({ batchSize }) => batchSize },
  alpha: { from: ["rank"], value: ({ rank }) => rank },
  trainModules: {
    from: ["method", "model"],
    value: ({ method, model }) => (method === "lora" && !isModelPreset(model) ? [] : ["embeddings", "norms", "head"]),
  },
  lr: { from: ["model"], value: ({ model }) => (isModelPreset(model) ? 1e-3 : 2e-4) },
  adapterLr: { from: ["lr"], value: ({ lr }) => lr },
  schedule: {
    from: ["method", "restartShare"],
    // What goes on is not to stand still for what restarts.
    value: ({ method, restartShare }) => (method === "relora" && restartShare === 1 ? "cosine_restarts" : "cosine"),
  },
  warmStartSteps: {
    from: ["method", "model", ...LENGTH],
    value: (settings) =>
      settings.method !== "full" && isModelPreset(settings.model) ? Math.floor(stepsOfRun(settings) / 4) : 0,
  },
  reloraEvery: {
    from: ["warmStartSteps", ...LENGTH],
    value: (settings) => Math.max(1, Math.ceil((stepsOfRun(settings) - settings.warmStartSteps) / 4)),
  },
  cycleLength: { from: ["reloraEvery"], value: ({ reloraEvery }) => reloraEvery },
  restartWarmupSteps: {
    from: ["cycleLength"],
    value: ({ cycleLength }) => Math.min(50, Math.floor(cycleLength / 10)),
  },
  warmupSteps: {
    from: ["method", "warmStartSteps", "cycleLength", ...LENGTH],
    value: (settings) => Math.min(100, Math.floor(firstStretch(settings).steps / 10)),
  },
};

/**
 * The number of optimizer steps of the run: maxSteps, or fewer where maxTrainTokens is used up before.
 * Every step trains on totalBatchSize packed sequences of sequenceLength tokens.
 */
export function stepsOfRun(settings: Settings): number {
  const { maxSteps, maxTrainTokens, totalBatchSize, sequenceLength } = settings;
  if (maxTrainTokens === null) return maxSteps;
  return Math.min(maxSteps, Math.floor(maxTrainTokens / (totalBatchSize * sequenceLength)));
}

/** The steps within which the first warm-up has to end, and the name of what bounds them. */
export function firstStretch(settings: Settings): { steps: number; name: string } {
  const { method, warmStartSteps, cycleLength } = settings;
  const run = stepsOfRun(settings);
  if (method !== "full" && warmStartSteps > 0) return { steps: warmStartSteps, name: optionName("warmStartSteps") };
  if (method === "relora" && cycleLength < run) return { steps: cycleLength, name: optionName("cycleLength") };
  return { steps: run, name: "the steps of the run" };
}
