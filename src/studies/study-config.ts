import { ConfigError } from "../base/errors.js";
import { shownValue } from "../base/json.js";
import { append } from "../base/lists.js";
import { suggest } from "../base/suggest.js";
import { loadConfigFile } from "../config/config-file.js";
import type { OpenSettings } from "../config/derive.js";
import { findSetting } from "../config/names.js";
import { completeSettings, resolveSettings } from "../config/resolve.js";
import { type Arm, type AskedStudy, OWN_SETTINGS, type Reference, SHARED_SETTINGS, type Study } from "./study.js";
import { type Sweep, sweptSeeds, variantsOf } from "./sweep.js";

const KEYS = ["title", "notes", "settings", "seeds", "arms", "reference"];
/** Arms of these names are the reference, where the config names no other. */
const USUAL: Readonly<Record<keyof Reference, string>> = { low: "lora", high: "full" };
/** A name that every file system takes as one folder, and that JavaScript does not sort before others. */
const ARM_NAME = /^[A-Za-z][\w.-]{0,63}$/;

type Entries = Readonly<Record<string, unknown>>;

/**
 * The study that a config file describes, in YAML or JSON.
 * @param path named in errors.
 * @param name of the study where the file gives no title.
 * @param sweeps settings of which each arm is trained with several values.
 * @throws ConfigError with every fault, those of arms by name.
 */
export function parseStudy(text: string, path: string, name: string, sweeps: readonly Sweep[] = []): AskedStudy {
  const file = loadConfigFile(text, path).values;
  const values: Entries = { ...file, ...(sweeps.length > 0 && { arms: sweptArms(file.arms, sweeps) }) };
  const faults: string[] = [];
  for (const key of Object.keys(values)) {
    if (KEYS.includes(key)) continue;
    const nearest = suggest(key, KEYS);
    const misplaced = findSetting(key) === undefined ? "" : '; settings of all runs stand under "settings"';
    const advice = nearest === undefined ? misplaced : `; did you mean "${nearest}"?`;
    faults.push(`${path}: unknown key "${key}"${advice}`);
  }
  const study: AskedStudy = {
    title: textOf(values.title, `${path}: title`, faults) || name,
    notes: textOf(values.notes, `${path}: notes`, faults),
    seeds: seedsOf(sweptSeeds(sweeps) ?? values.seeds, `${path}: seeds`, faults),
    arms: armsOf(values, path, faults),
    reference: referenceOf(values.reference, namesOf(values.arms), path, faults),
  };
  append(faults, differenceFaults(study.arms, path));
  if (faults.length > 0) throw new ConfigError([...new Set(faults)].join("\n"));
  return study;
}

/** The study without its models and data. @throws ConfigError for settings that follow from those. */
export function completeStudy({ arms, ...study }: AskedStudy): Study {
  return { ...study, arms: arms.map((arm) => ({ ...arm, settings: completeSettings(arm.settings) })) };
}

function textOf(value: unknown, where: string, faults: string[]): string {
  if (value === undefined || value === null) return "";
  if (typeof value === "string") return value.trim();
  faults.push(`${where}: must be text, got ${JSON.stringify(value)}`);
  return "";
}

/** One seed is enough to see which is better; several tell a difference from chance. */
function seedsOf(value: unknown, where: string, faults: string[]): readonly number[] {
  if (value === undefined) return [0];
  const isSeed = (seed: unknown): seed is number =>
    Number.isInteger(seed) && Number(seed) >= 0 && Number(seed) < 2 ** 32;
  if (Array.isArray(value) && value.length > 0 && value.every(isSeed)) {
    if (new Set(value).size === value.length) return value;
    faults.push(`${where}: must be different from each other, got ${JSON.stringify(value)}`);
  } else {
    const got = JSON.stringify(value);
    faults.push(`${where}: must be a list of integers from 0 to 4294967295, such as [0, 1, 2], got ${got}`);
  }
  return [];
}

function armsOf(values: Entries, path: string, faults: string[]): Arm<OpenSettings>[] {
  const shared = entriesOf(values.settings, `${path}: settings`, faults);
  const arms = entriesOf(values.arms, `${path}: arms`, faults);
  if (arms !== undefined && Object.keys(arms).length === 0) {
    faults.push(`${path}: arms: must name at least one arm, each with the settings in which it differs`);
  }
  if (shared === undefined || arms === undefined) return [];
  const resolvedArms: Arm<OpenSettings>[] = [];
  const found = new Map<string, string[]>();
  for (const [name, value] of Object.entries(arms)) {
    const where = `${path}: arms.${name}`;
    if (!ARM_NAME.test(name)) {
      faults.push(`${where}: must begin with a letter, followed by letters, digits, ".", "_" and "-", at most 64`);
    }
    const own = entriesOf(value, where, faults);
    if (own === undefined) continue;
    const settings = resolved({ path: `${path}: settings`, values: shared }, { path: where, values: own });
    if (!Array.isArray(settings)) resolvedArms.push({ name, settings });
    else for (const fault of settings) found.set(fault, [...(found.get(fault) ?? []), name]);
  }
  for (const [fault, names] of found) {
    // Some faults name their place; faults of settings together belong to these arms, or to all.
    const place = names.length === Object.keys(arms).length ? "settings" : armsText(names);
    faults.push(fault.startsWith(`${path}: `) ? fault : `${path}: ${place}: ${fault}`);
  }
  return resolvedArms;
}

/** Each arm with each combination of the values; without arms, the combinations alone. */
function sweptArms(arms: unknown, sweeps: readonly Sweep[]): unknown {
  const found = variantsOf(sweeps);
  if (arms === undefined || arms === null) return Object.fromEntries(found.map(({ name, values }) => [name, values]));
  if (typeof arms !== "object" || Array.isArray(arms)) return arms;
  return Object.fromEntries(
    Object.entries(arms).flatMap(([arm, own]) =>
      found.map(({ name, values }) => [name === "" ? arm : `${arm}_${name}`, { ...(own as Entries), ...values }]),
    ),
  );
}

function namesOf(arms: unknown): string[] {
  return typeof arms === "object" && arms !== null ? Object.keys(arms) : [];
}

function armsText(names: readonly string[]): string {
  return `${names.length === 1 ? "arm" : "arms"} ${names.join(", ")}`;
}

interface Source {
  readonly path: string;
  readonly values: Entries;
}

/** The settings, or the faults in them. */
function resolved(file: Source, changes: Source): OpenSettings | string[] {
  const faults = [file, changes].flatMap(({ path, values }) =>
    Object.keys(values)
      .filter((name) => OWN_SETTINGS.some((key) => key === findSetting(name)?.key))
      .map((name) => `${path}: ${name}: the study sets it; leave it out`),
  );
  try {
    const settings = resolveSettings({ file, changes });
    return faults.length > 0 ? faults : settings;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return [...faults, ...error.message.split("\n")];
  }
}

/** The mapping; undefined for anything else. */
function entriesOf(value: unknown, where: string, faults: string[]): Entries | undefined {
  if (value === undefined || value === null) return {};
  if (typeof value === "object" && !Array.isArray(value)) return value as Entries;
  faults.push(`${where}: must hold entries, one "name: value" a line, got ${JSON.stringify(value)}`);
  return undefined;
}

/**
 * The arms named, or else those that are called as usual; the arm to improve on is then the first one where there is no
 * such name.
 */
function referenceOf(value: unknown, names: readonly string[], path: string, faults: string[]): Reference {
  const entries = entriesOf(typeof value === "string" ? { low: value } : value, `${path}: reference`, faults) ?? {};
  for (const key of Object.keys(entries)) {
    if (key in USUAL) continue;
    faults.push(`${path}: reference: unknown key "${key}"; there are low and high`);
  }
  for (const end of ["low", "high"] as const) {
    const name = entries[end];
    if (name === undefined || names.includes(name as string)) continue;
    const got = JSON.stringify(name);
    faults.push(`${path}: reference: ${end} must be one of the arms ${names.join(", ")}, got ${got}`);
  }
  const usual = (end: keyof Reference): string | undefined => names.find((name) => name === USUAL[end]);
  const { low = usual("low") ?? names.find((name) => name !== entries.high) ?? "", high } =
    entries as Partial<Reference>;
  if (low === high) faults.push(`${path}: reference: low and high must be different arms`);
  return { low, high: high ?? (usual("high") === low ? null : (usual("high") ?? null)) };
}

export function differenceFaults([first, ...others]: readonly Arm<OpenSettings>[], path: string): string[] {
  const faults: string[] = [];
  for (const { name, settings } of others) {
    for (const key of SHARED_SETTINGS) {
      const [own, that] = [settings[key], first!.settings[key]];
      if (JSON.stringify(own) === JSON.stringify(that)) continue;
      const shown = (value: unknown): string =>
        value === undefined ? "left out" : typeof value === "string" ? value : shownValue(value);
      faults.push(
        `${path}: arm ${name}: ${key} is ${shown(own)}, but ${shown(that)} in arm ${first!.name}; ` +
          "held-out losses can be compared only if it is the same: give it under settings",
      );
    }
  }
  return faults;
}
