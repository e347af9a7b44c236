import { isAllLinear, selectModules } from "../adapters/target-modules.js";
import { CheckpointError } from "../base/errors.js";
import type { WeightStorage } from "../models/weight-storage.js";
import { isParameterTarget, loraScalings, type PeftAdapter } from "./peft.js";
import type { TokenIndices } from "./peft-config.js";
import { indicesOf, moduleOf } from "./peft-tensors.js";

/**
 * The adapter by the modules of the model, whichever of their names it goes by.
 * @throws CheckpointError if it has tensors of one module by both.
 */
export function asInModel<T extends PeftAdapter>(adapter: T, { inTransformers = new Map() }: WeightStorage): T {
  return renamedModules(adapter, new Map([...inTransformers].map(([name, theirs]) => [theirs, name] as const)));
}

/** The adapter as files of today's PEFT have it, by the modules of transformers. */
export function asInTransformers<T extends PeftAdapter>(adapter: T, names: WeightStorage["inTransformers"]): T {
  return renamedModules(adapter, names ?? new Map());
}

/** Gives modules that the adapter changes other names; its settings mean the same modules by them. */
function renamedModules<T extends PeftAdapter>(adapter: T, names: ReadonlyMap<string, string>): T {
  let renamed = adapter;
  for (const [from, to] of names) {
    const tensors = changedModules(renamed);
    if (tensors.has(from) && tensors.has(to)) {
      throw new CheckpointError(`${from} and ${to} are the same module, and the adapter has tensors of both; keep one`);
    }
    const isNamed = Object.hasOwn(renamed.tokenIndices ?? {}, from) && !tensors.has(to);
    if (tensors.has(from) || isNamed) renamed = renamedModule(renamed, from, to);
  }
  return renamed;
}

/** Modules that the adapter has tensors of. */
function changedModules({ layers, embeddings, tokens, biases, modulesToSave }: PeftAdapter): Set<string> {
  const parameters = [...modulesToSave.keys(), ...(biases?.keys() ?? [])];
  const modules = [layers, embeddings, tokens].flatMap((tensors) => [...(tensors?.keys() ?? [])]);
  return new Set([...modules, ...parameters.map(moduleOf)]);
}

function renamedModule<T extends PeftAdapter>(adapter: T, from: string, to: string): T {
  const renamed = <V>(tensors: ReadonlyMap<string, V> = new Map()): Map<string, V> =>
    new Map(
      [...tensors].map(([name, tensor]) => {
        if (name === from) return [to, tensor];
        return [name.startsWith(`${from}.`) ? to + name.slice(from.length) : name, tensor];
      }),
    );
  const { tokenIndices, targetParameters, excludeModules } = adapter;
  const targetsParameter = isParameterTarget(adapter, from);
  const others = [...(adapter.tokens?.keys() ?? [])].filter((module) => module !== from);
  return {
    ...adapter,
    ...{ layers: renamed(adapter.layers), embeddings: renamed(adapter.embeddings), tokens: renamed(adapter.tokens) },
    ...{ biases: renamed(adapter.biases), modulesToSave: renamed(adapter.modulesToSave) },
    targetModules: renamedTargets(adapter.targetModules, from, to),
    ...(excludeModules != null && { excludeModules: renamedTargets(excludeModules, from, to) }),
    ...renamedPatterns(adapter, from, to, targetsParameter ? ".weight" : ""),
    ...(tokenIndices !== undefined && { tokenIndices: renamedIndices(tokenIndices, from, to, others) }),
    ...(targetParameters !== undefined && {
      targetParameters: targetParameters.map((name) => (name === `${from}.weight` ? `${to}.weight` : name)),
    }),
  };
}

/** Targets that mean `to` if, and only if, they meant `from`. */
function renamedTargets<T extends readonly string[] | string>(targets: T, from: string, to: string): T;
function renamedTargets(targets: readonly string[] | string, from: string, to: string): readonly string[] | string {
  if (isAllLinear(targets)) return targets;
  if (typeof targets !== "string") {
    return targets.filter((name) => name !== to).map((name) => (name === from ? to : name));
  }
  const means = (targetModules: string, module: string): boolean =>
    selectModules([module], { targetModules }).length > 0;
  const isMeant = means(targets, from);
  const inText = withName(targets, from, to);
  if (means(inText, to) === isMeant) return inText;
  return isMeant ? `(?:${targets})|${to}` : `(?!${to}$)(?:${targets})`;
}

/** Patterns by which `to` has the rank and the alpha that `from` had. */
function renamedPatterns(
  adapter: PeftAdapter,
  from: string,
  to: string,
  suffix: string,
): Pick<PeftAdapter, "rankPattern" | "alphaPattern"> {
  const wanted = loraScalings([from], adapter).get(from)!;
  const key = (to + suffix).replaceAll(".", "\\.");
  const renamed = (patterns: Readonly<Record<string, number>> = {}): [pattern: string, value: number][] =>
    Object.entries(patterns).map(([pattern, value]) => [withName(pattern, from, to), value]);
  const [ranks, alphas] = [renamed(adapter.rankPattern), renamed(adapter.alphaPattern)];
  const [rankPattern, alphaPattern] = [Object.fromEntries(ranks), Object.fromEntries(alphas)];
  const targetParameters = suffix === "" ? [] : [`${to}${suffix}`];
  const has = loraScalings([to], { ...adapter, targetParameters, rankPattern, alphaPattern }).get(to)!;
  const first = (patterns: [string, number][], value: number): Record<string, number> =>
    Object.fromEntries([[key, value], ...patterns.filter(([pattern]) => pattern !== key)]);
  return {
    rankPattern: has.rank === wanted.rank ? rankPattern : first(ranks, wanted.rank),
    alphaPattern: has.alpha === wanted.alpha ? alphaPattern : first(alphas, wanted.alpha),
  };
}

/** @param others tables with trained tokens besides. */
function renamedIndices(indices: TokenIndices, from: string, to: string, others: readonly string[]): TokenIndices {
  const own = indicesOf(indices, from);
  if (Array.isArray(indices) || own === undefined) return indices;
  const rest = Object.entries(indices).filter(
    ([name]) => !from.endsWith(name) || others.some((other) => other.endsWith(name)),
  );
  return { [to]: own, ...Object.fromEntries(rest) };
}

/** A pattern with a name in place of another where it has that as a whole word. */
function withName(pattern: string, from: string, to: string): string {
  return pattern.replace(new RegExp(`(?<![\\w\\\\])${from}(?!\\w)`, "g"), to);
}
