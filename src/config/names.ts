import { optionName } from "../base/naming.js";
import { suggest } from "../base/suggest.js";
import { SETTINGS, type Setting, type SettingKey } from "./settings.js";

export const SETTING_KEYS: readonly SettingKey[] = Object.keys(SETTINGS) as SettingKey[];

/** The declaration of a setting, without its literal types. */
export function settingOf(key: SettingKey): Setting {
  return SETTINGS[key];
}

/** camelCase, kebab-case and snake_case forms of a name are the same name. */
function normalize(name: string): string {
  return name.replace(/[-_]/g, "").toLowerCase();
}

/** The setting that a name stands for; for a switch, also the value that it chooses. */
export interface NamedSetting {
  readonly key: SettingKey;
  readonly choice?: string;
}

const NAMED: ReadonlyMap<string, NamedSetting> = new Map(
  SETTING_KEYS.flatMap((key) => {
    const { aliases = [], switches = {} } = settingOf(key);
    return [
      ...[key, ...aliases].map((name) => [normalize(name), { key }] as const),
      ...Object.entries(switches).map(([name, choice]) => [normalize(name), { key, choice }] as const),
    ];
  }),
);

/** Finds a setting by its own name in any case style, by an accepted alias or by a switch. */
export function findSetting(name: string): NamedSetting | undefined {
  return NAMED.get(normalize(name));
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
  }).map(([name, advice]) => [normalize(name), advice.replace(/\b[a-z]+[A-Z]\w+/g, (key) => optionName(key))]),
);

/** Advice for a name that is no setting: `; did you mean "rank"?`, or empty where nothing is near. */
export function adviceForUnknown(name: string, show: (key: string) => string): string {
  const translation = TRANSLATIONS.get(normalize(name));
  if (translation !== undefined) return `; ${translation}`;
  const nearest = suggest(normalize(name), NAMED.keys());
  return nearest === undefined ? "" : `; did you mean ${show(NAMED.get(nearest)!.key)}?`;
}
