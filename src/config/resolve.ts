import { ConfigError } from "../base/errors.js";
import { either, optionName } from "../base/naming.js";
import type { ConfigFile } from "./config-file.js";
import { CROSS_CHECKS } from "./cross-checks.js";
import { DERIVATIONS, stepsOfRun } from "./derive.js";
import { adviceForUnknown, findSetting, SETTING_KEYS, settingOf } from "./names.js";
import { parseValue } from "./parse-value.js";
import { isModelPreset, RECIPES } from "./presets.js";
import type { DerivedKey, Setting, SettingKey, Settings } from "./settings.js";

/** Where settings come from. Flags beat changes, changes the file, the file the preset, the preset the defaults. */
export interface SettingSources {
  /** Values by setting name, as text or typed; undefined counts as absent. */
  readonly flags?: Readonly<Record<string, unknown>>;
  readonly file?: ConfigFile;
  /** Values of one of several runs that share the file. */
  readonly changes?: ConfigFile;
  /** Weaker than the file and than a preset named there or by a flag. */
  readonly defaults?: Partial<Settings>;
}

/**
 * The complete settings of a run. A missing value comes from the next weaker source; `derived` ones are computed, and
 * maxSteps is lowered to what maxTrainTokens allows. Resolving the result again gives the result.
 * @throws ConfigError with every fault, one a line: unknown names with a suggestion, values out of range, and values
 * that do not fit together.
 */
export function resolveSettings({ flags = {}, file, changes, defaults = {} }: SettingSources = {}): Settings {
  const faults: string[] = [];
  const bad = new Set<SettingKey>();
  const fromFlags = readLayer(flags, optionName, either("unknown setting", "unknown flag"), faults, bad);
  const read = (from: ConfigFile | undefined): Layer =>
    from === undefined
      ? { values: {} }
      : readLayer(from.values, (name) => `${from.path}: ${name}`, `${from.path}: unknown setting`, faults, bad);
  const fromFile = read(file);
  const fromChanges = read(changes);
  const given = { ...fromFile.values, ...fromChanges.values, ...fromFlags.values };
  const preset = given.preset ?? defaults.preset ?? "none";
  const recipe = preset === "none" ? {} : recipeFor(RECIPES[preset], { ...defaults, ...given });
  const weaker = { values: { ...defaults, ...recipe } };
  const settings = complete([weaker, fromFile, fromChanges, fromFlags, { values: { preset } }], bad);
  for (const { keys, fault } of CROSS_CHECKS) {
    const found = keys.some((key) => bad.has(key)) ? null : fault(settings);
    if (found === null) continue;
    faults.push(found);
    bad.add(keys[0]);
  }
  if (faults.length > 0) throw new ConfigError(faults.join("\n"));
  return settings;
}

/**
 * The recipe without what does not suit. It quantizes the weights that it trains itself, not those of another model;
 * how fast it learns is for weights that start at random; and who gives the learning rate means that of the adapters
 * too.
 */
function recipeFor(recipe: Values, { model = recipe.model, method, lr }: Values): Values {
  const suited = { ...recipe };
  const leaveOut = (...keys: SettingKey[]): void => {
    for (const key of keys) delete suited[key];
  };
  if (method === "full" || model !== recipe.model) leaveOut("quantize", "mergePolicy");
  if (model !== undefined && !isModelPreset(model)) leaveOut("lr", "adapterLr", "beta2");
  if (lr !== undefined) leaveOut("adapterLr");
  return suited;
}

type Values = { -readonly [K in SettingKey]?: Settings[K] };

/** Values of one source. */
interface Layer {
  readonly values: Values;
  /** Values that a weaker source may not have chosen: the default stands in for them. */
  readonly ruledOut?: readonly { readonly key: SettingKey; readonly choice: string }[];
}

/** The value that a switch must have. */
const SWITCH: Setting = { type: "boolean", group: "Run", help: "" };

function readLayer(
  values: Readonly<Record<string, unknown>>,
  show: (name: string) => string,
  unknown: string,
  faults: string[],
  bad: Set<SettingKey>,
): Layer {
  const layer: Partial<Record<SettingKey, unknown>> = {};
  const ruledOut: { name: string; key: SettingKey; choice: string }[] = [];
  const nameOf = new Map<SettingKey, string>();
  const isFlag = show === optionName;
  const label = isFlag ? optionName : (name: string) => name;
  for (const [name, raw] of Object.entries(values)) {
    if (raw === undefined) continue;
    const found = findSetting(name);
    if (found === undefined) {
      const quoted = (each: string): string => (isFlag ? optionName(each) : `"${each}"`);
      faults.push(`${unknown} ${quoted(name)}${adviceForUnknown(name, quoted)}`);
      continue;
    }
    const { key, choice } = found;
    const parsed = parseValue(choice === undefined ? settingOf(key) : SWITCH, raw);
    if (choice !== undefined && "value" in parsed && parsed.value === false) {
      ruledOut.push({ name, key, choice });
      continue;
    }
    const earlier = nameOf.get(key);
    if (earlier !== undefined) {
      const areSwitches = [name, earlier].some((each) => findSetting(each)!.choice !== undefined);
      const fault = areSwitches ? `sets ${key}, as ${label(earlier)} does` : `is another name of ${earlier}`;
      faults.push(`${show(name)}: ${fault}; give one of them`);
      bad.add(key);
    }
    nameOf.set(key, name);
    if ("fault" in parsed) {
      faults.push(`${show(name)}: ${parsed.fault}`);
      bad.add(key);
    } else {
      layer[key] = choice ?? parsed.value;
    }
  }
  for (const { name, key, choice } of ruledOut) {
    if (layer[key] !== choice) continue;
    bad.add(key);
    faults.push(`${show(name)}: rules out ${key} ${choice}, which ${label(nameOf.get(key)!)} sets; give one of them`);
  }
  return { values: layer as Values, ruledOut };
}

/**
 * Lays the layers over the defaults, weakest first, and computes what is missing. Extends `bad` to what follows from
 * it.
 */
function complete(layers: readonly Layer[], bad: Set<SettingKey>): Settings {
  const values: Record<string, unknown> = {};
  for (const key of SETTING_KEYS) {
    const { default: fallback } = settingOf(key);
    if (fallback !== undefined) values[key] = fallback;
  }
  for (const { values: layer, ruledOut = [] } of layers) {
    for (const { key, choice } of ruledOut) if (values[key] === choice) values[key] = settingOf(key).default;
    // The length of the run is one decision: a stronger source that states it in one unit drops the weaker one's other.
    if (layer.maxSteps !== undefined && layer.maxTrainTokens === undefined) values.maxTrainTokens = null;
    if (layer.maxTrainTokens != null && layer.maxSteps === undefined) values.maxSteps = Number.MAX_SAFE_INTEGER;
    Object.assign(values, layer);
  }
  const settings = values as Settings;
  for (const key of Object.keys(DERIVATIONS) as DerivedKey[]) {
    if (values[key] !== undefined) continue;
    if (DERIVATIONS[key].from.some((source) => bad.has(source))) bad.add(key);
    values[key] = DERIVATIONS[key].value(settings);
  }
  values.maxSteps = stepsOfRun(settings);
  return settings;
}
