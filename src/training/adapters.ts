import { injectAdapters, mergeableLayers, type TargetedLinear, targetedLinears } from "../adapters/inject.js";
import { LoRAAdapter } from "../adapters/lora-adapter.js";
import type { MergePolicy } from "../adapters/merge-policies.js";
import type { Settings } from "../config/settings.js";
import type { LlamaForCausalLM } from "../models/llama.js";
import type { Parameter } from "../nn/module.js";
import { ConfigError } from "../tensor/errors.js";
import type { Rng } from "../tensor/random.js";
import { diskParameters } from "./model-source.js";

/** The settings that say which adapters a model gets. */
export type AdapterSettings = Pick<
  Settings,
  "rank" | "alpha" | "rslora" | "dropout" | "adapterInit" | "targetModules" | "trainModules"
>;

/**
 * Adapts the targeted layers and freezes all that trainModules does not name.
 * @param createPolicy how the quantized weight of the layer of that name takes up merges.
 * @throws ConfigError, before anything changes, for targets that match nothing and layers that the rank exceeds.
 */
export function addAdapters(
  model: LlamaForCausalLM,
  settings: AdapterSettings,
  rng: Rng,
  createPolicy?: (name: string) => MergePolicy,
): void {
  const { rank, alpha, rslora, dropout, adapterInit: initialization, targetModules, trainModules } = settings;
  requireRank(rank, targetedLinears(model, targetModules));
  injectAdapters(
    model,
    {
      targetModules,
      createAdapter: (inFeatures, outFeatures, stream) =>
        new LoRAAdapter(inFeatures, outFeatures, { rank, alpha, rslora, dropout, initialization }, stream),
      ...(createPolicy !== undefined && { createPolicy }),
    },
    rng,
  );
  const adapters = new Set(adapterParameters(model).values());
  for (const [name, parameter] of diskParameters(model)) {
    const part = partOf(name);
    parameter.trainable = adapters.has(parameter) || (part !== "linear" && trainModules.includes(part));
  }
}

function requireRank(rank: number, targets: ReadonlyMap<string, TargetedLinear>): void {
  const faults: string[] = [];
  for (const [name, { linear }] of targets) {
    const { inFeatures, outFeatures } = linear;
    const largest = Math.min(inFeatures, outFeatures);
    if (rank > largest) faults.push(`${name} (${outFeatures} × ${inFeatures}) takes at most ${largest}`);
  }
  if (faults.length === 0) return;
  throw new ConfigError(
    `rank: ${rank} exceeds ${faults.length} of the targeted layers; lower the rank or leave them out of ` +
      `targetModules:\n${faults.slice(0, 8).join("\n")}`,
  );
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
