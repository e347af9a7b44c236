import { shownValue } from "../tensor/json.js";
import { isObject } from "./json-file.js";

/** The settings of a LoRA adapter, in our names; on disk they carry PEFT's. */
export interface PeftSettings {
  /** Name or path of the base model; null where the adapter does not say. */
  readonly baseModel: string | null;
  readonly rank: number;
  readonly alpha: number;
  /** Probability that an entry of the adapter's input is dropped in training, from 0 to below 1. */
  readonly dropout: number;
  /** Scaling is alpha / √rank instead of alpha / rank. */
  readonly useRslora: boolean;
}

/** What adapter_config.json says. */
export interface PeftConfig extends PeftSettings {
  /** Names that modules must equal or end with after a dot; null where the file gives no list, so that its tensors say it. */
  readonly targetModules: readonly string[] | null;
  readonly modulesToSave: readonly string[];
}

/**
 * adapter_config.json as PEFT writes it: sorted keys, indent 2. Only fields that old versions know as well; the newer ones
 * stay at their defaults.
 */
export function formatPeftConfig(config: PeftConfig): string {
  const fields: Record<string, unknown> = {
    alpha_pattern: {},
    auto_mapping: null,
    base_model_name_or_path: config.baseModel,
    bias: "none",
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    modules_to_save: config.modulesToSave.length > 0 ? config.modulesToSave : null,
    peft_type: "LORA",
    r: config.rank,
    rank_pattern: {},
    revision: null,
    target_modules: config.targetModules,
    task_type: "CAUSAL_LM",
    use_dora: false,
    use_rslora: config.useRslora,
  };
  return JSON.stringify(Object.fromEntries(Object.entries(fields).sort()), null, 2);
}

/**
 * Reads the fields of adapter_config.json, with PEFT's defaults for those that are missing. Faults are added to `faults`, and
 * so is every field that changes numbers in a way that is not supported; other unknown fields mean nothing, as in PEFT.
 */
export function parsePeftConfig(fields: Readonly<Record<string, unknown>>, faults: string[]): PeftConfig {
  const read = <T>(key: string, fallback: T, accepts: (value: unknown) => boolean, rule: string): T => {
    const value = fields[key];
    if (value === undefined || accepts(value)) return (value ?? fallback) as T;
    faults.push(`${key} must be ${rule}, not ${shownValue(value)}`);
    return fallback;
  };
  if (fields.peft_type !== "LORA") faults.push(`peft_type must be "LORA", not ${shownValue(fields.peft_type)}`);
  for (const [key, isNeutral, meaning] of UNSUPPORTED) {
    const value = fields[key];
    if (value !== undefined && !isNeutral(value)) {
      faults.push(`${key} is ${shownValue(value)}: ${meaning} not supported; merge the adapter in PEFT instead`);
    }
  }
  // A pattern or keyword names modules by rules of Python's; the modules that have tensors are the ones it chose.
  const targets = read<unknown>("target_modules", null, isNamesOrText, "a list of names, a text or null");
  return {
    baseModel: read("base_model_name_or_path", null, isTextOrNull, "a text or null"),
    rank: read("r", 8, (r) => Number.isInteger(r) && (r as number) >= 1, "a positive integer"),
    alpha: read("lora_alpha", 8, Number.isFinite, "a number"),
    dropout: read("lora_dropout", 0, (p) => typeof p === "number" && p >= 0 && p < 1, "a number from 0 to below 1"),
    useRslora: read("use_rslora", false, (value) => typeof value === "boolean", "true or false"),
    targetModules: Array.isArray(targets) ? targets : null,
    modulesToSave: read<string[]>("modules_to_save", [], isFewNamesOrNull, "a list of at most 1000 names or null"),
  };
}

const isTextOrNull = (value: unknown): boolean => value === null || typeof value === "string";
const isNamesOrNull = (value: unknown): boolean =>
  value === null || (Array.isArray(value) && value.every((name) => typeof name === "string"));
/** Every tensor is compared with each of the names. */
const isFewNamesOrNull = (value: unknown): boolean =>
  isNamesOrNull(value) && (value === null || (value as string[]).length <= 1000);
const isNamesOrText = (value: unknown): boolean => isNamesOrNull(value) || typeof value === "string";

/** Whether the field's value switches nothing on. */
const isOff = (value: unknown): boolean =>
  value === null || value === false || (isObject(value) && Object.keys(value).length === 0);
const isOffOrEmpty = (value: unknown): boolean => isOff(value) || (Array.isArray(value) && value.length === 0);

/** Initialisations that leave the base weights as they are, so that the tensors of the file are all there is to know. */
const NEUTRAL_INITIALISATIONS: readonly unknown[] = [null, true, false, "gaussian", "eva", "orthogonal", "mica"];

/** Fields that change numbers and are not supported: when their value is harmless, and what they mean otherwise. */
const UNSUPPORTED: readonly (readonly [key: string, isNeutral: (value: unknown) => boolean, meaning: string])[] = [
  ["use_dora", isOff, "DoRA's magnitudes are"],
  ["rank_pattern", isOff, "ranks per module are"],
  ["alpha_pattern", isOff, "alphas per module are"],
  ["fan_in_fan_out", isOff, "base weights stored as (in, out) are"],
  ["bias", (value) => value === null || value === "none", "trained biases are"],
  ["lora_bias", isOff, "a bias on lora_B is"],
  [
    "init_lora_weights",
    (value) => NEUTRAL_INITIALISATIONS.includes(value),
    "an initialisation that changes the base is",
  ],
  ["layer_replication", isOffOrEmpty, "replicated layers are"],
  ["trainable_token_indices", isOffOrEmpty, "trained tokens are"],
  ["target_parameters", isOffOrEmpty, "adapters on bare parameters are"],
  ["ensure_weight_tying", isOff, "adapters shared by tied weights are"],
  ["use_qalora", isOff, "QA-LoRA is"],
  ["use_bdlora", isOff, "BD-LoRA is"],
  ["alora_invocation_tokens", isOffOrEmpty, "aLoRA is"],
  ...["eva", "corda", "lora_ga", "arrow", "kasa", "velora", "monteclora"].map(
    (variant) => [`${variant}_config`, isOff, `the variant ${variant} is`] as const,
  ),
];
