import { FUNCTION, instanceOf, OBJECT, requireArguments } from "../base/arguments.js";
import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { sum } from "../base/numbers.js";
import { suggest } from "../base/suggest.js";
import { Linear } from "../nn/linear.js";
import { Module, type ModuleSlot, moduleSlots, namedParameters, type Parameter } from "../nn/module.js";
import { QuantizedLinear } from "../quant/quantized-linear.js";
import { RNG, type Rng } from "../tensor/random.js";
import { type FrozenWeight, frozenWeight } from "./frozen-weight.js";
import type { AdapterPart, LinearAdapter } from "./linear-adapter.js";
import { type MergePolicy, requantize } from "./merge-policies.js";
import {
  MergeableLayer,
  MergeableLinear,
  MergeableQuantizedLinear,
  type MergeOutcome,
  type RestartOptions,
} from "./mergeable-layer.js";
import { isAllLinear, missingLayers, patternFault, selectModules, type TargetRule } from "./target-modules.js";

const MODULE = instanceOf("a Module", Module);

/** The layers to adapt, by their names on disk, and the adapters that they get. */
export interface InjectionOptions extends TargetRule {
  /** Makes the adapter of one layer. `name` is its name on disk, `weight` what lies under the adapter. */
  readonly createAdapter: (
    inFeatures: number,
    outFeatures: number,
    rng: Rng,
    name: string,
    weight: FrozenWeight,
  ) => LinearAdapter;
  /** Merge policy of the quantized weight of a layer. Default: `requantize` for every layer. */
  readonly createPolicy?: (name: string) => MergePolicy;
}

/**
 * Gives every targeted linear layer of `model` an adapter and freezes its weight. Returns the new layers by name.
 * @throws ConfigError for targets that match nothing, listing what exists.
 */
export function injectAdapters(model: Module, options: InjectionOptions, rng: Rng): Map<string, MergeableLayer> {
  requireArguments("injectAdapters", { model: MODULE, options: OBJECT, rng: RNG }, { model, options, rng });
  const { createAdapter, createPolicy = () => requantize(), ...rule } = options;
  requireArguments("injectAdapters", { createAdapter: FUNCTION }, { createAdapter });
  const layers = new Map<string, MergeableLayer>();
  for (const [name, { slot, linear }] of targetedLinears(model, rule)) {
    const { inFeatures, outFeatures } = linear;
    const adapter = createAdapter(inFeatures, outFeatures, rng.fork(name), name, frozenWeight(linear));
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
 * The linear layers of `model` that the rule chooses, by their names on disk, in the order of the model.
 * @throws ConfigError for targets that match nothing, listing what exists, and for patterns that cannot be used.
 */
export function targetedLinears(model: Module, rule: TargetRule): Map<string, TargetedLinear> {
  const linears = linearLayers(model);
  const names = [...linears.keys()];
  const { targetModules: targets, excludeModules } = rule;
  for (const pattern of [targets, excludeModules]) {
    const fault = typeof pattern === "string" && !isAllLinear(pattern) ? patternFault(pattern) : null;
    if (fault !== null) throw new ConfigError(`target modules: the regular expression ${pattern} ${fault}`);
  }
  const each = typeof targets === "string" ? [targets] : targets.map((target) => [target]);
  const unmatched = each.filter((targetModules) => selectModules(names, { targetModules }).length === 0).flat();
  if (unmatched.length > 0 || targets.length === 0) {
    throw new ConfigError(`target modules: ${describeUnmatched(unmatched, names)}`);
  }
  const missing = missingLayers(names, rule);
  if (missing.length > 0) {
    throw new ConfigError(
      `target modules: ${optionName("layersToTransform")} has ${missing.join(", ")}, which the model has no layer of`,
    );
  }
  const chosen = new Set(selectModules(names, rule));
  if (chosen.size === 0) {
    const rules = `${optionName("excludeModules")} and ${optionName("layersToTransform")}`;
    throw new ConfigError(`target modules: ${rules} leave no layer; loosen one of them`);
  }
  return new Map([...linears].filter(([name]) => chosen.has(name)));
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
 * Merges and restarts every adapter of `model`. Optimizer state of what was restarted is stale afterwards.
 * @param optionsOf how the layer of that name is merged. @returns what each merge did, by the layer's name on disk.
 */
export async function mergeAdapters(
  model: Module,
  rng: Rng,
  optionsOf: (name: string) => RestartOptions = () => ({}),
): Promise<Map<string, MergeOutcome>> {
  requireArguments("mergeAdapters", { model: MODULE, rng: RNG }, { model, rng });
  const outcomes = new Map<string, MergeOutcome>();
  for (const [name, layer] of mergeableLayers(model)) {
    outcomes.set(name, await layer.mergeAdapter(rng.fork(name), optionsOf(name)));
  }
  return outcomes;
}

/** Draws new dropout masks for the next training step. @param rows as for `LinearAdapter.redrawDropout`. */
export function redrawDropout(model: Module, rng: Rng, rows?: number): void {
  for (const [name, layer] of mergeableLayers(model)) layer.adapter.redrawDropout(rng.fork(name), rows);
}

/** Names that match none of these modules, with the nearest that exist. */
export function describeUnmatched(unmatched: readonly string[], modules: readonly string[]): string {
  const existing = [...new Set(modules.map((name) => name.split(".").at(-1)!))];
  const list = `linear layers are ${existing.join(", ")}`;
  if (unmatched.length === 0) return `name at least one; ${list}`;
  const hints = unmatched.map((target) => {
    const nearest = suggest(target, existing);
    return nearest === undefined ? `"${target}"` : `"${target}" (did you mean "${nearest}"?)`;
  });
  return `${hints.join(", ")} ${hints.length === 1 ? "matches" : "match"} no linear layer of the model; ${list}`;
}

/** The adapters of a model by the name of their layer. */
export function adaptersOf(model: Module): Map<string, LinearAdapter> {
  return new Map([...mergeableLayers(model)].map(([name, { adapter }]) => [name, adapter] as const));
}

/** A tensor of an adapter. */
export interface AdapterTensor {
  /** The name of the adapter's layer. */
  readonly layer: string;
  /** The property of the adapter that holds it. */
  readonly name: string;
  readonly parameter: Parameter;
}

/** Every tensor of the adapters of a model, trained or not, by its name on disk: `LAYER.adapter.NAME`. */
export function adapterTensors(model: Module): Map<string, AdapterTensor> {
  const tensors = new Map<string, AdapterTensor>();
  for (const { path, module } of moduleSlots(model)) {
    if (!(module instanceof MergeableLayer)) continue;
    const layer = model.checkpointName(path);
    for (const [name, parameter] of namedParameters(module.adapter)) {
      tensors.set(model.checkpointName(`${path}.adapter.${name}`), { layer, name, parameter });
    }
  }
  return tensors;
}

/** The parameters among them. */
export function adapterParameters(model: Module): Map<string, Parameter> {
  return new Map([...adapterTensors(model)].map(([name, { parameter }]) => [name, parameter] as const));
}

/** A trained tensor of an adapter. */
export interface LayerPart extends AdapterPart, AdapterTensor {}

/** The trained tensors of the adapters of a model, by their names on disk. */
export function adapterParts(model: Module): Map<string, LayerPart> {
  const adapters = adaptersOf(model);
  return new Map(
    [...adapterTensors(model)].flatMap(([name, tensor]) => {
      const part = adapters.get(tensor.layer)!.parts.find(({ parameter }) => parameter === tensor.parameter);
      return part === undefined ? [] : [[name, { ...tensor, ...part }] as const];
    }),
  );
}

/** The number of trained weights of the adapters of a model. */
export function adapterWeights(model: Module): number {
  return sum([...adapterParts(model).values()].map(({ parameter }) => parameter.size));
}
