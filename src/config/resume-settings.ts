import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { findSetting, SETTING_KEYS, settingOf } from "./names.js";
import type { SettingKey, Settings } from "./settings.js";

/** The settings that may change when a run goes on. The others made its model, its data or its plan. */
export const RESUME_SETTINGS: readonly SettingKey[] = SETTING_KEYS.filter((key) => settingOf(key).mayChange);

/** Settings of runs that began before these were there, and whose files do not name them. */
export const EARLIER_SETTINGS: Partial<Settings> = Object.fromEntries(
  SETTING_KEYS.map((key) => [key, settingOf(key).before] as const).filter(([, before]) => before !== undefined),
);

/**
 * The values of a run without those that only followed one that changes, as adapterLr follows lr: they follow it again.
 * @param changed names of the settings that change.
 */
export function withoutFollowers(
  values: Readonly<Record<string, unknown>>,
  changed: Iterable<string>,
): Record<string, unknown> {
  const keys = new Set([...changed].map((name) => findSetting(name)?.key));
  const follows = (name: string): boolean => {
    const leader = RESUME_SETTINGS.includes(name as SettingKey) ? settingOf(name as SettingKey).derived : undefined;
    return keys.has(leader as SettingKey) && values[leader!] === values[name];
  };
  return Object.fromEntries(Object.entries(values).filter(([name]) => !follows(name)));
}

/** @throws ConfigError for names of settings that may not change, and for unknown ones. */
export function requireResumable(names: Iterable<string>): void {
  const faults: string[] = [];
  for (const name of names) {
    const key = findSetting(name)?.key;
    if (key !== undefined && RESUME_SETTINGS.includes(key)) continue;
    faults.push(`${optionName(name)}: ${key === undefined ? "is no setting" : "stays as the run was started"}`);
  }
  if (faults.length === 0) return;
  const changeable = RESUME_SETTINGS.map((key) => optionName(key)).join(", ");
  throw new ConfigError([...faults, `what may change when a run goes on: ${changeable}`].join("\n"));
}
