import { injectAdapters, mergeableLayers, type TargetedLinear, targetedLinears } from "../adapters/inject.js";
import { LoRAAdapter } from "../adapters/lora-adapter.js";
import type { MergePolicy } from "../adapters/merge-policies.js";
import type { Settings } from "../config/settings.js";
import { type CausalLM, modelParts } from "../models/causal-lm.js";
import type { Parameter } from "../nn/module.js";
import { ConfigError } from "../tensor/errors.js";
import type { Rng } from "../tensor/random.js";

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
  model: CausalLM,
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
  const trained: ReadonlySet<string> = new Set(trainModules);
  for (const [parameter, part] of modelParts(model)) {
    parameter.trainable = adapters.has(parameter) || trained.has(part);
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
export function loraAdapters(model: CausalLM): Map<string, LoRAAdapter> {
  const adapters = new Map<string, LoRAAdapter>();
  for (const [name, { adapter }] of mergeableLayers(model)) {
    if (adapter instanceof LoRAAdapter) adapters.set(name, adapter);
  }
  return adapters;
}

/** loraA and loraB of every adapter, by name. */
export function adapterParameters(model: CausalLM): Map<string, Parameter> {
  const parameters = new Map<string, Parameter>();
  for (const [name, { loraA, loraB }] of loraAdapters(model)) {
    parameters.set(`${name}.adapter.loraA`, loraA);
    parameters.set(`${name}.adapter.loraB`, loraB);
  }
  return parameters;
}
