import { injectAdapters, mergeableLayers } from "../adapters/inject.js";
import { LoRAAdapter } from "../adapters/lora-adapter.js";
import { MergeableLayer } from "../adapters/mergeable-layer.js";
import type { Settings } from "../config/settings.js";
import type { LlamaForCausalLM } from "../models/llama.js";
import { Linear } from "../nn/linear.js";
import { moduleSlots, type Parameter } from "../nn/module.js";
import { ConfigError } from "../tensor/errors.js";
import type { Rng } from "../tensor/random.js";
import { diskParameters } from "./model-source.js";

/** The settings that say which adapters a model gets. */
export type AdapterSettings = Pick<
  Settings,
  "rank" | "alpha" | "rslora" | "dropout" | "adapterInit" | "targetModules" | "trainModules"
>;

/** Adapts the targeted layers and freezes all that trainModules does not name. @throws ConfigError for unknown targets. */
export function addAdapters(model: LlamaForCausalLM, settings: AdapterSettings, rng: Rng): void {
  const { rank, alpha, rslora, dropout, adapterInit: initialization, targetModules, trainModules } = settings;
  injectAdapters(
    model,
    {
      targetModules,
      createAdapter: (inFeatures, outFeatures, stream) =>
        new LoRAAdapter(inFeatures, outFeatures, { rank, alpha, rslora, dropout, initialization }, stream),
    },
    rng,
  );
  const adapters = new Set(adapterParameters(model).values());
  for (const [name, parameter] of diskParameters(model)) {
    const part = partOf(name);
    parameter.trainable = adapters.has(parameter) || (part !== "linear" && trainModules.includes(part));
  }
}

/** The adapters of a model by the name of their layer. */
export function loraAdapters(model: LlamaForCausalLM): Map<string, LoRAAdapter> {
  const adapters = new Map<string, LoRAAdapter>();
  for (const [name, { adapter }] of mergeableLayers(model)) {
    if (adapter instanceof LoRAAdapter) adapters.set(name, adapter);
  }
  return adapters;
}

/** loraA and loraB of every adapter, by name. */
export function adapterParameters(model: LlamaForCausalLM): Map<string, Parameter> {
  const parameters = new Map<string, Parameter>();
  for (const [name, { loraA, loraB }] of loraAdapters(model)) {
    parameters.set(`${name}.adapter.loraA`, loraA);
    parameters.set(`${name}.adapter.loraB`, loraB);
  }
  return parameters;
}

/** The part of a model that a weight belongs to, by its name on disk. */
export function partOf(name: string): "embeddings" | "head" | "norms" | "linear" {
  if (name.endsWith("embed_tokens.weight")) return "embeddings";
  if (name === "lm_head.weight") return "head";
  return name.endsWith("norm.weight") ? "norms" : "linear";
}

/**
 * How many weights the run trains once it has adapters. Leaves the model as it was.
 * @throws ConfigError, before any training, for targets that match nothing and layers that the rank exceeds.
 */
export function checkAdapters(model: LlamaForCausalLM, settings: AdapterSettings, rng: Rng): number {
  const faults: string[] = [];
  let trainable = 0;
  injectAdapters(
    model,
    {
      targetModules: settings.targetModules,
      createAdapter: (inFeatures, outFeatures, stream, name) => {
        const largest = Math.min(inFeatures, outFeatures);
        if (settings.rank > largest) faults.push(`${name} (${outFeatures} × ${inFeatures}) takes at most ${largest}`);
        trainable += settings.rank * (inFeatures + outFeatures);
        return new LoRAAdapter(inFeatures, outFeatures, { rank: 1 }, stream);
      },
    },
    rng,
  );
  for (const slot of moduleSlots(model)) {
    if (!(slot.module instanceof MergeableLayer)) continue;
    slot.module.weight.trainable = true;
    slot.replace(new Linear(slot.module.weight));
  }
  if (faults.length > 0) {
    const shown = faults.slice(0, 8).join("\n");
    throw new ConfigError(
      `rank: ${settings.rank} exceeds ${faults.length} of the targeted layers; lower the rank or leave them out of ` +
        `targetModules:\n${shown}`,
    );
  }
  for (const [name, { size }] of diskParameters(model)) {
    const part = partOf(name);
    if (part !== "linear" && settings.trainModules.includes(part)) trainable += size;
  }
  return trainable;
}
