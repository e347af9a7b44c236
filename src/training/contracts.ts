import type { Settings } from "../config/settings.js";
import type { FloatDType } from "../formats/quant-state.js";
import type { DownloadEvents } from "../hub/model-download.js";
import type { Quantizer } from "../quant/quantizer.js";
import type { CheckpointName } from "../runs/checkpoint.js";
import type { MetricsRecord, QuantizedLayer } from "../runs/metrics.js";

// What the command line asks of training: the shapes of its entry points.

/** Options of {@link StartTraining}. */
export interface TrainingOptions extends DownloadEvents {
  /** Called for each line that goes into `metrics.jsonl`, in order, on the caller's thread. */
  readonly onRecord: (record: MetricsRecord) => void;
  /** Hears what else there is to say: that a dead process's folder was taken over, that a full disk is waited for. */
  readonly onNotice?: (text: string) => void;
  /** Whether the run gets a process of its own, so that its peak memory is that of nothing else; otherwise a thread. */
  readonly ownProcess?: boolean;
  /** Saves a checkpoint after this step and ends there, as if it had been asked to stop. */
  readonly untilStep?: number;
}

/** A run under way in a worker. */
export interface TrainingHandle {
  /**
   * Resolves when the run folder is complete; rejects with ConfigError, DataError, CheckpointError, DeviceError or, when
   * the numbers diverged, NumericError.
   */
  readonly done: Promise<TrainResult>;
  /** Asks the run to save a checkpoint after the step under way and to end; `done` then resolves with `stopped`. */
  stop(): void;
}

/** How a run ended that did not fail. */
export interface TrainResult {
  /**
   * `early`: before its last step, because the held-out loss fell no more; `planned`: a dry run, of which the start record is the whole
   * outcome and nothing was written.
   */
  readonly outcome: "done" | "early" | "stopped" | "planned";
  readonly runFolder: string;
  /** Completed optimizer steps. */
  readonly step: number;
  /** Tokens trained on. */
  readonly tokens: number;
  /** The last evaluation's loss in nats, or null where none was made. */
  readonly heldOutLoss: number | null;
  /** The last checkpoint, or null where none was written. */
  readonly checkpoint: string | null;
  /** The finished Hugging Face folder, or null unless the outcome is `done` or `early`. */
  readonly modelFolder: string | null;
  /** The step that the finished model is of. */
  readonly modelStep: number | null;
}

/** Starts a training run; faults found before the worker starts also come through `done`. */
export type StartTraining = (settings: Settings, options: TrainingOptions) => TrainingHandle;

/** What a run that goes on is to do otherwise. */
export interface ResumeOptions {
  /** The checkpoint to go on from. */
  readonly checkpoint: CheckpointName;
  /** Values by setting name, as text or typed, out of {@link RESUME_SETTINGS}. */
  readonly changes: Readonly<Record<string, unknown>>;
}

/** Goes on with a run. */
export type StartResuming = (runFolder: string, resume: ResumeOptions, options: TrainingOptions) => TrainingHandle;

/** What was found of one part of a run folder. */
export interface Finding {
  /** A file or folder of the run, or `settings`, `leftovers`, `data`, `metrics`, `steps`. */
  readonly area: string;
  /** `repairable`: resume puts it right by itself; `damaged`: it cannot; `unchecked`: what the check would take is not there. */
  readonly state: "ok" | "unchecked" | "repairable" | "damaged";
  /** What there is, or what is wrong. */
  readonly what: string;
  /** What can be done; null where nothing is to be. */
  readonly wayOut: string | null;
}

/** What a look through a run folder has found. */
export interface RunCheck {
  readonly runFolder: string;
  /** The worst that was found. */
  readonly state: "ok" | "repairable" | "damaged";
  /** Of the newest checkpoint to go on from, `last` before others; null where there is none. */
  readonly step: number | null;
  /** Null where the settings cannot be read. */
  readonly maxSteps: number | null;
  readonly findings: readonly Finding[];
}

/** Looks through a run folder, without writing. */
export type CheckRun = (runFolder: string) => Promise<RunCheck>;

/** A PEFT adapter, a folder or of the hub by name, and how much of its update is taken. */
export interface WeightedAdapter {
  readonly adapter: string;
  readonly weight: number;
}

/** How a model is loaded for evaluation and generation. */
export interface TargetOptions extends DownloadEvents {
  /** The model under a PEFT adapter, a folder or a name of the hub; null for the one that the adapter names. */
  readonly base: string | null;
  /** False leaves the adapter out and gives the base alone. */
  readonly adapter: boolean;
  /** Adapters for a model, whose updates are added to it; none where they are left out. */
  readonly adapters?: readonly WeightedAdapter[];
  /** The checkpoint of a run folder; its finished model, or else the newest state, where it is left out or null. */
  readonly checkpoint?: CheckpointName | null;
  readonly device: Settings["device"];
  readonly threads: Settings["threads"];
}

/** Options of {@link EvaluateTarget}. */
export interface EvaluationOptions extends TargetOptions {
  readonly data: string;
  readonly batchSize: number;
  /** Tokens of a packed sequence, or null for the model's own length. */
  readonly sequenceLength: number | null;
  /** Score at most so many tokens; null for all. */
  readonly maxTokens: number | null;
  /** Score prompts and the turns of all roles as well; false where it is left out. */
  readonly trainOnInputs?: boolean;
  /** File with the template for messages; the tokenizer's own where it is left out or null. */
  readonly chatTemplate?: string | null;
}

/** Token-weighted mean cross-entropy in nats, its exponential, and the number of scored tokens. */
export interface Evaluation {
  readonly loss: number;
  readonly perplexity: number;
  readonly tokens: number;
}

/** What was scored of a source of data. */
export interface TargetEvaluation extends Evaluation {
  /** Samples that were cut, and the tokens left out of them. */
  readonly truncation: { readonly samples: number; readonly tokens: number };
}

/** Scores a run folder, a Hugging Face model or a PEFT adapter, each a folder or of the hub by name, on a text or on samples. */
export type EvaluateTarget = (target: string, options: EvaluationOptions) => Promise<TargetEvaluation>;

/** How a text is written. */
export interface WritingOptions {
  readonly maxNewTokens: number;
  /** 0 is greedy. */
  readonly temperature: number;
  /** Sample from the k likeliest tokens; null for all. */
  readonly topK: number | null;
  /** Sample from the likeliest tokens that hold this share of the probability; 1 for all. */
  readonly topP: number;
  readonly seed: number;
  /** Texts that end the generation and are not part of what it gives; none of them empty. Default: none. */
  readonly stop?: readonly string[];
  /** Hears each piece of text as soon as it is whole characters; together they are `text`. */
  readonly onText?: (piece: string) => void;
}

/** Options of {@link GenerateText}. */
export interface GenerationOptions extends TargetOptions, WritingOptions {
  readonly prompt: string;
}

/** The text that follows the prompt, and why it ended. */
export interface Generation {
  readonly text: string;
  /** Tokens written. */
  readonly tokens: number;
  readonly finish: "end-of-text" | "length" | "stop";
  /** Tokens of the prompt, with what a text begins with. */
  readonly promptTokens: number;
  /** Milliseconds for each token of the prompt that was read; null where none was. */
  readonly msPerPromptToken: number | null;
  /** Milliseconds for each token after the first, from one to the next; null where there is none. */
  readonly msPerToken: number | null;
  /** Tokens that the model sees at most. */
  readonly contextTokens: number;
  /** How often the text had filled that, and went on from its last half. */
  readonly contextRestarts: number;
}

/** Continues a prompt with the model of a run folder, or with a Hugging Face model or a PEFT adapter, each a folder or of the hub by name. */
export type GenerateText = (target: string, options: GenerationOptions) => Promise<Generation>;

/** Options of {@link QuantizeModel}. */
export interface QuantizationOptions extends DownloadEvents {
  /** The folder to write, which must not hold anything yet. */
  readonly out: string;
  readonly quantizer: Quantizer;
}

/** What quantizing a model folder made of it. */
export interface ModelQuantization {
  readonly modelFolder: string;
  /** The quantizer in words, such as `nf4 in blocks of 64`. */
  readonly quantizer: string;
  /** ‖W − dequantized‖ / ‖W‖ over all layers, Frobenius norms. */
  readonly relativeError: number;
  readonly layers: readonly QuantizedLayer[];
  /** Bytes of the layers' weights as they were stored, and of their codes and scales. */
  readonly layerBytes: BeforeAndAfter;
  /** Bytes of all files with weights. */
  readonly fileBytes: BeforeAndAfter;
}

export interface BeforeAndAfter {
  readonly before: number;
  readonly after: number;
}

/** Quantizes a Hugging Face model folder into another one. */
export type QuantizeModel = (folder: string, options: QuantizationOptions) => Promise<ModelQuantization>;

/** Options of {@link MergeTarget}. */
export interface MergeOptions extends DownloadEvents {
  /** The folder to write, which must not hold anything yet. */
  readonly out: string;
  /** The model under a PEFT adapter, a folder or a name of the hub; null for the one that the adapter names. */
  readonly base: string | null;
  /** Adapters for a model, whose updates are merged; none where they are left out. */
  readonly adapters?: readonly WeightedAdapter[];
  /** Of the weights to write; null for that of the base, and float32 where the base is quantized or has several. */
  readonly dtype: FloatDType | null;
  /** The checkpoint of a run folder; the last one where it is left out or null, or the best where the run was told so. */
  readonly checkpoint?: CheckpointName | null;
  /** Whether to compare logits with those of the written folder. */
  readonly verify: boolean;
}

/** A merged model, written. */
export interface MergedModel {
  readonly modelFolder: string;
  readonly dtype: FloatDType;
  /** Weights written. */
  readonly parameters: number;
  /** Bytes of all files with weights, and how many these are. */
  readonly fileBytes: number;
  readonly files: number;
  /** What the frozen weights are quantized with, in words: in the base folder, or in training alone; null for float32. */
  readonly quantizer: string | null;
  /** Null where it was not asked for. */
  readonly verification: MergeVerification | null;
}

/** How the written folder differs from base + updates, both computed in float32. */
export interface MergeVerification {
  /** Tokens of the sequence that both were given. */
  readonly tokens: number;
  /** Largest absolute change of any logit. */
  readonly largestChange: number;
  /** Largest absolute logit. */
  readonly largestLogit: number;
  /** largestChange / largestLogit. */
  readonly relativeChange: number;
}

/** Writes a run folder, a PEFT adapter folder with its base, or a model folder as a plain Hugging Face folder. */
export type MergeTarget = (target: string, options: MergeOptions) => Promise<MergedModel>;

/** What a model can be exported as. */
export const EXPORT_FORMATS = ["peft", "hf", "onnx"] as const;

/** Options of {@link ExportTarget}. */
export interface ExportOptions extends DownloadEvents {
  readonly to: (typeof EXPORT_FORMATS)[number];
  /** The folder to write, which must not hold anything yet. */
  readonly out: string;
  /** The model under a PEFT adapter, a folder or a name of the hub; null for the one that the adapter names. */
  readonly base: string | null;
  /** As in {@link MergeOptions}; not for `peft`. */
  readonly adapters?: readonly WeightedAdapter[];
  /** As in {@link MergeOptions}. */
  readonly checkpoint?: CheckpointName | null;
  /** Of the weights of a whole model; null for the format's default. An adapter is always float32. */
  readonly dtype: FloatDType | null;
}

/** A PEFT adapter, written. */
export interface ExportedAdapter {
  readonly format: "peft";
  readonly folder: string;
  /** That of every layer: cycles × rank, and that of what was not merged yet. */
  readonly rank: number;
  /** Adapted layers. */
  readonly layers: number;
  /** Parameters that the adapter replaces as a whole, by name on disk. */
  readonly modulesToSave: readonly string[];
  /** What it is to be put on, as its config says; null where it does not say. */
  readonly baseModel: string | null;
  /** What the base was quantized with in training, in words; null for float32 or where it is not known. */
  readonly quantizer: string | null;
}

/** A Hugging Face folder, written. */
export interface ExportedModel extends Omit<MergedModel, "modelFolder" | "verification"> {
  readonly format: "hf";
  readonly folder: string;
}

/** A folder with an ONNX model, written. */
export interface ExportedOnnx {
  readonly format: "onnx";
  readonly folder: string;
  /** The model file, relative to `folder`. */
  readonly model: string;
  readonly dtype: "float32" | "float16";
  readonly parameters: number;
  /** Bytes of the model and of the files of its weights. */
  readonly fileBytes: number;
  /** Files with weights beside the model. */
  readonly dataFiles: number;
  /** Whether there is a tokenizer.json, without which transformers.js takes token ids alone. */
  readonly hasTokenizer: boolean;
  /** As in {@link MergedModel}: the file holds float weights all the same. */
  readonly quantizer: string | null;
}

/** Writes a run folder, a PEFT adapter folder or a model folder for other programs. */
export type ExportTarget = (
  target: string,
  options: ExportOptions,
) => Promise<ExportedAdapter | ExportedModel | ExportedOnnx>;
