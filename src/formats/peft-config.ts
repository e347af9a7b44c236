import { ALL_LINEAR, isAllLinear, patternFault } from "../adapters/target-modules.js";
import { isObject, shownValue } from "../base/json.js";

/** The settings of a LoRA adapter, in our names; on disk they have PEFT's. */
export interface PeftSettings {
  /** Name or path of the base model; null if unknown. */
  readonly baseModel: string | null;
  /** Branch, tag or commit of a base model from the hub; null if unknown. */
  readonly baseRevision?: string | null;
  readonly rank: number;
  readonly alpha: number;
  /** Probability that an entry of the adapter's input is dropped in training, from 0 to below 1. */
  readonly dropout: number;
  /** True for a scaling of alpha / √rank instead of alpha / rank. */
  readonly useRslora: boolean;
  /**
   * Ranks of modules that differ from `rank`, by a regular expression for the end of their path; the first match
   * counts.
   */
  readonly rankPattern?: Readonly<Record<string, number>>;
  /** The same for `alpha`. */
  readonly alphaPattern?: Readonly<Record<string, number>>;
  /** True if rows of W + ΔW are scaled to trained lengths (DoRA). */
  readonly useDora?: boolean;
  /** Trained biases of the base: those of adapted layers, all, or none. */
  readonly bias?: PeftBias;
  /** True if lora_B has a bias. */
  readonly loraBias?: boolean;
  /** True if the base model holds adapted weights as (inFeatures, outFeatures). PEFT corrects it by itself. */
  readonly fanInFanOut?: boolean;
  /** Modules that `targetModules` matches but that get no adapter: names or a regular expression. */
  readonly excludeModules?: readonly string[] | string | null;
  /** Numbers of the layers that are adapted; null for all. */
  readonly layersToTransform?: readonly number[] | null;
  /** Name of the list of layers in a module's path. */
  readonly layersPattern?: readonly string[] | null;
  /** Trained rows of embedding tables, by the name of the table; a list is of the table of the input. */
  readonly tokenIndices?: TokenIndices;
  /** True if PEFT is to give tied weights the same update. Files hold the tensors of both, so reading needs it not. */
  readonly tiesWeights?: boolean;
  /** Weights that are adapted as parameters, by the ends of their names, such as `q_proj.weight`. */
  readonly targetParameters?: readonly string[];
  /** Options that change training alone, in words. */
  readonly trainingOptions?: readonly string[];
}

export type TokenIndices = readonly number[] | Readonly<Record<string, readonly number[]>>;

export type PeftBias = (typeof BIASES)[number];
const BIASES = ["none", "all", "lora_only"] as const;

/** Content of adapter_config.json. */
export interface PeftConfig extends Required<PeftSettings> {
  /**
   * Names that modules must equal or end with after a dot, a regular expression, or `all-linear`. Null if the file
   * names none, so that its tensors decide.
   */
  readonly targetModules: readonly string[] | string | null;
  readonly modulesToSave: readonly string[];
}

/**
 * Formats adapter_config.json like PEFT: sorted keys, indent 2. It has fields that old versions know, and newer ones
 * only if they are not at their defaults.
 */
export function formatPeftConfig(config: PeftSettings & Pick<PeftConfig, "targetModules" | "modulesToSave">): string {
  const { tokenIndices = {}, targetParameters = [] } = config;
  const fields: Record<string, unknown> = {
    alpha_pattern: config.alphaPattern ?? {},
    auto_mapping: null,
    base_model_name_or_path: config.baseModel,
    bias: config.bias ?? "none",
    fan_in_fan_out: config.fanInFanOut ?? false,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: config.layersPattern ?? null,
    layers_to_transform: config.layersToTransform ?? null,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    modules_to_save: config.modulesToSave.length > 0 ? config.modulesToSave : null,
    peft_type: "LORA",
    r: config.rank,
    rank_pattern: config.rankPattern ?? {},
    revision: config.baseRevision ?? null,
    target_modules: config.targetModules,
    task_type: "CAUSAL_LM",
    use_dora: config.useDora ?? false,
    use_rslora: config.useRslora,
    ...(config.loraBias && { lora_bias: true }),
    ...(config.excludeModules != null && { exclude_modules: config.excludeModules }),
    ...(config.tiesWeights && { ensure_weight_tying: true }),
    ...(Object.keys(tokenIndices).length > 0 && { trainable_token_indices: tokenIndices }),
    ...(targetParameters.length > 0 && { target_parameters: targetParameters }),
  };
  return JSON.stringify(Object.fromEntries(Object.entries(fields).sort()), null, 2);
}

/**
 * Reads the fields of adapter_config.json, with PEFT's defaults for missing ones. Faults are added to `faults`,
 * including every field that changes numbers in an unsupported way. Other unknown fields are ignored, as in PEFT.
 */
export function parsePeftConfig(all: Readonly<Record<string, unknown>>, faults: string[]): PeftConfig {
  // The fields of another kind of adapter have other meanings.
  const fields = all.peft_type === "LORA" ? all : {};
  const read = <T>(key: string, fallback: T, accepts: (value: unknown) => boolean, rule: string): T => {
    const value = fields[key];
    if (value === undefined || accepts(value)) return (value ?? fallback) as T;
    faults.push(`${key} must be ${rule}, not ${shownValue(value)}`);
    return fallback;
  };
  if (fields !== all) {
    faults.push(`peft_type must be "LORA", not ${shownValue(all.peft_type)}; ${MERGE}`);
  }
  for (const [key, isNeutral, meaning, wayOut = MERGE] of UNSUPPORTED) {
    const value = fields[key];
    if (value !== undefined && !isNeutral(value)) {
      faults.push(`${key} is ${shownValue(value)}: ${meaning} not supported; ${wayOut}`);
    }
  }
  const names = "a list of at most 1000 names, a regular expression or null";
  const targetModules = readTargets("target_modules", read("target_modules", null, isNamesOrText, names), faults);
  const excludeModules = readTargets("exclude_modules", read("exclude_modules", null, isNamesOrText, names), faults);
  if (typeof excludeModules === "string" && isAllLinear(excludeModules)) {
    faults.push(`exclude_modules is "${ALL_LINEAR}", which only target_modules may be`);
  }
  const layers = read<number | number[] | null>(
    "layers_to_transform",
    null,
    isLayers,
    "a layer's number, a list of them or null",
  );
  const layersPattern = read<string | string[] | null>(
    "layers_pattern",
    null,
    isPlainNames,
    "a name, a list of names or null",
  );
  if (typeof targetModules === "string" && (layers !== null || layersPattern !== null)) {
    faults.push("layers_to_transform and layers_pattern must be null where target_modules is no list, as PEFT demands");
  }
  const useDora = read("use_dora", false, isBoolean, "true or false");
  const loraBias = read("lora_bias", false, isBoolean, "true or false");
  if (useDora && loraBias) faults.push("lora_bias must be false where use_dora is true, as PEFT demands");
  const patterns = (key: string, isRight: (value: unknown) => boolean, rule: string): Record<string, number> => {
    const values = read<Record<string, number>>(key, {}, (value) => isPattern(value, isRight), `an object of ${rule}`);
    for (const pattern of Object.keys(values)) {
      const fault = patternFault(pattern);
      if (fault !== null) faults.push(`${key}: the key ${shownValue(pattern)} ${fault}`);
    }
    return values;
  };
  return {
    baseModel: read("base_model_name_or_path", null, isTextOrNull, "a text or null"),
    baseRevision: read("revision", null, isTextOrNull, "a text or null"),
    rank: read("r", 8, isRank, "a positive integer"),
    alpha: read("lora_alpha", 8, Number.isFinite, "a number"),
    dropout: read("lora_dropout", 0, (p) => typeof p === "number" && p >= 0 && p < 1, "a number from 0 to below 1"),
    useRslora: read("use_rslora", false, isBoolean, "true or false"),
    rankPattern: patterns("rank_pattern", isRank, "at most 1000 positive integers"),
    alphaPattern: patterns("alpha_pattern", Number.isFinite, "at most 1000 numbers"),
    useDora,
    loraBias,
    bias: read<PeftBias>(
      "bias",
      "none",
      (bias) => (BIASES as readonly unknown[]).includes(bias),
      '"none", "all" or "lora_only"',
    ),
    fanInFanOut: read("fan_in_fan_out", false, isBoolean, "true or false"),
    targetModules,
    excludeModules,
    layersToTransform: typeof layers === "number" ? [layers] : layers,
    layersPattern: typeof layersPattern === "string" ? [layersPattern] : layersPattern,
    modulesToSave: read<string[]>("modules_to_save", [], isFewNamesOrNull, "a list of at most 1000 names or null"),
    tokenIndices: readTokenIndices(fields.trainable_token_indices, faults),
    tiesWeights: read("ensure_weight_tying", false, isBoolean, "true or false"),
    trainingOptions: OF_TRAINING.flatMap(([key, isOn]) =>
      isOn(fields[key]) ? [`${key} ${shownValue(fields[key])}`] : [],
    ),
    targetParameters: read<string[]>("target_parameters", [], isFewNamesOrNull, "a list of at most 1000 names or null"),
  };
}

function readTargets<T extends readonly string[] | string | null>(key: string, targets: T, faults: string[]): T {
  if (typeof targets !== "string" || isAllLinear(targets)) return targets;
  const fault = patternFault(targets);
  if (fault === null) return targets;
  faults.push(`${key}: the regular expression ${shownValue(targets)} ${fault}; give a list of names instead`);
  return null as T;
}

function readTokenIndices(value: unknown, faults: string[]): TokenIndices {
  if (isOffOrEmpty(value) || value === undefined) return {};
  const isIndices = (indices: unknown): indices is number[] =>
    Array.isArray(indices) && indices.every((index) => Number.isSafeInteger(index) && index >= 0);
  if (isIndices(value)) return value;
  if (isObject(value) && Object.values(value).every(isIndices)) return value as Record<string, number[]>;
  faults.push(
    `trainable_token_indices must be a list of token numbers or an object of such lists, not ${shownValue(value)}`,
  );
  return {};
}

const isBoolean = (value: unknown): boolean => typeof value === "boolean";
const isRank = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 1;
const isTextOrNull = (value: unknown): boolean => value === null || typeof value === "string";
/** Limits the names, because every tensor is compared with each of them. */
const isFewNamesOrNull = (value: unknown): boolean =>
  value === null || (Array.isArray(value) && value.length <= 1000 && value.every((name) => typeof name === "string"));
const isNamesOrText = (value: unknown): boolean =>
  isTextOrNull(value) || (Array.isArray(value) && value.every((name) => typeof name === "string"));
const isLayer = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const isLayers = (value: unknown): boolean =>
  value === null || isLayer(value) || (Array.isArray(value) && value.every(isLayer));
const isPlainName = (value: unknown): boolean => typeof value === "string" && /^\w+$/.test(value);
const isPlainNames = (value: unknown): boolean =>
  value === null || isPlainName(value) || (Array.isArray(value) && value.length <= 1000 && value.every(isPlainName));
const isPattern = (value: unknown, isRight: (value: unknown) => boolean): boolean =>
  value === null || (isObject(value) && Object.keys(value).length <= 1000 && Object.values(value).every(isRight));

/** True if the field's value switches nothing on. */
const isOff = (value: unknown): boolean =>
  value === null || value === false || (isObject(value) && Object.keys(value).length === 0);
const isOffOrEmpty = (value: unknown): boolean => isOff(value) || (Array.isArray(value) && value.length === 0);

/**
 * Initialisations that leave the base weights unchanged, so that the file's tensors describe the adapter completely.
 */
const NEUTRAL_INITIALISATIONS: readonly unknown[] = [null, true, false, "gaussian", "eva", "orthogonal", "mica"];
/** Initialisations that subtract the adapter's start from the base. PEFT can write the difference from the start. */
const isSubtracted = (value: unknown): boolean =>
  typeof value === "string" && /^(pissa|olora|corda|lora_ga)/i.test(value);

/** Fields that change how an adapter is trained, and nothing else. */
const OF_TRAINING: readonly (readonly [key: string, isOn: (value: unknown) => boolean])[] = [
  ["velora_config", (value) => value !== undefined && !isOff(value)],
  // It keeps B as it is.
  ["init_lora_weights", (value) => value === "mica"],
];

const CHANGES_BASE =
  "an initialisation that changes the base, so that the adapter is wrong on the base as it was published, is";
const MERGE = "merge the adapter in PEFT instead";

/** Unsupported fields that change numbers: a test for harmless values, the meaning of others, and the way out. */
const UNSUPPORTED: readonly (readonly [
  key: string,
  isNeutral: (value: unknown) => boolean,
  meaning: string,
  wayOut?: string,
])[] = [
  [
    "init_lora_weights",
    (value) => !isSubtracted(value),
    CHANGES_BASE,
    "merge the adapter in PEFT, or save it there with path_initial_model_for_weight_conversion, instead",
  ],
  ["init_lora_weights", (value) => isSubtracted(value) || NEUTRAL_INITIALISATIONS.includes(value), CHANGES_BASE],
  ["layer_replication", isOffOrEmpty, "replicated layers are"],
  ["use_qalora", isOff, "QA-LoRA is"],
  ["use_bdlora", isOff, "BD-LoRA is"],
  ["alora_invocation_tokens", isOffOrEmpty, "aLoRA is"],
  ...["arrow", "kasa", "monteclora"].map(
    (variant) => [`${variant}_config`, isOff, `the variant ${variant} is`] as const,
  ),
];
