import { adapterKind, adapterKinds, REGISTER_FIRST } from "../adapters/kinds.js";
import { LORA_INITIALIZATIONS } from "../adapters/low-rank-adapter.js";
import { MERGE_POLICIES } from "../adapters/merge-policies.js";
import { optionName } from "../base/naming.js";
import { PACKINGS } from "../data/packing.js";
import { DOCUMENT_UNITS } from "../data/text-format.js";
import { DISTRIBUTIONS } from "../distributed/job.js";
import { PRUNING_METHODS } from "../optim/reset.js";
import { QUANTIZATION_FORMATS } from "../quant/quantizer.js";
import { DEVICES } from "../runtime/session.js";

/** Where a setting stands in help texts and in the reference page, in this order. */
export const SETTING_GROUPS = [
  "Model and data",
  "Method",
  "Restarts",
  "Batches and length",
  "Optimizer",
  "Evaluation and checkpoints",
  "Machine",
  "Run",
] as const;

/** Conditions under which a setting means something; `unused.ts` has each in code and in words. */
export type SettingUse =
  | "adapters"
  | "new adapters"
  | "relora"
  | "fixed cycles"
  | "cycles"
  | "pruning"
  | "seen gradients"
  | "cosine"
  | "four bits"
  | "quantized weights"
  | "trained tokenizer"
  | "kept tokens"
  | "samples"
  | "re-warming"
  | "evaluations"
  | "divergence"
  | "drawn validation"
  | "patience"
  | "full weights";

/** A value that stands in where none is given. */
type DefaultValue = number | string | boolean | readonly string[] | null;

/** One declared setting: what types, flags, checks, JSON Schema and the reference page follow from. */
export interface Setting {
  readonly type: "integer" | "number" | "string" | "boolean" | "choice" | "list";
  readonly group: (typeof SETTING_GROUPS)[number];
  readonly help: string;
  /** Its line in the short help. Absent: only `--help --all` shows it. */
  readonly brief?: string;
  /** Says that the value is a file or a folder, or may be one. */
  readonly path?: "path" | "name or path";
  /** The default where a model is trained from random weights, and of a fine-tune unless that has another. */
  readonly default?: DefaultValue;
  /** In place of a default: the rule, in words, by which a missing value follows from other settings or the data. */
  readonly derived?: string;
  /** The default of a fine-tune, where it is another: a value, such a rule, or the reason why there is none. */
  readonly fineTune?: DefaultValue | { readonly derived: string } | { readonly required: string };
  /** Null is a value: `none` on the command line. The text says what it means. */
  readonly none?: string;
  /**
   * The values of a choice, asked for where they can become more; the allowed members of a list (absent: any names).
   */
  readonly choices?: readonly string[] | (() => readonly string[]);
  /** Members of a list are `LEFT=RIGHT`, named here so; a config file may hold a mapping in its place. */
  readonly pairs?: readonly [left: string, right: string];
  /** The way out for a value that it does not take, in words. */
  readonly advice?: string;
  readonly min?: number;
  readonly max?: number;
  /** Exclusive bounds. */
  readonly above?: number;
  readonly below?: number;
  readonly unit?: string;
  /** The uses that it has, all of which must hold; its flag is refused elsewhere. Absent: always used. */
  readonly usedBy?: readonly SettingUse[];
  /** True if it may change when a run is resumed; the others made its model, its data or its plan. */
  readonly mayChange?: true;
  /** True if it may also change in a run that is done, as it says what of that is published. */
  readonly mayChangeDone?: true;
  /** The share that it has in a warm start: none, or that of the learning rates of its steps. Absent: all of it. */
  readonly warmStart?: "none" | "rates";
  /** Its value in runs that began before the setting was there, whose files do not name it. Absent: the default. */
  readonly before?: boolean | null;
  /** True if no number of a run depends on it. */
  readonly computesNothing?: true;
  /** `own`: a study gives it to each run. `shared`: all arms must have it in common, or their losses do not compare. */
  readonly study?: "own" | "shared";
  /** Names of other trainers that mean the same and are accepted: {@link SETTINGS} has those of six. */
  readonly aliases?: readonly string[];
  /** Names of numbers that give the value when they are multiplied by another setting, which stands beside them. */
  readonly factors?: Readonly<Record<string, string>>;
  /** Names that give it as a share, from 0 to 1. Only for numbers whose values below 1 are shares. */
  readonly shares?: readonly string[];
  /**
   * Values of other trainers and of earlier versions, and what they are here, perhaps of several settings. With `true`
   * among them the flag can stand alone.
   */
  readonly spellings?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /**
   * Names of other trainers under which a value means other settings too, where those are not given, or something that
   * is not had under it, in words: each with the values that do.
   */
  readonly implies?: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, number>> | string>>>>;
  /** Names of other trainers that mean something else, in words, beside a name of theirs whose value is not 1. */
  readonly differs?: Readonly<Record<string, { readonly beside: string; readonly words: string }>>;
  /** Names of booleans that each stand for one value of a choice: true chooses it, false rules it out. */
  readonly switches?: Readonly<Record<string, string>>;
}

/** Settings that schedules of transformers have by themselves. */
const TRANSFORMERS_SCHEDULES = {
  cosine: { minLrRatio: 0 },
  constant: { warmupSteps: 0 },
  cosine_with_restarts:
    "falls to 0 once in transformers, where num_cycles is 1: say cosine for that, or set schedule to " +
    "cosine_restarts, which restarts after each cycleLength",
} as const;

/**
 * Every setting of a training run, declared once. Names take camelCase, kebab-case and snake_case alike. Aliases are
 * those of TRL and transformers, axolotl, Unsloth, LLaMA-Factory, mlx-lm and the official ReLoRA code.
 */
export const SETTINGS = {
  model: {
    type: "string",
    brief: "Model to fine-tune, or a size preset to train anew.",
    path: "name or path",
    group: "Model and data",
    default: "small",
    fineTune: { required: "names the model to fine-tune" },
    help: "A size preset, trained from random weights, or a model that has learned, to fine-tune: a Hugging Face folder, a GGUF file, a name of the hub, or a run.",
    aliases: ["base_model", "model_name_or_path", "model_name"],
  },
  data: {
    type: "string",
    brief: "Training data: a file, a folder or builtin:NAME.",
    path: "name or path",
    group: "Model and data",
    mayChange: true,
    study: "shared",
    default: "builtin:wordnet",
    fineTune: {
      required:
        "is missing: a model that has learned is fine-tuned on data of yours, such as\n" +
        `${optionName("data", "chats.jsonl")}  chats, a line each: {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}\n` +
        `${optionName("data", "pairs.jsonl")}  questions and answers, a line each: {"prompt": "…", "completion": "…"}\n` +
        `${optionName("data", "notes.txt")}    text, or a folder of text files`,
    },
    help: "Training data: a .jsonl, .json, .csv, .tsv, .parquet, .txt or .md file, a folder of them, a data set of the hub (organisation/name or organisation/name:CONFIG), or builtin:NAME.",
    aliases: ["dataset", "dataset_name", "dataset_path", "train_file"],
  },
  columns: {
    type: "list",
    pairs: ["ROLE", "COLUMN"],
    group: "Model and data",
    study: "shared",
    default: [],
    help: "Columns or keys whose names do not say what they are, as ROLE=COLUMN: prompt=question,completion=answer,system=persona.",
  },
  document: {
    type: "choice",
    group: "Model and data",
    study: "shared",
    choices: DOCUMENT_UNITS,
    default: null,
    none: "paragraphs of .txt, sections of .md",
    help: "Part of a text file that is one document; between documents stands an end of text.",
  },
  chatTemplate: {
    type: "string",
    path: "path",
    group: "Model and data",
    study: "shared",
    default: null,
    none: "the tokenizer's own",
    help: "Template that messages are rendered with: one of the tokenizer's by name, a file, or a built-in one: chatml, llama3, gemma, mistral, phi, zephyr, alpaca, vicuna.",
  },
  chatDate: {
    type: "string",
    group: "Model and data",
    study: "shared",
    default: null,
    none: "today; a run keeps the day of its start",
    help: "Day that chat templates are told, such as 2026-03-31.",
  },
  addSpecialTokens: {
    type: "boolean",
    group: "Model and data",
    study: "shared",
    default: true,
    before: false,
    help: "Put what the tokenizer puts around a text, such as <bos>, around texts, prompts and instructions. Chat templates write it themselves.",
  },
  trainOnInputs: {
    type: "boolean",
    group: "Model and data",
    study: "shared",
    default: false,
    help: "Score prompts and the turns of all roles, not only completions and what the assistant wrote.",
  },
  packing: {
    type: "choice",
    group: "Model and data",
    study: "shared",
    choices: PACKINGS,
    default: "auto",
    help: "auto is joined for text and separate for other data. separate: the samples of a batch stand one after another, and none sees another; joined: text is cut into full rows, and several whole samples share a row, where each sees those before it; none: each has a padded row.",
    switches: { sample_packing: "separate" },
    spellings: { true: { packing: "joined" }, false: { packing: "none" }, null: { packing: "auto" } },
  },
  tokenizer: {
    type: "string",
    path: "name or path",
    group: "Model and data",
    study: "shared",
    default: null,
    none: "the model folder's own; for a size preset one is trained on the data",
    help: "A tokenizer.json, the folder that holds it, a run, or a model of the hub.",
  },
  vocabSize: {
    type: "integer",
    group: "Model and data",
    usedBy: ["trained tokenizer"],
    study: "shared",
    default: 4096,
    min: 257,
    max: 1_000_000,
    unit: "tokens",
    help: "Size of the vocabulary when a tokenizer is trained.",
  },
  validData: {
    path: "path",
    brief: "Data that are held out for evaluation.",
    type: "string",
    group: "Model and data",
    mayChange: true,
    study: "shared",
    default: null,
    none: "files for validation in the data's folder, or else a share of the data",
    help: "Data that are held out for evaluation: a file or a folder, as for data.",
    aliases: ["validation_data", "validation_file", "eval_data", "eval_dataset"],
  },
  tokenCache: {
    type: "string",
    path: "path",
    group: "Model and data",
    usedBy: ["kept tokens"],
    mayChange: true,
    computesNothing: true,
    default: null,
    none: "in the run folder",
    help: "Folder for the tokens of large data, from which a resume takes them; runs may share it.",
    aliases: ["dataset_prepared_path"],
  },
  tokenCacheLimit: {
    type: "number",
    group: "Model and data",
    mayChange: true,
    computesNothing: true,
    default: 4,
    min: 0,
    unit: "GiB",
    help: "Most that kept tokens take, 4 bytes for each of a text and 8 for each of a sample; data of less than 4 million tokens are not kept. 0 keeps none.",
  },
  validationFraction: {
    type: "number",
    group: "Model and data",
    usedBy: ["drawn validation"],
    study: "shared",
    default: 0.02,
    fineTune: { derived: "0.02, or what gives 10 samples, at most 0.1" },
    above: 0,
    max: 0.5,
    help: "Share of the documents or samples held out for evaluation, where no data for validation are named.",
    aliases: ["val_set_size", "val_size", "valid_fraction"],
  },

  method: {
    type: "choice",
    brief: "full, or with adapters: lora, relora.",
    group: "Method",
    warmStart: "none",
    choices: ["full", "lora", "relora"],
    default: "relora",
    fineTune: "lora",
    help: "full trains every weight; lora trains adapters; relora merges and restarts them again and again, which pays where adapters of the rank that memory allows are full before the run ends (docs/when-to-restart.md); where they are not, lora does as well. qlora is lora with quantize nf4.",
    aliases: ["fine_tune_type", "finetuning_type"],
    spellings: { qlora: { method: "lora", quantize: "nf4" }, dora: { method: "lora", adapterKind: "dora" } },
  },
  adapterFrom: {
    type: "string",
    path: "name or path",
    group: "Method",
    usedBy: ["adapters"],
    warmStart: "none",
    default: null,
    none: "the adapters start anew",
    help: "A PEFT adapter of the model, a folder or a name of the hub, from which training goes on: its factors, rank, alpha, dropout, targets, kind, and what it trains in full.",
    aliases: ["lora_model_dir"],
  },
  adapterKind: {
    type: "choice",
    group: "Method",
    usedBy: ["adapters", "new adapters"],
    warmStart: "none",
    choices: adapterKinds,
    default: "lora",
    help: `${adapterKinds()
      .map((name) => `${name} ${adapterKind(name).summary}`)
      .join("; ")}.`,
    advice: REGISTER_FIRST,
    switches: { dora: "dora", use_dora: "dora", peft_use_dora: "dora", core: "core" },
  },
  rank: {
    type: "integer",
    brief: "Rank of each adapter.",
    group: "Method",
    usedBy: ["adapters", "new adapters"],
    warmStart: "none",
    default: 32,
    fineTune: 16,
    min: 1,
    help: "Rank of each adapter; at most the smaller side of every layer it is put on.",
    aliases: ["lora_r", "lora_rank", "r"],
  },
  alpha: {
    type: "number",
    group: "Method",
    usedBy: ["adapters", "new adapters"],
    warmStart: "none",
    derived: "the rank, so that the scaling is 1",
    fineTune: { derived: "twice the rank" },
    above: 0,
    help: "The update is scaled by alpha / rank (alpha / √rank with rslora).",
    aliases: ["lora_alpha"],
  },
  rslora: {
    type: "boolean",
    group: "Method",
    usedBy: ["adapters", "new adapters"],
    warmStart: "none",
    default: false,
    help: "Scale by alpha / √rank (Kalajdzievski 2023).",
    aliases: ["use_rslora", "peft_use_rslora"],
  },
  dropout: {
    type: "number",
    group: "Method",
    usedBy: ["adapters", "new adapters"],
    warmStart: "none",
    default: 0,
    min: 0,
    below: 1,
    help: "Dropout on the input of the adapters.",
    aliases: ["lora_dropout"],
  },
  adapterInit: {
    type: "choice",
    group: "Method",
    usedBy: ["adapters"],
    warmStart: "none",
    choices: LORA_INITIALIZATIONS,
    default: "xavier",
    help: "How A starts, at first and after each merge; B starts at zero. kaiming and gaussian are PEFT's.",
  },
  targetModules: {
    type: "list",
    group: "Method",
    usedBy: ["adapters", "new adapters"],
    warmStart: "none",
    default: ["all-linear"],
    help: "Linear layers that get an adapter: all-linear is all of the decoder's; else the ends of their paths, such as q_proj or 3.mlp.up_proj, or regular expressions of Python's for whole paths.",
    aliases: ["lora_target_modules", "lora_target"],
  },
  excludeModules: {
    type: "list",
    group: "Method",
    usedBy: ["adapters", "new adapters"],
    warmStart: "none",
    default: [],
    help: "Layers among them that get none, named in the same way.",
    aliases: ["lora_exclude_modules"],
  },
  layersToTransform: {
    type: "list",
    group: "Method",
    usedBy: ["adapters", "new adapters"],
    warmStart: "none",
    default: [],
    help: "Numbers, from 0, of the decoder layers that get adapters; none for all of them.",
    aliases: ["lora_layers_to_transform", "peft_layers_to_transform"],
  },
  rankPattern: {
    type: "list",
    pairs: ["NAME", "RANK"],
    group: "Method",
    usedBy: ["adapters", "new adapters"],
    warmStart: "none",
    default: [],
    help: "Ranks that differ, as NAME=RANK: the end of a path, or a regular expression for it; the first that matches counts.",
  },
  alphaPattern: {
    type: "list",
    pairs: ["NAME", "ALPHA"],
    group: "Method",
    usedBy: ["adapters", "new adapters"],
    warmStart: "none",
    default: [],
    help: "Alphas that differ, as NAME=ALPHA.",
  },
  bias: {
    type: "choice",
    group: "Method",
    usedBy: ["adapters", "new adapters"],
    warmStart: "none",
    choices: ["none", "lora_only", "all"],
    default: "none",
    help: "Biases that are trained beside the adapters: those of adapted layers, all of the model, or none.",
  },
  trainModules: {
    type: "list",
    group: "Method",
    usedBy: ["adapters", "new adapters"],
    warmStart: "none",
    choices: ["embeddings", "norms", "head"],
    default: ["embeddings", "norms", "head"],
    fineTune: [],
    help: "What is trained in full beside the adapters.",
  },
  quantize: {
    type: "choice",
    brief: "Format of the frozen weights.",
    group: "Method",
    warmStart: "none",
    choices: ["none", ...QUANTIZATION_FORMATS],
    default: "none",
    help: "Format of the frozen weights under the adapters, bitsandbytes' own; none is float32, or what the model folder has.",
    switches: { load_in_4bit: "nf4", load_in_8bit: "int8" },
  },
  doubleQuant: {
    type: "boolean",
    group: "Method",
    warmStart: "none",
    default: false,
    help: "Quantize the scales of nf4 and fp4 too: 4.13 instead of 4.5 bits per weight.",
    aliases: ["bnb_4bit_use_double_quant", "use_double_quant"],
  },
  quantBlockSize: {
    type: "integer",
    group: "Method",
    usedBy: ["four bits"],
    warmStart: "none",
    default: 64,
    min: 16,
    max: 4096,
    unit: "weights",
    help: "Weights that share a scale in nf4 and fp4: a power of two.",
  },
  mergePolicy: {
    type: "choice",
    group: "Method",
    usedBy: ["adapters", "quantized weights"],
    warmStart: "none",
    choices: MERGE_POLICIES,
    default: "delta-log",
    help: "How quantized weights take up merges: round base + all updates (delta-log; residual also starts the next adapter near what rounding changes), or the present weight + update, with the error carried (error-feedback), at random (stochastic) or lost (requantize).",
  },

  warmStartSteps: {
    type: "integer",
    group: "Restarts",
    usedBy: ["adapters"],
    derived: "a quarter of the run",
    fineTune: 0,
    min: 0,
    unit: "steps",
    help: "Full-rank steps before the adapters take over, counted in maxSteps.",
  },
  restart: {
    type: "choice",
    group: "Restarts",
    usedBy: ["relora"],
    warmStart: "none",
    choices: ["fixed", "when-full"],
    derived: "fixed; in a fine-tune without a period when-full",
    help: "When adapters are merged and restarted: every reloraEvery steps (fixed), or when they are full (when-full), that is when a step lowers the training loss by less than three quarters of the mean over this cycle and the one before, after at least 32 steps for each direction that restarts, and once the run has learned a bit for each weight of its adapters.",
  },
  reloraEvery: {
    type: "integer",
    group: "Restarts",
    usedBy: ["relora", "fixed cycles"],
    warmStart: "rates",
    derived: "a quarter of the steps with adapters",
    min: 1,
    unit: "steps",
    help: "Merge period of relora: adapters are merged and restarted after so many steps.",
    aliases: ["relora", "relora_steps", "jagged_restart_steps"],
  },
  cycleLength: {
    type: "integer",
    group: "Restarts",
    usedBy: ["cycles", "fixed cycles"],
    warmStart: "rates",
    derived: "reloraEvery",
    min: 1,
    unit: "steps",
    help: "Period of the learning-rate restarts and optimizer resets; a multiple of reloraEvery.",
  },
  restartWarmupSteps: {
    type: "integer",
    group: "Restarts",
    usedBy: ["re-warming"],
    warmStart: "rates",
    derived: "a tenth of cycleLength, at most 50",
    min: 0,
    unit: "steps",
    help: "Warm-up of the learning rate after each restart, and when the adapters take over from the warm start.",
    aliases: ["relora_warmup_steps", "jagged_restart_warmup_steps"],
  },
  restartShare: {
    type: "number",
    group: "Restarts",
    usedBy: ["relora"],
    warmStart: "none",
    default: 1,
    above: 0,
    max: 1,
    help: "Share of each adapter's directions that a merge takes and restarts, the weakest; the others go on as they are.",
  },
  optimizerReset: {
    type: "choice",
    group: "Restarts",
    usedBy: ["relora"],
    warmStart: "none",
    choices: ["reset", "primed", ...PRUNING_METHODS, "none"],
    default: "reset",
    help: "At a restart, the moments of what restarts are zeroed (reset), set to those of the gradients of the next batches (primed), pruned by size or at random, or kept (none).",
    aliases: ["relora_prune_method"],
  },
  restartBatches: {
    type: "integer",
    group: "Restarts",
    usedBy: ["seen gradients"],
    warmStart: "none",
    default: 8,
    min: 1,
    unit: "batches",
    help: "Batches whose gradients prime the moments after a restart, and those that give a core its bases.",
  },
  pruneRatio: {
    type: "number",
    group: "Restarts",
    usedBy: ["relora", "pruning"],
    warmStart: "none",
    default: 0.9,
    min: 0,
    below: 1,
    help: "Share of the moments that magnitude and random pruning set to zero.",
    aliases: ["relora_prune_ratio"],
  },

  epochs: {
    brief: "Length of the run in passes over the data.",
    type: "number",
    group: "Batches and length",
    mayChange: true,
    default: null,
    fineTune: { derived: "3, unless maxSteps or maxTrainTokens is given" },
    before: null,
    none: "the run is as long as maxSteps and maxTrainTokens say",
    above: 0,
    unit: "epochs",
    help: "Length of the run in passes over the data, from which maxSteps follows.",
    aliases: ["num_train_epochs", "num_epochs"],
  },
  maxSteps: {
    type: "integer",
    brief: "Optimizer steps of the run.",
    group: "Batches and length",
    mayChange: true,
    default: 10_000,
    fineTune: { derived: "those of the epochs" },
    min: 1,
    unit: "steps",
    help: "Optimizer steps of the whole run, warm start included. With maxTrainTokens, whichever ends first.",
    aliases: ["num_training_steps", "iters"],
    differs: {
      iters: {
        beside: "grad_accumulation_steps",
        words: "counts batches in mlx-lm, of which grad_accumulation_steps make a step; give max_steps instead",
      },
    },
  },
  maxTrainTokens: {
    type: "integer",
    group: "Batches and length",
    default: null,
    none: "no limit",
    min: 1,
    unit: "tokens",
    help: "Tokens to train on: those that steps compute, prompts too but no padding. maxSteps is the most steps that stay within it, counted exactly before the start in the order of the rows; takes k, M and B as in 100M.",
  },
  batchSize: {
    type: "integer",
    brief: "Sequences of one pass.",
    group: "Batches and length",
    default: 8,
    fineTune: { derived: "totalBatchSize, or a part of it where memory is short" },
    min: 1,
    unit: "sequences",
    help: "Sequences of one forward and backward pass.",
    aliases: ["micro_batch_size", "per_device_train_batch_size", "per_device_batch_size"],
  },
  totalBatchSize: {
    type: "integer",
    group: "Batches and length",
    derived: "batchSize",
    fineTune: { derived: "batchSize where that is given, else 8" },
    min: 1,
    unit: "sequences",
    help: "Sequences of one optimizer step, a multiple of batchSize; gradients are accumulated.",
    factors: {
      gradient_accumulation_steps: "batchSize",
      gradient_accumulation: "batchSize",
      grad_accumulation_steps: "batchSize",
    },
  },
  sequenceLength: {
    type: "integer",
    brief: "Length of a row; longer samples are cut.",
    group: "Batches and length",
    study: "shared",
    default: 256,
    fineTune: {
      derived: "the longest sample, at most what model and memory take; for text 512, or less where it is short",
    },
    min: 2,
    unit: "tokens",
    help: "Length of a row; longer samples are cut.",
    aliases: ["sequence_len", "max_length", "max_seq_length", "cutoff_len"],
  },

  lr: {
    type: "number",
    brief: "Peak learning rate.",
    group: "Optimizer",
    usedBy: ["full weights"],
    mayChange: true,
    default: 1e-3,
    fineTune: { derived: "0.6 / the hidden size of the model; a tenth of that for method full" },
    above: 0,
    help: "Peak learning rate.",
    aliases: ["learning_rate"],
  },
  adapterLr: {
    type: "number",
    group: "Optimizer",
    usedBy: ["adapters"],
    mayChange: true,
    warmStart: "none",
    derived: "lr",
    above: 0,
    help: "Peak learning rate of the adapters; often twice that of full-rank training.",
  },
  loraPlusRatio: {
    type: "number",
    group: "Optimizer",
    usedBy: ["adapters"],
    warmStart: "none",
    default: 1,
    above: 0,
    help: "Learning rate of B as a multiple of adapterLr, which A keeps (LoRA+, Hayou et al. 2024); 16 is usual there.",
    aliases: ["loraplus_lr_ratio"],
  },
  schedule: {
    type: "choice",
    group: "Optimizer",
    warmStart: "rates",
    choices: ["constant", "linear", "cosine", "cosine_restarts"],
    derived: "cosine_restarts for fixed cycles of relora, else cosine",
    fineTune: { derived: "cosine_restarts for fixed cycles of relora, cosine for others, else linear" },
    help: "Learning rate over the steps, after the warm-up. Under the names of transformers and axolotl, cosine falls to 0 and constant has no warm-up, unless minLrRatio and warmupSteps are given; cosine_with_restarts is refused there.",
    aliases: ["scheduler", "lr_scheduler", "lr_scheduler_type"],
    spellings: {
      constant_with_warmup: { schedule: "constant" },
      cosine_with_min_lr: { schedule: "cosine" },
      cosine_with_restarts: { schedule: "cosine_restarts" },
    },
    implies: { lr_scheduler: TRANSFORMERS_SCHEDULES, lr_scheduler_type: TRANSFORMERS_SCHEDULES },
  },
  warmupSteps: {
    type: "number",
    group: "Optimizer",
    warmStart: "rates",
    derived: "a tenth of the warm start or else of the first cycle, at most 100",
    min: 0,
    unit: "steps",
    help: "Warm-up of the learning rate at the start of the run. Below 1 a share of the run's steps, rounded up, as in transformers; where there is a warm start, of its steps, or else with relora of the first cycle.",
    shares: ["warmup_ratio"],
  },
  minLrRatio: {
    type: "number",
    group: "Optimizer",
    usedBy: ["cosine"],
    warmStart: "rates",
    default: 0.1,
    min: 0,
    max: 1,
    help: "Where the cosine schedules end, as a share of the peak.",
    aliases: ["cosine_min_lr_ratio"],
  },
  weightDecay: {
    type: "number",
    group: "Optimizer",
    default: 0,
    min: 0,
    help: "Decoupled weight decay of AdamW; norms, biases and magnitudes of DoRA are exempt.",
  },
  beta1: {
    type: "number",
    group: "Optimizer",
    default: 0.9,
    min: 0,
    below: 1,
    help: "Decay of AdamW's first moment.",
    aliases: ["adam_beta1"],
  },
  beta2: {
    type: "number",
    group: "Optimizer",
    default: 0.999,
    min: 0,
    below: 1,
    help: "Decay of AdamW's second moment.",
    aliases: ["adam_beta2"],
  },
  eps: {
    type: "number",
    group: "Optimizer",
    default: 1e-8,
    above: 0,
    help: "Term that keeps AdamW's denominator away from zero.",
    aliases: ["adam_epsilon"],
  },
  clipGradNorm: {
    type: "number",
    group: "Optimizer",
    mayChange: true,
    default: 1,
    none: "no clipping",
    above: 0,
    help: "Largest global norm of the gradient; larger ones are scaled down to it.",
    aliases: ["max_grad_norm"],
  },
  maxBadSteps: {
    type: "integer",
    group: "Optimizer",
    mayChange: true,
    default: 10,
    min: 0,
    unit: "steps",
    help: "Steps with a loss or gradient that is not finite are skipped; more than so many in a row stop the run.",
  },
  divergenceFactor: {
    type: "number",
    group: "Optimizer",
    mayChange: true,
    default: 1.5,
    none: "never stop for it",
    above: 1,
    help: "The run stops when the held-out loss is above so many times its lowest (of at least 1 nat), evaluation after evaluation, and the training loss above that lowest too.",
  },
  divergenceEvals: {
    type: "integer",
    group: "Optimizer",
    usedBy: ["divergence"],
    mayChange: true,
    default: 3,
    min: 1,
    unit: "evaluations",
    help: "So many such evaluations in a row stop the run.",
  },

  evalEvery: {
    type: "integer",
    brief: "Steps between evaluations.",
    group: "Evaluation and checkpoints",
    mayChange: true,
    default: 100,
    fineTune: { derived: "a tenth of the run, or more where evaluations would take more than a tenth of its time" },
    none: "only at the end",
    min: 1,
    unit: "steps",
    help: "Steps between evaluations.",
    aliases: ["eval_steps", "steps_per_eval"],
  },
  evalMilestones: {
    type: "boolean",
    group: "Evaluation and checkpoints",
    derived: "true; false where evalEvery is none",
    before: true,
    help: "Evaluate also before the first step, where adapters take over from a warm start, and around merges and quantizing.",
  },
  evalTokens: {
    type: "integer",
    group: "Evaluation and checkpoints",
    study: "shared",
    default: 50_000,
    min: 1,
    unit: "tokens",
    help: "Held-out tokens of each evaluation, always the same ones.",
  },
  patience: {
    type: "integer",
    group: "Evaluation and checkpoints",
    mayChange: true,
    warmStart: "none",
    default: null,
    none: "train to the last step",
    min: 1,
    unit: "evaluations",
    help: "So many evaluations in a row without improvement end the run; those of a warm start do not count.",
    aliases: ["early_stopping_patience"],
  },
  minImprovement: {
    type: "number",
    group: "Evaluation and checkpoints",
    usedBy: ["patience"],
    mayChange: true,
    warmStart: "none",
    default: 0,
    min: 0,
    unit: "nats",
    help: "What the held-out loss must fall by to be an improvement for patience; with 0, by anything.",
    aliases: ["early_stopping_threshold"],
  },
  loadBest: {
    type: "boolean",
    group: "Evaluation and checkpoints",
    usedBy: ["evaluations"],
    mayChange: true,
    mayChangeDone: true,
    default: false,
    help: "Save at each evaluation that is the best so far, and make the finished model and adapter of the best checkpoint instead of the last.",
    aliases: ["load_best_model_at_end"],
  },
  log: {
    type: "list",
    group: "Evaluation and checkpoints",
    mayChange: true,
    choices: ["tensorboard"],
    default: null,
    none: "metrics.jsonl and the report alone",
    help: "Other logs to write: tensorboard, event files in RUN/tensorboard with the numbers and texts of metrics.jsonl.",
    aliases: ["report_to"],
  },
  sampleTokens: {
    type: "integer",
    group: "Evaluation and checkpoints",
    default: 40,
    min: 0,
    unit: "tokens",
    help: "Length of the text generated at each evaluation; 0 for none.",
  },
  samplePrompt: {
    type: "string",
    group: "Evaluation and checkpoints",
    usedBy: ["samples"],
    default: "",
    help: "Text that the sample continues; empty for the start of a document.",
  },
  saveEvery: {
    type: "integer",
    group: "Evaluation and checkpoints",
    mayChange: true,
    warmStart: "none",
    default: 1000,
    fineTune: { derived: "a tenth of the run" },
    none: "only at the end",
    min: 1,
    unit: "steps",
    help: "Steps between checkpoints.",
    aliases: ["save_steps"],
  },
  keepCheckpoints: {
    type: "integer",
    group: "Evaluation and checkpoints",
    mayChange: true,
    warmStart: "none",
    default: 2,
    none: "all",
    min: 1,
    help: "Checkpoints to keep beside the best one; older ones are deleted.",
    aliases: ["save_total_limit"],
  },

  device: {
    type: "choice",
    group: "Machine",
    mayChange: true,
    choices: DEVICES,
    default: "cpu",
    help: "Execution provider of ONNX Runtime.",
  },
  threads: {
    type: "integer",
    group: "Machine",
    mayChange: true,
    computesNothing: true,
    default: null,
    none: "as many as the machine has cores",
    min: 1,
    max: 256,
    help: "Threads of the computation. With deterministic, results on the CPU have the same bits for every number up to 64.",
  },
  deterministic: {
    type: "boolean",
    group: "Machine",
    mayChange: true,
    default: false,
    before: true,
    help: "Compute products in forms whose bits do not depend on the number of threads, some of them slower. Without it the bits are the same from run to run with one number of threads.",
  },
  checkpointing: {
    type: "boolean",
    group: "Machine",
    default: false,
    help: "Recompute activations in the backward pass: less memory, more time.",
    aliases: ["gradient_checkpointing", "grad_checkpoint"],
  },
  lossChunk: {
    type: "integer",
    group: "Machine",
    default: 512,
    min: 1,
    unit: "tokens",
    help: "Tokens whose logits exist at once when the loss is computed.",
  },

  distributed: {
    type: "choice",
    group: "Machine",
    mayChange: true,
    computesNothing: true,
    choices: DISTRIBUTIONS,
    default: "auto",
    help: "The processes that share the micro-batches of an update: this one alone, or all those of an MPI job. With auto, mpi where a launcher such as mpirun or srun has started more than one.",
  },
  mpiTimeout: {
    type: "number",
    group: "Machine",
    mayChange: true,
    computesNothing: true,
    default: 1800,
    above: 0,
    unit: "seconds",
    help: "Time after which a process of an MPI job that does not answer ends the job.",
  },
  scratch: {
    type: "string",
    path: "path",
    group: "Machine",
    mayChange: true,
    computesNothing: true,
    default: null,
    none: "the run folder, which all processes see",
    help: "Folder where the processes of an MPI job that do not see the run folder keep their base and the cycles, on a disk of their own machine. They remove it at the end.",
  },

  preset: {
    type: "choice",
    group: "Run",
    choices: ["none", "quickstart"],
    default: "none",
    help: "A recipe whose values stand in where neither the config file nor a flag gives one; quickstart where neither a config file nor a model is named. Another model takes its rank, lengths and evaluations, but not how it quantizes, and one that has learned takes neither its data nor its learning rates.",
  },
  out: {
    type: "string",
    brief: "Run folder.",
    path: "path",
    group: "Run",
    computesNothing: true,
    study: "own",
    default: null,
    none: "a new folder under runs/",
    help: "Run folder.",
    aliases: ["output_dir", "save_dir"],
  },
  overwrite: {
    type: "boolean",
    brief: "Replace what an earlier run left there.",
    group: "Run",
    computesNothing: true,
    study: "own",
    default: false,
    help: "Replace what an earlier run left in the run folder.",
  },
  dryRun: {
    type: "boolean",
    brief: "Print the plan; train nothing.",
    group: "Run",
    computesNothing: true,
    study: "own",
    default: false,
    help: "Print the plan, check the data, train nothing.",
  },
  force: {
    type: "boolean",
    group: "Run",
    mayChange: true,
    computesNothing: true,
    default: false,
    help: "Start even when the estimated memory is more than there is.",
  },
  seed: {
    type: "integer",
    group: "Run",
    study: "own",
    default: 0,
    min: 0,
    max: 0xffffffff,
    help: "Seed of all randomness: initial weights, order of the data, dropout, samples.",
  },
} as const;

export type SettingKey = keyof typeof SETTINGS;

/** Keys whose missing value is computed, in one of the jobs at least. */
export type DerivedKey = {
  [K in SettingKey]: (typeof SETTINGS)[K] extends { derived: string } | { fineTune: { derived: string } } ? K : never;
}[SettingKey];

/** The checked value of a setting or of another option declared as one. */
export type ValueOf<S extends Pick<Setting, "type">> =
  | (S extends { type: "integer" | "number" }
      ? number
      : S extends { type: "boolean" }
        ? boolean
        : S extends { type: "choice"; choices: readonly (infer Choice)[] | (() => readonly (infer Choice)[]) }
          ? Choice
          : S extends { type: "list"; choices: readonly (infer Member)[] }
            ? readonly Member[]
            : S extends { type: "list" }
              ? readonly string[]
              : string)
  | (S extends { none: string } ? null : never);

/** A complete, checked set of settings, as `resolveSettings` returns it. */
export type Settings = { readonly [K in SettingKey]: ValueOf<(typeof SETTINGS)[K]> };
