import { OBJECT, requireEach } from "../base/arguments.js";
import { ConfigError } from "../base/errors.js";
import { append } from "../base/lists.js";
import { either, forProgram, optionName } from "../base/naming.js";
import type { ConfigFile } from "./config-file.js";
import { CROSS_CHECKS } from "./cross-checks.js";
import { type DataFacts, DERIVATIONS, derive, hasFullRows, isComplete, type OpenSettings, openKeys } from "./derive.js";
import { defaultIn, jobOf } from "./jobs.js";
import { adviceForUnknown, findSetting, impliedBy, isOwnName, otherMeaning, SETTING_KEYS, settingOf } from "./names.js";
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
  /** Weaker than the file and than a preset. */
  readonly defaults?: Partial<Settings>;
}

const SOURCES: readonly string[] = ["flags", "file", "changes", "defaults"] satisfies (keyof SettingSources)[];

/**
 * The settings of a run; without a file and without a model they are those of the quickstart. They are complete but for
 * those that follow from the model or the data: `train` completes them when it has seen both, and `completeSettings`
 * where nothing is open. A missing value comes from the next weaker source; derived ones are computed, and maxSteps is
 * lowered to what maxTrainTokens allows, as far as the rows are known without the data. Resolving the result again gives
 * the result.
 * @throws ConfigError with every fault, one a line: unknown names with a suggestion, values out of range, and values
 * that do not fit together.
 */
export function resolveSettings(sources: SettingSources = {}): OpenSettings {
  requireEach("resolveSettings", OBJECT, { sources });
  const unknown = Object.keys(sources).filter((name) => !SOURCES.includes(name));
  if (unknown.length > 0) {
    throw new ConfigError(
      `resolveSettings: ${unknown.join(", ")}: sources are ${SOURCES.join(", ")}; settings belong into one of them, ` +
        `as { flags: { ${unknown[0]}: … } }`,
    );
  }
  const { flags = {}, file, changes, defaults = {} } = sources;
  const faults: string[] = [];
  const bad = new Set<SettingKey>();
  const fromFlags = readLayer({ values: flags, isFlag: true }, faults, bad);
  const read = (from: ConfigFile | undefined): Layer =>
    from === undefined ? { values: {} } : readLayer(from, faults, bad);
  const fromFile = read(file);
  const fromChanges = read(changes);
  const given = { ...fromFile.values, ...fromChanges.values, ...fromFlags.values };
  const namesNeither = file === undefined && changes === undefined && given.model === undefined;
  const preset = given.preset ?? (namesNeither ? "quickstart" : "none");
  const recipe = preset === "none" ? {} : recipeFor(RECIPES[preset], given);
  const weaker = { values: { ...defaults, ...recipe } };
  const settings = complete([weaker, fromFile, fromChanges, fromFlags, { values: { preset } }], faults, bad);
  const isUnderWay = file?.isResolved === true && fromFlags.values.maxSteps !== undefined;
  const stays = (key: SettingKey): boolean => isUnderWay && fromFlags.values[key] === undefined;
  const isDerived = (key: SettingKey): boolean => (given[key] ?? weaker.values[key]) === undefined;
  append(
    faults,
    faultsOf(settings, bad, isDerived, stays).map((fault) => underGivenNames(fault, flags)),
  );
  if (faults.length > 0) throw new ConfigError(faults.join("\n"));
  return settings;
}

/**
 * The settings with those that were open, as the facts decide them.
 * @throws ConfigError for values that do not fit together, and for what the facts leave open.
 */
export function completeSettings(settings: OpenSettings, facts: DataFacts = {}): Settings {
  const completed = derive(settings, { evaluationRows: 0, fittingRows: Number.POSITIVE_INFINITY, ...facts });
  const faults = faultsOf(completed, new Set(), (key) => settings[key] === undefined);
  if (faults.length === 0 && !isComplete(completed)) {
    const [open] = openKeys(completed);
    faults.push(`${optionName(open!)}: follows from the model or the data, which are not read here; set it`);
  }
  if (faults.length > 0) throw new ConfigError(faults.join("\n"));
  return completed as Settings;
}

/** The fault with the settings under the names by which flags gave them, where these are other names of the same. */
function underGivenNames(fault: string, flags: Readonly<Record<string, unknown>>): string {
  return Object.entries(flags).reduce((text, [name, value]) => {
    const { key, choice, times, isShare } = findSetting(name) ?? {};
    if (value === undefined || key === undefined || isOwnName(name, key)) return text;
    const isSame = choice === undefined && times === undefined && isShare !== true;
    return isSame ? text.replaceAll(optionName(key), optionName(name)) : text;
  }, fault);
}

/**
 * The faults of values that do not fit together, as far as these are known. Extends `bad`.
 * @param isDerived true for settings that nobody gave.
 * @param stays true for settings of a run whose new length must fit them.
 */
function faultsOf(
  settings: OpenSettings,
  bad: Set<SettingKey>,
  isDerived: (key: SettingKey) => boolean,
  stays: (key: SettingKey) => boolean = () => false,
): string[] {
  return CROSS_CHECKS.flatMap(({ keys, fault, leastSteps }) => {
    if (keys.some((key) => bad.has(key) || settings[key] === undefined)) return [];
    const found = fault(settings as Settings, isDerived);
    if (found === null) return [];
    const [key] = keys;
    bad.add(key);
    if (leastSteps === undefined || !stays(key)) return [found];
    return [
      `${optionName("maxSteps")}: must be at least ${leastSteps(settings as Settings)}, as ${optionName(key)} ` +
        `(${settings[key]}) stays as the run was started, got ${settings.maxSteps}`,
    ];
  });
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
  if (model !== undefined && !isModelPreset(model)) leaveOut("data", "lr", "adapterLr", "beta2");
  if (lr !== undefined) leaveOut("adapterLr");
  return suited;
}

type Values = { -readonly [K in SettingKey]?: Settings[K] };

/** Values of one source. */
interface Layer {
  readonly values: Values;
  /** Values that a weaker source may not have chosen: the default stands in for them. */
  readonly ruledOut?: readonly { readonly key: SettingKey; readonly choice: string }[];
  /** True for settings of a run, whose maxSteps is what maxTrainTokens has made of it. */
  readonly isResolved?: boolean;
}

/** Values as they were written, by the names that were used. */
type Source = { readonly values: Readonly<Record<string, unknown>> } & (
  | { readonly isFlag: true }
  | (ConfigFile & { readonly isFlag?: false })
);

/** The value that a switch, a factor or a share must have. */
const SWITCH: Setting = { type: "boolean", group: "Run", help: "" };
const FACTOR: Setting = { type: "integer", group: "Run", min: 1, help: "" };
const SHARE: Setting = { type: "number", group: "Run", min: 0, max: 1, help: "" };

/** All, as a share below 1: a count that is rounded up is whole. */
const WHOLE = 1 - Number.EPSILON;

/** The units in which a source can state the length of the run. */
const LENGTHS = ["maxSteps", "epochs", "maxTrainTokens"] as const;

function readLayer(source: Source, faults: string[], bad: Set<SettingKey>): Layer {
  const layer: Partial<Record<SettingKey, unknown>> = {};
  const ruledOut: { name: string; key: SettingKey; choice: string }[] = [];
  const factors: { name: string; key: SettingKey; times: SettingKey; factor: number }[] = [];
  const nameOf = new Map<SettingKey, string>();
  const implications: [name: string, key: SettingKey, value: number][] = [];
  const label = source.isFlag ? optionName : (name: string) => name;
  const show = source.isFlag ? optionName : (name: string) => `${source.path}: ${name}`;
  const refuse = (key: SettingKey, fault: string): void => {
    faults.push(fault);
    bad.add(key);
  };
  /** @param isName true if the name says the setting, and not one of its values. */
  const assign = (name: string, key: SettingKey, value: unknown, isName: boolean): void => {
    const earlier = nameOf.get(key);
    if (earlier !== undefined && layer[key] !== value) {
      const sets = !isName || findSetting(earlier)?.key !== key || findSetting(earlier)?.choice !== undefined;
      // Of two names the setting's own is the one that the other stands for.
      const isOwn = isOwnName(name, key);
      const [other, own] = isOwn ? [earlier, name] : [name, earlier];
      const doubled = isOwn ? `is set by ${label(earlier)} too` : `sets ${label(key)}, as ${label(earlier)} does`;
      const fault = sets ? `${show(name)}: ${doubled}` : `${show(other)}: is another name of ${label(own)}`;
      refuse(key, `${fault}; give one of them`);
    }
    nameOf.set(key, name);
    layer[key] = value;
  };
  for (const [name, raw] of Object.entries(source.values)) {
    if (raw === undefined) continue;
    const found = findSetting(name);
    if (found === undefined) {
      const quoted = (each: string): string => (source.isFlag ? optionName(each) : `"${each}"`);
      const unknown = source.isFlag ? either("unknown setting", "unknown flag") : `${source.path}: unknown setting`;
      const advice = adviceForUnknown(name, quoted);
      faults.push(`${unknown} ${quoted(name)}${source.isFlag ? advice : forProgram(advice)}`);
      continue;
    }
    const { key, choice, times, isShare = false } = found;
    const isWord = typeof raw === "string" || typeof raw === "boolean" || raw === null;
    const meaning = otherMeaning(name, key, source.values);
    if (meaning !== undefined) {
      refuse(key, `${show(name)}: ${meaning}`);
      continue;
    }
    const implied = isWord ? impliedBy(name, key, String(raw).trim()) : [];
    if (typeof implied === "string") {
      refuse(key, `${show(name)}: ${raw} ${implied}`);
      continue;
    }
    for (const each of implied) implications.push([name, ...each]);
    const spelling = isWord && choice === undefined ? settingOf(key).spellings?.[String(raw).trim()] : undefined;
    if (spelling !== undefined) {
      for (const [other, value] of Object.entries(spelling)) assign(name, other as SettingKey, value, other === key);
      continue;
    }
    const form = choice !== undefined ? SWITCH : times !== undefined ? FACTOR : isShare ? SHARE : settingOf(key);
    const parsed = parseValue(form, raw);
    const advice = isShare ? `; give a number of ${settingOf(key).unit} as ${label(key)}` : "";
    if ("fault" in parsed) refuse(key, `${show(name)}: ${parsed.fault}${advice}`);
    else if (choice !== undefined && parsed.value === false) ruledOut.push({ name, key, choice });
    else if (times !== undefined) factors.push({ name, key, times, factor: parsed.value as number });
    else if (isShare) assign(name, key, Math.min(parsed.value as number, WHOLE), false);
    else assign(name, key, choice ?? parsed.value, choice === undefined);
  }
  for (const [name, key, value] of implications) if (layer[key] === undefined) assign(name, key, value, false);
  for (const { name, key, times, factor } of factors) {
    if (bad.has(times)) continue;
    if (layer[times] === undefined) {
      refuse(key, `${show(name)}: multiplies ${label(times)}; give that beside it, or ${label(key)} instead of both`);
    } else assign(name, key, (layer[times] as number) * factor, false);
  }
  for (const { name, key, choice } of ruledOut) {
    if (layer[key] !== choice) continue;
    refuse(
      key,
      `${show(name)}: rules out ${label(key)} ${choice}, which ${label(nameOf.get(key)!)} sets; give one of them`,
    );
  }
  if (layer.epochs != null && layer.maxSteps !== undefined && !(!source.isFlag && source.isResolved)) {
    refuse(
      "epochs",
      `${show(nameOf.get("epochs")!)}: says how long the run is, as ${label(nameOf.get("maxSteps")!)} does; give one of them`,
    );
  }
  return { values: layer as Values, ruledOut, isResolved: !source.isFlag && source.isResolved === true };
}

/**
 * Lays the layers over the defaults of the job, weakest first, and computes what is missing and can be. Extends `bad`
 * to what follows from it.
 */
function complete(layers: readonly Layer[], faults: string[], bad: Set<SettingKey>): OpenSettings {
  const model = layers.reduce((named, { values }) => values.model ?? named, settingOf("model").default as string);
  const job = jobOf({ model });
  const fallbackOf = (key: SettingKey): unknown => {
    const found = defaultIn(job, settingOf(key));
    return "value" in found ? found.value : undefined;
  };
  const values: Record<string, unknown> = Object.fromEntries(SETTING_KEYS.map((key) => [key, fallbackOf(key)]));
  let isLengthFinal = false;
  for (const { values: layer, ruledOut = [], isResolved = false } of layers) {
    for (const { key, choice } of ruledOut) if (values[key] === choice) values[key] = fallbackOf(key);
    // The length of the run is one decision: a stronger source that states it in one unit drops the weaker one's other.
    if (LENGTHS.some((key) => layer[key] != null)) {
      Object.assign(values, { maxSteps: undefined, epochs: null, maxTrainTokens: null });
      isLengthFinal = isResolved;
    }
    Object.assign(values, layer);
  }
  if (values.maxTrainTokens !== null && values.maxSteps !== undefined && !isLengthFinal) {
    Object.assign(values, { stepLimit: values.maxSteps, maxSteps: undefined });
  }
  // Its none says that another unit states the length.
  if (values.epochs === null && LENGTHS.every((key) => values[key] == null && !bad.has(key))) {
    faults.push(
      `${optionName("epochs", null)}: leaves the length of the run to ${optionName("maxSteps")} or ` +
        `${optionName("maxTrainTokens")}, and neither is given; give one of the three`,
    );
  }
  for (const key of SETTING_KEYS) {
    const fallback = defaultIn(job, settingOf(key));
    if ("required" in fallback && values[key] === undefined && !bad.has(key)) {
      faults.push(`${optionName(key)}: ${fallback.required}`);
      bad.add(key);
    }
  }
  for (const key of Object.keys(DERIVATIONS) as DerivedKey[]) {
    if (values[key] === undefined && DERIVATIONS[key].from.some((source) => bad.has(source))) bad.add(key);
  }
  const settings = values as unknown as OpenSettings;
  return derive(settings, rowsKnown(settings));
}

/** What the settings alone say of the rows. */
function rowsKnown(settings: OpenSettings): Pick<DataFacts, "rowsWithin"> {
  const { sequenceLength } = settings;
  if (sequenceLength === undefined || !hasFullRows(settings)) return {};
  return { rowsWithin: (tokens) => Math.floor(tokens / sequenceLength) };
}
