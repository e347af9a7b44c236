import { Linear } from "../nn/linear.js";
import { type Module, type ModuleSlot, moduleSlots } from "../nn/module.js";
import { QuantizedLinear } from "../quant/quantized-linear.js";
import { ConfigError } from "../tensor/errors.js";
import type { Rng } from "../tensor/random.js";
import { suggest } from "../tensor/suggest.js";
import type { LinearAdapter } from "./linear-adapter.js";
import type { LayerInputs } from "./low-rank-approximation.js";
import { type MergePolicy, requantize } from "./merge-policies.js";
import { MergeableLayer, MergeableLinear, MergeableQuantizedLinear, type MergeOutcome } from "./mergeable-layer.js";

export interface InjectionOptions {
  /** Names on disk, whole or from a dot on, such as `q_proj` or `layers.0.mlp.up_proj`; PEFT's rule for lists. */
  readonly targetModules: readonly string[];
  /** Makes the adapter of one layer. `name` is its name on disk. */
  readonly createAdapter: (inFeatures: number, outFeatures: number, rng: Rng, name: string) => LinearAdapter;
  /** How the quantized weight of a layer takes up merges. Default: `requantize` for every layer. */
  readonly createPolicy?: (name: string) => MergePolicy;
}

/**
 * Gives every targeted linear layer of `model` an adapter and freezes its weight. Returns the new layers by name.
 * @throws ConfigError for targets that match nothing, listing what exists.
 */
export function injectAdapters(
  model: Module,
  { targetModules, createAdapter, createPolicy = () => requantize() }: InjectionOptions,
  rng: Rng,
): Map<string, MergeableLayer> {
  const layers = new Map<string, MergeableLayer>();
  for (const [name, { slot, linear }] of targetedLinears(model, targetModules)) {
    const adapter = createAdapter(linear.inFeatures, linear.outFeatures, rng.fork(name), name);
    const layer =
      linear instanceof Linear
        ? new MergeableLinear(linear, adapter)
        : new MergeableQuantizedLinear(linear, adapter, createPolicy(name));
    layer.training = adapter.training = linear.training;
    slot.replace(layer);
    layers.set(name, layer);
  }
  return layers;
}

/** A linear layer without an adapter, and its place in the model. */
export interface TargetedLinear {
  readonly slot: ModuleSlot;
  readonly linear: Linear | QuantizedLinear;
}

/**
 * The linear layers of `model` that the targets name, by their names on disk, in the order of the model. A target is a name,
 * whole or from a dot on. @throws ConfigError for targets that match nothing, listing what exists.
 */
export function targetedLinears(model: Module, targets: readonly string[]): Map<string, TargetedLinear> {
  const linears = linearLayers(model);
  const matches = (name: string, target: string) => name === target || name.endsWith(`.${target}`);
  const unmatched = targets.filter((target) => ![...linears.keys()].some((name) => matches(name, target)));
  if (unmatched.length > 0 || targets.length === 0) {
    throw new ConfigError(
      describeUnmatched(unmatched, [...new Set([...linears.keys()].map((name) => name.split(".").at(-1)!))]),
    );
  }
  return new Map([...linears].filter(([name]) => targets.some((target) => matches(name, target))));
}

/** All linear layers of `model` that have no adapter, by their names on disk. */
export function linearLayers(model: Module): Map<string, TargetedLinear> {
  const linears = new Map<string, TargetedLinear>();
  for (const slot of moduleSlots(model)) {
    const linear = slot.module;
    if (linear instanceof Linear || linear instanceof QuantizedLinear) {
      linears.set(model.checkpointName(slot.path), { slot, linear });
    }
  }
  return linears;
}

/** The layers of `model` that own an adapter, by their names on disk. */
export function mergeableLayers(model: Module): Map<string, MergeableLayer> {
  return new Map(
    moduleSlots(model).flatMap(({ path, module }) =>
      module instanceof MergeableLayer ? [[model.checkpointName(path), module] as const] : [],
    ),
  );
}

/**
 * Merges and restarts every adapter of `model`. Optimizer state of adapter parameters is stale afterwards.
 * @param inputs what each layer was fed, for policies that use it. @returns what each merge did, by the layer's name on disk.
 */
export async function mergeAdapters(
  model: Module,
  rng: Rng,
  inputs?: ReadonlyMap<string, LayerInputs>,
): Promise<Map<string, MergeOutcome>> {
  const outcomes = new Map<string, MergeOutcome>();
  for (const [name, layer] of mergeableLayers(model)) {
    outcomes.set(name, await layer.mergeAdapter(rng.fork(name), inputs?.get(name)));
  }
  return outcomes;
}

/** Draws new dropout masks for the next training step. */
export function redrawDropout(model: Module, rng: Rng): void {
  for (const [name, layer] of mergeableLayers(model)) layer.adapter.redrawDropout(rng.fork(name));
}

function describeUnmatched(unmatched: readonly string[], existing: readonly string[]): string {
  const list = `linear layers are ${existing.join(", ")}`;
  if (unmatched.length === 0) return `target modules: name at least one; ${list}`;
  const hints = unmatched.map((target) => {
    const nearest = suggest(target, existing);
    return nearest === undefined ? `"${target}"` : `"${target}" (did you mean "${nearest}"?)`;
  });
  return `target modules: ${hints.join(", ")} match no linear layer of the model; ${list}`;
}
