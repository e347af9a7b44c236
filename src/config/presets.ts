import type { Settings } from "./settings.js";

/** The shape of a LLaMA model; the vocabulary comes from the tokenizer. */
export interface ModelPreset {
  readonly hiddenSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly intermediateSize: number;
}

function shape(
  hiddenSize: number,
  numHiddenLayers: number,
  numAttentionHeads: number,
  intermediateSize: number,
): ModelPreset {
  return { hiddenSize, numHiddenLayers, numAttentionHeads, intermediateSize };
}

/**
 * Model sizes by name. 9m to 1b are those of the official ReLoRA code, named by their parameter count with a
 * vocabulary of 32,100; tiny and micro (0.1M and 0.3M parameters in the blocks) are for tests and as controls, nano
 * (1.8M) and small (4M) for a first run.
 */
export const MODEL_PRESETS: Readonly<Record<string, ModelPreset>> = {
  tiny: shape(64, 2, 2, 176),
  micro: shape(96, 3, 3, 256),
  nano: shape(192, 4, 6, 512),
  small: shape(256, 5, 8, 688),
  "9m": shape(128, 4, 4, 352),
  "20m": shape(256, 4, 4, 688),
  "35m": shape(384, 6, 8, 1024),
  "60m": shape(512, 8, 8, 1376),
  "130m": shape(768, 12, 12, 2048),
  "250m": shape(768, 24, 16, 2560),
  "350m": shape(1024, 24, 16, 2736),
  "1b": shape(2048, 24, 32, 5461),
};

/** True if `model` names a preset, so that its weights start at random; otherwise it is a folder. */
export function isModelPreset(model: string): boolean {
  return Object.hasOwn(MODEL_PRESETS, model);
}

/**
 * Training recipes by name. `quickstart` stands in where neither a config nor a model is named: a full-rank warm start
 * of a quarter of the steps, then four ReLoRA cycles on weights quantized to NF4, sized for minutes on two cores.
 * What it leaves out is derived.
 */
export const RECIPES: Readonly<Record<Exclude<Settings["preset"], "none">, Partial<Settings>>> = {
  quickstart: {
    model: "nano",
    data: "builtin:wordnet",
    vocabSize: 4096,
    rank: 32,
    quantize: "nf4",
    mergePolicy: "residual",
    maxSteps: 720,
    batchSize: 8,
    sequenceLength: 128,
    lr: 2e-3,
    adapterLr: 4e-3,
    beta2: 0.99,
    evalEvery: 90,
    evalTokens: 20_000,
    saveEvery: 180,
  },
};
