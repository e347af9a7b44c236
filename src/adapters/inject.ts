import { Linear } from "../nn/linear.js";
import { type Module, moduleSlots } from "../nn/module.js";
import { ConfigError } from "../tensor/errors.js";
import type { Rng } from "../tensor/random.js";
import { suggest } from "../tensor/suggest.js";
import type { LinearAdapter } from "./linear-adapter.js";
import { MergeableLayer, MergeableLinear } from "./mergeable-layer.js";

export interface InjectionOptions {
  /** Names on disk, whole or from a dot on, such as `q_proj` or `layers.0.mlp.up_proj`; PEFT's rule for lists. */
  readonly targetModules: readonly string[];
  /** Makes the adapter of one layer. `name` is its name on disk. */
  readonly createAdapter: (inFeatures: number, outFeatures: number, rng: Rng, name: string) => LinearAdapter;
}

/**
 * Gives every targeted linear layer of `model` an adapter and freezes its weight. Returns the new layers by name.
 * @throws ConfigError for targets that match nothing, listing what exists.
 */
export function injectAdapters(
  model: Module,
  { targetModules, createAdapter }: InjectionOptions,
  rng: Rng,
): Map<string, MergeableLinear> {
  const linears = moduleSlots(model).flatMap((slot) =>
    slot.module instanceof Linear ? [{ slot, linear: slot.module, name: model.checkpointName(slot.path) }] : [],
  );
  const matches = (name: string, target: string) => name === target || name.endsWith(`.${target}`);
  const unmatched = targetModules.filter((target) => !linears.some(({ name }) => matches(name, target)));
  if (unmatched.length > 0 || targetModules.length === 0) {
    throw new ConfigError(
      describeUnmatched(unmatched, [...new Set(linears.map(({ name }) => name.split(".").at(-1)!))]),
    );
  }
  const layers = new Map<string, MergeableLinear>();
  for (const { slot, linear, name } of linears) {
    if (!targetModules.some((target) => matches(name, target))) continue;
    const adapter = createAdapter(linear.inFeatures, linear.outFeatures, rng.fork(name), name);
    const layer = new MergeableLinear(linear, adapter);
    layer.training = adapter.training = linear.training;
    slot.replace(layer);
    layers.set(name, layer);
  }
  return layers;
}

/** The layers of `model` that own an adapter, by their names on disk. */
export function mergeableLayers(model: Module): Map<string, MergeableLayer> {
  return new Map(
    moduleSlots(model).flatMap(({ path, module }) =>
      module instanceof MergeableLayer ? [[model.checkpointName(path), module] as const] : [],
    ),
  );
}

/** Merges and resets every adapter of `model`. Optimizer state of adapter parameters is stale afterwards. */
export async function mergeAdapters(model: Module, rng: Rng): Promise<void> {
  for (const [name, layer] of mergeableLayers(model)) await layer.mergeAdapter(rng.fork(name));
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
