import { suggest } from "../base/suggest.js";
import { SETTINGS, type Setting, type SettingKey } from "./settings.js";

export const SETTING_KEYS: readonly SettingKey[] = Object.keys(SETTINGS) as SettingKey[];

/** The declaration of a setting, without its literal types. */
export function settingOf(key: SettingKey): Setting {
  return SETTINGS[key];
}

/** `totalBatchSize` and `total_batch_size` -> `total-batch-size`. */
export function kebabCase(name: string): string {
  return name.replaceAll("_", "-").replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The flag of a setting as it is typed: `--total-batch-size`. */
export function flagOf(name: string): string {
  return `--${kebabCase(name)}`;
}

/** camelCase, kebab-case and snake_case forms of a name are the same name. */
function normalize(name: string): string {
  return name.replace(/[-_]/g, "").toLowerCase();
}

const KEY_OF_NAME: ReadonlyMap<string, SettingKey> = new Map(
  SETTING_KEYS.flatMap((key) =>
    [key, ...(settingOf(key).aliases ?? [])].map((name) => [normalize(name), key] as const),
  ),
);

/** The setting that a name stands for, by its own name in any case style or by an accepted alias. */
export function findSetting(name: string): SettingKey | undefined {
  return KEY_OF_NAME.get(normalize(name));
}

/** Keys that other trainers have and that translate, but not one to one. */
const TRANSLATIONS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    gradient_accumulation_steps: "set totalBatchSize to batchSize times that number",
    gradient_accumulation: "set totalBatchSize to batchSize times that number",
    num_epochs: "set maxSteps or maxTrainTokens",
    warmup_ratio: "set warmupSteps",
    adapter: "set method to lora or relora",
    load_in_4bit: "set quantize",
    load_in_8bit: "set quantize",
    warmed_up_model: "set model to that folder, or warmStartSteps",
    reset_optimizer_on_relora: "set optimizerReset",
    optimizer_magnitude_pruning: "set optimizerReset to magnitude, and pruneRatio",
    optimizer_random_pruning: "set optimizerReset to random, and pruneRatio",
  }).map(([name, advice]) => [normalize(name), advice]),
);

/** What to do about a name that is no setting: `; did you mean "rank"?`, or empty where nothing is near. */
export function adviceForUnknown(name: string, show: (key: string) => string): string {
  const translation = TRANSLATIONS.get(normalize(name));
  if (translation !== undefined) return `; ${translation}`;
  const nearest = suggest(normalize(name), KEY_OF_NAME.keys());
  return nearest === undefined ? "" : `; did you mean ${show(KEY_OF_NAME.get(nearest)!)}?`;
}
