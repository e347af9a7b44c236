import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { largest, smallest } from "../base/numbers.js";
import type { OpenSettings } from "../config/derive.js";
import { adviceForUnknown, findSetting, settingOf } from "../config/names.js";
import { parseValue } from "../config/parse-value.js";
import type { SettingKey } from "../config/settings.js";
import { type Arm, type AskedStudy, OWN_SETTINGS, SHARED_SETTINGS } from "./study.js";

/** A setting and the values with which it is tried, as text. */
export interface Sweep {
  readonly key: SettingKey;
  readonly values: readonly string[];
}

/** One combination of values. */
export interface Variant {
  /** Such as `lr-1e-4_rank-8`: a name of an arm and of its folder. */
  readonly name: string;
  readonly values: Readonly<Partial<Record<SettingKey, string>>>;
}

/**
 * Reads sweeps as they are typed: `lr=1e-4,2e-4`; values that are lists are separated by `;`. `seed` takes seeds.
 * @throws ConfigError with every fault: unknown names with a suggestion, a single value, a setting named twice.
 */
export function parseSweeps(texts: readonly string[]): Sweep[] {
  const faults: string[] = [];
  const sweeps: Sweep[] = [];
  for (const text of texts) {
    const [, name = "", list = ""] = /^\s*([\w-]+)\s*[=:](.*)$/s.exec(text) ?? [];
    if (name === "") {
      faults.push(`${optionName("sweep")}: must be a setting and its values, such as lr=1e-4,2e-4,5e-4, got ${text}`);
      continue;
    }
    const found = findSetting(name);
    if (found === undefined || found.choice !== undefined) {
      faults.push(`${optionName("sweep")} ${name}: is no setting${adviceForUnknown(name, (key) => key)}`);
      continue;
    }
    const { key } = found;
    const separator = settingOf(key).type === "list" ? ";" : ",";
    const values = list.split(separator).map((value) => value.trim());
    const meant = values.map((text) => {
      const parsed = parseValue(settingOf(key), settingOf(key).spellings?.[text]?.[key] ?? text);
      return JSON.stringify(parsed);
    });
    if (key !== "seed" && OWN_SETTINGS.includes(key)) {
      faults.push(`${optionName("sweep")} ${name}: each run of a sweep is given its own; leave it out`);
    } else if (SHARED_SETTINGS.includes(key)) {
      faults.push(
        `${optionName("sweep")} ${name}: decides what the held-out loss is measured on, so losses with several values do not compare; ` +
          "train such runs one by one, and see them side by side with highrank compare RUN RUN",
      );
    } else if (values.length < 2 || values.includes("") || new Set(meant).size < values.length) {
      faults.push(
        `${optionName("sweep")} ${name}: must have two or more different values, separated by "${separator}", got ${list}`,
      );
    } else if (sweeps.some((sweep) => sweep.key === key)) {
      faults.push(`${optionName("sweep")} ${name}: is given twice; put all values into one`);
    } else sweeps.push({ key, values });
  }
  if (faults.length > 0) throw new ConfigError(faults.join("\n"));
  return sweeps;
}

/** All combinations of the values, the last sweep running fastest; without sweeps, one that changes nothing. */
export function variantsOf(sweeps: readonly Sweep[]): Variant[] {
  let variants: Variant[] = [{ name: "", values: {} }];
  for (const { key, values } of sweeps) {
    if (key === "seed") continue;
    variants = variants.flatMap((variant) =>
      values.map((value) => {
        const part = `${key}-${value.replace(/[^\w.-]+/g, "+").replaceAll("+", "_")}`;
        const name = variant.name === "" ? part : `${variant.name}_${part}`;
        return { name: name.slice(0, 64), values: { ...variant.values, [key]: value } };
      }),
    );
  }
  return unique(variants);
}

/** Names that are cut, or whose values differ in signs alone, get a number. */
function unique(variants: readonly Variant[]): Variant[] {
  const taken = new Set<string>();
  return variants.map((variant, index) => {
    const name = taken.has(variant.name) ? `${variant.name.slice(0, 60)}_${index + 1}` : variant.name;
    taken.add(name);
    return { ...variant, name };
  });
}

/** The seeds of a sweep over `seed`. */
export function sweptSeeds(sweeps: readonly Sweep[]): number[] | undefined {
  return sweeps.find(({ key }) => key === "seed")?.values.map(Number);
}

/**
 * The study of a run's settings with other values.
 * @param resolve gives the settings with these in place of what the run has.
 * @throws ConfigError as `resolve`, which names the values.
 */
export function sweepStudy(
  sweeps: readonly Sweep[],
  resolve: (values: Variant["values"]) => OpenSettings,
  title: string,
): AskedStudy {
  const arms = variantsOf(sweeps).map(
    ({ name, values }): Arm<OpenSettings> => ({ name: name || "run", settings: resolve(values) }),
  );
  const seeds = sweptSeeds(sweeps) ?? [arms[0]!.settings.seed];
  const bad = seeds.filter((seed) => !Number.isInteger(seed) || seed < 0 || seed > 0xffffffff);
  if (bad.length > 0)
    throw new ConfigError(`${optionName("sweep")} seed: must be integers from 0 to 4294967295, got ${bad.join(", ")}`);
  return { title, notes: "", seeds, arms, reference: { low: arms[0]!.name, high: null } };
}

/** A remark where the best value is the first or the last of those tried, so that the best of all may lie beyond. */
export function edgeRemark(sweeps: readonly Sweep[], arm: string): string | null {
  const best = variantsOf(sweeps).find(({ name }) => name === arm);
  for (const { key, values } of sweeps) {
    const { type } = settingOf(key);
    if (best === undefined || key === "seed" || (type !== "number" && type !== "integer")) continue;
    const [numbers, own] = [values.map(Number), Number(best.values[key])];
    if (numbers.some(Number.isNaN)) continue;
    if (own === largest(numbers)) return `${key} ${best.values[key]} is the largest that was tried: try larger ones`;
    if (own === smallest(numbers)) return `${key} ${best.values[key]} is the smallest that was tried: try smaller ones`;
  }
  return null;
}

/** Flags that a sweep's values take the place of. @throws ConfigError for a flag that is given beside them. */
export function requireUnset(flags: Readonly<Record<string, unknown>>, sweeps: readonly Sweep[]): void {
  const both = Object.entries(flags).filter(
    ([name, value]) => value !== undefined && sweeps.some(({ key }) => key === findSetting(name)?.key),
  );
  if (both.length === 0) return;
  throw new ConfigError(
    both
      .map(([name]) => `${optionName(name)}: is given beside ${optionName("sweep")} of the same setting; leave it out`)
      .join("\n"),
  );
}
