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

/** True for a setting's own name in any case style; false for its aliases. */
export function isOwnName(name: string, key: SettingKey): boolean {
  return normalize(name) === normalize(key);
}

/** The entry of a name in any case style. */
function entryOf<T>(entries: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.entries(entries).find(([other]) => normalize(other) === normalize(name))?.[1];
}

/**
 * Values of other settings that a value brings along under a name of other trainers, or in words the reason why it is
 * refused under that name.
 */
export function impliedBy(name: string, key: SettingKey, value: string): [key: SettingKey, value: number][] | string {
  const implied = entryOf(settingOf(key).implies ?? {}, name)?.[value] ?? {};
  return typeof implied === "string" ? implied : (Object.entries(implied) as [SettingKey, number][]);
}

/** The words of what a name of other trainers means beside another that is given; undefined where it means the same. */
export function otherMeaning(
  name: string,
  key: SettingKey,
  given: Readonly<Record<string, unknown>>,
): string | undefined {
  const found = entryOf(settingOf(key).differs ?? {}, name);
  if (found === undefined) return undefined;
  const value = entryOf(given, found.beside);
  return value == null || Number(value) === 1 ? undefined : found.words;
}

/** The setting that a name stands for. */
export interface NamedSetting {
  readonly key: SettingKey;
  /** The value that a switch chooses. */
  readonly choice?: string;
  /** The setting that a factor is multiplied by. */
  readonly times?: SettingKey;
  /** True if the value is a share, from 0 to 1. */
  readonly isShare?: boolean;
}

const NAMED: ReadonlyMap<string, NamedSetting> = new Map(
  SETTING_KEYS.flatMap((key) => {
    const { aliases = [], switches = {}, factors = {}, shares = [] } = settingOf(key);
    return [
      ...[key, ...aliases].map((name) => [normalize(name), { key }] as const),
      ...shares.map((name) => [normalize(name), { key, isShare: true }] as const),
      ...Object.entries(switches).map(([name, choice]) => [normalize(name), { key, choice }] as const),
      ...Object.entries(factors).map(
        ([name, times]) => [normalize(name), { key, times: times as SettingKey }] as const,
      ),
    ];
  }),
);

/** Finds a setting by its own name in any case style, by an accepted alias or by a switch. */
export function findSetting(name: string): NamedSetting | undefined {
  return NAMED.get(normalize(name));
}

const FLOAT32 = "training computes in float32; leave it out, or take less memory with quantize nf4";
const ANSWERS = "answers alone are scored by default, prompts too with trainOnInputs; leave it out";
const EVALUATIONS = "set evalEvery to a number of steps, or to none";
const LOGS = "every step is in metrics.jsonl and report.html of the run; leave it out";
const ADAMW = "the optimizer is AdamW; leave it out";
const MODULES = "set trainModules to embeddings, norms, head or several of them";
const KNOWN = "what model and tokenizer are is in their files; leave it out";
const UNPADDED = "samples of a step stand one after another without padding; leave it out";
const ATTENTION = "attention has one implementation here; leave it out";
const DIVERGED = "a run whose loss diverges ends, as divergenceFactor says; leave it out";
const CHECKED = "which parts of the data are used, and how, is said when a run starts; leave it out";

/** Names that other trainers have and that translate, but not one to one; the advice for each. */
const TRANSLATIONS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    adapter: "set method to lora or relora",
    warmed_up_model: "set model to that folder, or warmStartSteps",
    reset_optimizer_on_relora: "set optimizerReset",
    optimizer_magnitude_pruning: "set optimizerReset to magnitude, and pruneRatio",
    optimizer_random_pruning: "set optimizerReset to random, and pruneRatio",
    ...named(FLOAT32, "bf16", "fp16", "tf32", "dtype", "torch_dtype", "precision", "mixed_precision"),
    ...named(ANSWERS, "mask_prompt", "completion_only_loss", "assistant_only_loss", "train_on_responses_only"),
    ...named(EVALUATIONS, "eval_strategy", "evaluation_strategy", "do_eval", "evals_per_epoch", "eval_on_start"),
    ...named(LOGS, "logging_steps", "logging_strategy", "steps_per_report", "report_to", "use_wandb"),
    ...named(LOGS, "wandb_project", "wandb_entity", "wandb_name", "wandb_watch", "wandb_log_model"),
    ...named(ADAMW, "optim", "optimizer"),
    ...named(MODULES, "modules_to_save", "lora_modules_to_save"),
    ...named(CHECKED, "dataset_text_field", "dataset_num_proc", "dataset_format"),
    ...named(KNOWN, "model_type", "tokenizer_type", "tokenizer_use_fast", "is_llama_derived_model"),
    ...named(UNPADDED, "eval_sample_packing", "pad_to_sequence_len", "group_by_length"),
    ...named(ATTENTION, "flash_attention", "sdp_attention", "xformers_attention", "attn_implementation"),
    ...named(DIVERGED, "loss_watchdog_threshold", "loss_watchdog_patience"),
    datasets: "set data to the path or name of one; its form is found, and columns says what its names do not say",
    test_datasets: "set validData to the path or name of one",
    special_tokens: "those of the tokenizer are taken; leave it out",
    save_strategy: "set saveEvery to a number of steps, or to none",
    saves_per_epoch: "set saveEvery to a number of steps",
    use_peft: "method lora is the default of a fine-tune; leave it out",
    peft_type: "set method to lora, and adapterKind",
    lora_target_linear: "targetModules is all-linear by default; leave it out",
    num_layers: "all layers get adapters by default; set layersToTransform to their numbers, from 0, as 28,29",
    lora_layers: "all layers get adapters by default; set layersToTransform to their numbers, from 0, as 28,29",
    scale: "set alpha to that number times rank",
    lora_parameters: "set rank, alpha (scale times rank) and dropout",
    val_batches: "set evalTokens",
    eval_batch_size: "evaluations take batchSize; leave it out",
    per_device_eval_batch_size: "evaluations take batchSize; leave it out",
    adapter_path: "set out to the run folder, in which adapter/ will be; adapterFrom names one to go on from",
    resume_adapter_file: "set adapterFrom to the folder of the adapter",
    resume_from_checkpoint: "highrank resume RUN goes on with a run",
    bnb_4bit_quant_type: "set quantize to nf4 or fp4",
    push_to_hub: "a run writes folders only; leave it out",
    train: "training is what this verb does; leave it out",
  }).map(([name, advice]) => [normalize(name), advice.replace(/\b[a-z]+[A-Z]\w+/g, (key) => optionName(key))]),
);

function named(advice: string, ...names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, advice]));
}

/** Advice for a name that is no setting: `; did you mean "rank"?`, or empty where nothing is near. */
export function adviceForUnknown(name: string, show: (key: string) => string): string {
  const translation = TRANSLATIONS.get(normalize(name));
  if (translation !== undefined) return `; ${translation}`;
  const nearest = suggest(normalize(name), NAMED.keys());
  return nearest === undefined ? "" : `; did you mean ${show(NAMED.get(nearest)!.key)}?`;
}
