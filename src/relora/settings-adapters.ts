import type { AdapterOptions } from "../adapters/adapter-kind.js";
import {
  describeUnmatched,
  type InjectionOptions,
  injectAdapters,
  linearLayers,
  mergeableLayers,
  type TargetedLinear,
  targetedLinears,
} from "../adapters/inject.js";
import { adapterKind } from "../adapters/kinds.js";
import type { MergePolicy } from "../adapters/merge-policies.js";
import {
  ALL_LINEAR,
  isAllLinear,
  patternFault,
  patternValues,
  selectModules,
  type TargetRule,
} from "../adapters/target-modules.js";
import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import type { Settings } from "../config/settings.js";
import { type CausalLM, modelParts } from "../models/causal-lm.js";
import { namedParameters, type Parameter } from "../nn/module.js";
import type { Rng } from "../tensor/random.js";

/** The settings that say which adapters a model gets. */
export type AdapterSettings = Pick<
  Settings,
  | ("adapterKind" | "rank" | "alpha" | "rslora" | "dropout" | "adapterInit" | "rankPattern" | "alphaPattern")
  | ("targetModules" | "excludeModules" | "layersToTransform" | "trainModules" | "bias")
>;

/**
 * Adapts the targeted layers and freezes all that trainModules and bias do not name.
 * @param createPolicy how the quantized weight of the layer of that name takes up merges.
 * @throws ConfigError, before anything changes, for targets and patterns that match nothing and layers that the rank
 * exceeds.
 */
export function addAdapters(
  model: CausalLM,
  settings: AdapterSettings,
  rng: Rng,
  createPolicy?: (name: string) => MergePolicy,
): void {
  const rule = targetRule(settings);
  const targets = targetedLinears(model, rule);
  const options = adapterOptions(targets.keys(), settings);
  if (!adapterKind(settings.adapterKind).ignores?.includes("rank")) requireRanks(options, targets);
  for (const parameter of namedParameters(model).values()) parameter.trainable = false;
  injectAdapters(
    model,
    {
      ...rule,
      createAdapter: adapterMaker(settings, options),
      ...(createPolicy !== undefined && { createPolicy }),
    },
    rng,
  );
  for (const parameter of trainedBeside(model, settings).values()) parameter.trainable = true;
}

/** Makes the adapters of the settings, each for the layer of its name. */
export function adapterMaker(
  settings: AdapterSettings,
  options: ReadonlyMap<string, Pick<AdapterOptions, "rank" | "alpha">>,
): InjectionOptions["createAdapter"] {
  const { rslora, dropout, adapterInit: initialization } = settings;
  const kind = adapterKind(settings.adapterKind);
  return (inFeatures, outFeatures, rng, name, weight) => {
    const each = { ...options.get(name)!, rslora, dropout, initialization };
    return kind.create(inFeatures, outFeatures, each, rng, weight);
  };
}

/** Parameters that are trained in full beside the adapters, by name on disk. */
function trainedBeside(
  model: CausalLM,
  { trainModules, bias }: Pick<AdapterSettings, "trainModules" | "bias">,
): Map<string, Parameter> {
  const trained: ReadonlySet<string> = new Set(trainModules);
  const parts = modelParts(model);
  const adapted = new Set([...mergeableLayers(model).values()].map((layer) => layer.bias));
  const found = new Map<string, Parameter>();
  for (const [path, parameter] of namedParameters(model)) {
    const isBias = /\bbias$/.test(path) && (bias === "all" || (bias === "lora_only" && adapted.has(parameter)));
    if (isBias || trained.has(parts.get(parameter)!)) found.set(model.checkpointName(path), parameter);
  }
  return found;
}

/**
 * The rule of the settings. An entry that is no plain name is a regular expression.
 * @throws ConfigError for one that cannot be used.
 */
export function targetRule({
  targetModules,
  excludeModules,
  layersToTransform,
}: Pick<AdapterSettings, "targetModules" | "excludeModules" | "layersToTransform">): TargetRule {
  return {
    targetModules: namesOrPattern("targetModules", targetModules),
    excludeModules: namesOrPattern("excludeModules", excludeModules),
    layersToTransform: layersToTransform.map(Number),
  };
}

/**
 * Requires that each entry leaves out a layer. A run that goes on keeps what it began with.
 * @throws ConfigError listing what exists.
 */
export function requireExclusions(model: CausalLM, { excludeModules }: Pick<AdapterSettings, "excludeModules">): void {
  const names = [...linearLayers(model).keys()];
  const unmatched = excludeModules.filter((entry) => {
    const excluded = namesOrPattern("excludeModules", [entry]);
    return selectModules(names, { targetModules: ALL_LINEAR, excludeModules: excluded }).length === names.length;
  });
  if (unmatched.length === 0) return;
  throw new ConfigError(`${optionName("excludeModules")}: ${describeUnmatched(unmatched, names)}`);
}

function namesOrPattern(setting: string, entries: readonly string[]): readonly string[] | string {
  const isName = (entry: string): boolean => /^[\w.-]+$/.test(entry);
  if (entries.some(isAllLinear)) return ALL_LINEAR;
  if (entries.every(isName)) return entries;
  for (const entry of entries.filter((each) => !isName(each))) requirePattern(setting, entry);
  return entries.map((entry) => (isName(entry) ? `(?:.*\\.)?${entry.replaceAll(".", "\\.")}` : entry)).join("|");
}

/** @throws ConfigError for a regular expression that cannot be used. */
function requirePattern(setting: string, pattern: string): void {
  const fault = patternFault(pattern);
  if (fault !== null) throw new ConfigError(`${optionName(setting)}: the regular expression ${pattern} ${fault}`);
}

/** Rank and alpha of each layer. @throws ConfigError for patterns that match none of them. */
export function adapterOptions(
  layers: Iterable<string>,
  { rank, alpha, rankPattern, alphaPattern }: AdapterSettings,
): Map<string, { rank: number; alpha: number }> {
  const names = [...layers];
  const [ranks, alphas] = [
    valuesOf("rankPattern", rankPattern, names, rank),
    valuesOf("alphaPattern", alphaPattern, names, alpha),
  ];
  return new Map(names.map((name) => [name, { rank: ranks.get(name)!, alpha: alphas.get(name)! }] as const));
}

function valuesOf(
  setting: string,
  entries: readonly string[],
  layers: readonly string[],
  fallback: number,
): Map<string, number> {
  const patterns = entries.map((entry) => {
    const at = entry.lastIndexOf("=");
    return [entry.slice(0, at), Number(entry.slice(at + 1))] as const;
  });
  for (const [pattern, value] of patterns) {
    requirePattern(setting, pattern);
    if ([...patternValues(layers, { [pattern]: value }, Number.NaN).values()].some((each) => each === value)) continue;
    throw new ConfigError(
      `${setting}: ${pattern} matches none of the layers that get adapters; name the end of a path`,
    );
  }
  return patternValues(layers, Object.fromEntries(patterns), fallback);
}

function requireRanks(
  options: ReadonlyMap<string, { readonly rank: number }>,
  targets: ReadonlyMap<string, TargetedLinear>,
): void {
  const faults = new Map<number, string[]>();
  for (const [name, { linear }] of targets) {
    const { inFeatures, outFeatures } = linear;
    const { rank } = options.get(name)!;
    const largest = Math.min(inFeatures, outFeatures);
    if (rank <= largest) continue;
    faults.set(rank, [
      ...(faults.get(rank) ?? []),
      `${name} (${outFeatures} × ${inFeatures}) takes at most ${largest}`,
    ]);
  }
  for (const [rank, found] of faults) {
    throw new ConfigError(
      `${optionName("rank")}: ${rank} exceeds ${found.length} of the targeted layers; lower the rank ` +
        `or leave them out of ${optionName("targetModules")}:\n${found.slice(0, 8).join("\n")}`,
    );
  }
}
