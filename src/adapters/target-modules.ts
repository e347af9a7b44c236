import { withTimeLimit } from "#platform";
import { ConfigError, DataError } from "../base/errors.js";
import { shortened, shownValue } from "../base/json.js";
import { translatePythonPattern } from "./python-pattern.js";

/** Stands for all linear layers of the decoder, the output projection not among them. */
export const ALL_LINEAR = "all-linear";

/** A choice of modules to adapt, by PEFT's rules. */
export interface TargetRule {
  /**
   * A list: names that a module's path equals or ends with after a dot. A text: a regular expression of Python's for
   * the whole path, or `all-linear`.
   */
  readonly targetModules: readonly string[] | string;
  /** The same for modules to leave out, without `all-linear`. */
  readonly excludeModules?: readonly string[] | string | null;
  /**
   * Numbers of the layers to adapt, from 0; all where it is empty. A path that a list names in full is adapted in any
   * layer.
   */
  readonly layersToTransform?: readonly number[] | null;
  /** Names that the list of layers may have in the path, of letters, digits and _ each; any name where it is empty. */
  readonly layersPattern?: readonly string[] | null;
}

/** Seconds that all matching for one rule may take: a regular expression can take for ever. */
const TIME_LIMIT = 2;

/** Those of `modules` that the rule adapts, in their order. @throws ConfigError if a pattern takes too long. */
export function selectModules(modules: Iterable<string>, rule: TargetRule): string[] {
  const { targetModules, excludeModules } = rule;
  const isTargeted = targetMatcher(rule);
  const isExcluded = matcherOf(excludeModules ?? []);
  const patterns = [targetModules, excludeModules].filter((each) => typeof each === "string");
  return inTime(modules, patterns, (all) => all.filter((module) => !isExcluded(module) && isTargeted(module)));
}

/** Matches patterns with the modules, which may happen more than once. @throws ConfigError if it takes too long. */
function inTime<T>(
  modules: Iterable<string>,
  patterns: readonly string[],
  match: (modules: readonly string[]) => T,
): T {
  const all = [...modules];
  try {
    return withTimeLimit(TIME_LIMIT, () => match(all));
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    const shown = patterns.map((pattern) => shownValue(pattern)).join(", ");
    throw new ConfigError(
      `matching the names of modules with ${shortened(shown)}: ${cause.message}; give names of modules instead`,
      { cause },
    );
  }
}

function targetMatcher({ targetModules, layersToTransform, layersPattern }: TargetRule): (module: string) => boolean {
  const isAll = isAllLinear(targetModules);
  const matches = isAll ? () => true : matcherOf(targetModules);
  if (!layersToTransform?.length) return matches;
  const exact = new Set(isAll ? [] : targetModules);
  const wanted = new Set(layersToTransform);
  const layerOf = layerReader(layersPattern);
  return (module) => exact.has(module) || (matches(module) && wanted.has(layerOf(module)));
}

/** Numbers of the layers to adapt that no module is of. */
export function missingLayers(modules: readonly string[], { layersToTransform, layersPattern }: TargetRule): number[] {
  const present = new Set(modules.map(layerReader(layersPattern)));
  return (layersToTransform ?? []).filter((layer) => !present.has(layer));
}

/** Tells the number of the layer that a module is of, from 0; NaN where it is of none. */
function layerReader(layersPattern: TargetRule["layersPattern"]): (module: string) => number {
  const list = layersPattern?.length ? `(?:^|.*?\\.)(?:${layersPattern.join("|")})` : ".*?\\.[^.]*";
  const place = new RegExp(`^${list}\\.(\\d+)\\.`, "u");
  return (module) => Number(place.exec(module)?.[1] ?? Number.NaN);
}

/** True if the targets are the keyword for all linear layers, alone or as a list of it. */
export function isAllLinear(targets: readonly string[] | string): boolean {
  const [only, ...others] = typeof targets === "string" ? [targets] : targets;
  return others.length === 0 && only?.toLowerCase() === ALL_LINEAR;
}

function matcherOf(targets: readonly string[] | string): (module: string) => boolean {
  if (typeof targets === "string") return patternMatcher(targets);
  const names = new Set(targets);
  return (module) => suffixesOf(module).some((name) => names.has(name));
}

/** True if a whole path matches a pattern. @throws RangeError for a pattern that `patternFault` refuses. */
function patternMatcher(pattern: string): (module: string) => boolean {
  const translated = translatePythonPattern(pattern);
  if ("fault" in translated) throw new RangeError(`the pattern ${pattern} ${translated.fault}`);
  const whole = new RegExp(`^(?:${translated.source})$`, "u");
  return (module) => whole.test(module);
}

/** The reason why a pattern cannot be used, in words that follow it; null if it can. */
export function patternFault(pattern: string): string | null {
  const translated = translatePythonPattern(pattern);
  return "fault" in translated ? translated.fault : null;
}

/**
 * Values for modules by PEFT's rank_pattern and alpha_pattern: the first key that matches the end of the path counts.
 * @throws ConfigError if they take too long.
 */
export function patternValues(
  modules: Iterable<string>,
  patterns: Readonly<Record<string, number>>,
  fallback: number,
): Map<string, number> {
  const rules = Object.entries(patterns).map(([key, value]) => [patternMatcher(`(.*\\.)?(${key})`), value] as const);
  return inTime(modules, Object.keys(patterns), (all) => {
    return new Map(all.map((module) => [module, rules.find(([matches]) => matches(module))?.[1] ?? fallback] as const));
  });
}

/** Names of a module: any whole segments at the end of its path, the whole path first. */
export function suffixesOf(module: string): string[] {
  const names = [module];
  for (let dot = module.indexOf("."); dot >= 0; dot = module.indexOf(".", dot + 1)) names.push(module.slice(dot + 1));
  return names;
}

/**
 * The shortest names, whole or from a dot on, that tell modules apart: each name of the result stands for all of
 * `modules` that end in it, and for these `label` is the same. Modules whose label is undefined get no name.
 */
export function shortestNames<T>(modules: readonly string[], label: (module: string) => T | undefined): Map<string, T> {
  const named = new Map<string, T | undefined>();
  const mixed = new Set<string>();
  for (const module of modules) {
    for (const name of suffixesOf(module)) {
      if (named.has(name) && named.get(name) !== label(module)) mixed.add(name);
      named.set(name, label(module));
    }
  }
  const shortest = new Map<string, T>();
  for (const module of modules) {
    const value = label(module);
    if (value === undefined) continue;
    shortest.set(suffixesOf(module).findLast((name) => !mixed.has(name)) ?? module, value);
  }
  return shortest;
}
