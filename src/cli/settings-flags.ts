import type { Command } from "commander";
import { readText } from "#platform";
import { ConfigError } from "../base/errors.js";
import { flagOf } from "../base/naming.js";
import { loadConfigFile } from "../config/config-file.js";
import type { OpenSettings } from "../config/derive.js";
import { flagDefinitions } from "../config/flags.js";
import { adviceForUnknown } from "../config/names.js";
import { resolveSettings } from "../config/resolve.js";
import type { SettingKey } from "../config/settings.js";
import { requireUsed, unusedNotices } from "../config/unused.js";
import { adviceFromOptions, briefDefault, ListedOption, type UnknownOptionAdvice } from "./usage.js";

/** Adds a flag for every setting, in the groups of the reference page. */
export function addSettingFlags(command: Command): void {
  for (const { flags, help, brief, values, fallback, group, hidden } of flagDefinitions()) {
    const words = { whole: `${help} (default: ${fallback})`, brief: brief && `${brief}${briefDefault(fallback)}` };
    const option = new ListedOption(flags, words, values).helpGroup(`${group}:`);
    command.addOption(hidden ? option.hideHelp() : option);
  }
}

/**
 * Adds the same flags for a run that has its settings already; those that may not change are parsed, to be refused,
 * but not shown.
 */
export function addChangeFlags(command: Command, changeable: readonly SettingKey[]): void {
  for (const { key, flags, help, brief, values, group, hidden } of flagDefinitions()) {
    const option = new ListedOption(flags, { whole: help, brief }, values).helpGroup(`${group}:`);
    command.addOption(hidden || !changeable.includes(key) ? option.hideHelp() : option);
  }
}

/** Advice for an unknown flag among settings, which knows the names that other trainers use. */
export function adviceFromSettings(command: Command): UnknownOptionAdvice {
  return (flag) => adviceForUnknown(flag.replace(/^-+(no-)?/, ""), flagOf) || adviceFromOptions(command)(flag);
}

/** The flags of a command that are settings, as they were typed. */
export function settingFlags(command: Command): Record<string, unknown> {
  const { json: _, sweep: __, ...flags } = command.opts();
  return flags;
}

/**
 * Settings from a command's flags over those of the config file.
 * @throws DataError if the file cannot be read. @throws ConfigError with every fault of file and flags.
 */
export async function settingsOf(
  command: Command,
  configPath: string | undefined,
  onNotice?: (text: string) => void,
): Promise<OpenSettings> {
  const { parallel, ...flags } = settingFlags(command);
  if (parallel !== undefined) throw new ConfigError("--parallel: is for several runs, with --sweep; leave it out");
  return (await settingsResolver(configPath, onNotice))(flags);
}

/**
 * A function from flags to settings, as {@link settingsOf} has them.
 * @param onNotice hears what the file has in vain.
 */
export async function settingsResolver(
  configPath: string | undefined,
  onNotice?: (text: string) => void,
): Promise<(flags: Readonly<Record<string, unknown>>) => OpenSettings> {
  const file = configPath === undefined ? undefined : loadConfigFile(await readText(configPath), configPath);
  return (flags) => {
    const settings = resolveSettings({ flags, ...(file !== undefined && { file }) });
    requireUsed(flags, settings);
    if (file === undefined) return settings;
    for (const notice of unusedNotices(file.values, settings)) onNotice?.(`${file.path}: ${notice}`);
    return settings;
  };
}
