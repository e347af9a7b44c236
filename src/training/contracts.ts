import type { Settings } from "../config/settings.js";
import type { MetricsRecord } from "./metrics.js";

// What the command line asks of training: the shapes of its three entry points.

/** Options of {@link StartTraining}. */
export interface TrainingOptions {
  /** Called for each line that goes into `metrics.jsonl`, in order, on the caller's thread. */
  readonly onRecord: (record: MetricsRecord) => void;
}

/** A run under way in a worker thread. */
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
  /** `planned`: a dry run, of which the start record is the whole outcome and nothing was written. */
  readonly outcome: "done" | "stopped" | "planned";
  readonly runFolder: string;
  /** Completed optimizer steps. */
  readonly step: number;
  /** Tokens trained on. */
  readonly tokens: number;
  /** The last evaluation's loss in nats, or null where none was made. */
  readonly heldOutLoss: number | null;
  /** The last checkpoint, or null where none was written. */
  readonly checkpoint: string | null;
  /** The finished Hugging Face folder, or null unless the outcome is `done`. */
  readonly modelFolder: string | null;
}

/** Starts a training run; faults found before the worker starts also come through `done`. */
export type StartTraining = (settings: Settings, options: TrainingOptions) => TrainingHandle;

/** How a model is loaded for evaluation and generation. */
export interface TargetOptions {
  /** The model folder under a PEFT adapter folder; null where the target needs none. */
  readonly base: string | null;
  /** False leaves the adapter out and gives the base alone. */
  readonly adapter: boolean;
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
}

/** Token-weighted mean cross-entropy in nats, its exponential, and the number of scored tokens. */
export interface Evaluation {
  readonly loss: number;
  readonly perplexity: number;
  readonly tokens: number;
}

/** Scores a run folder, a Hugging Face model folder or a PEFT adapter folder on a text. */
export type EvaluateTarget = (target: string, options: EvaluationOptions) => Promise<Evaluation>;

/** Options of {@link GenerateText}. */
export interface GenerationOptions extends TargetOptions {
  readonly prompt: string;
  readonly maxNewTokens: number;
  /** 0 is greedy. */
  readonly temperature: number;
  /** Sample from the k likeliest tokens; null for all. */
  readonly topK: number | null;
  /** Sample from the likeliest tokens that hold this share of the probability; 1 for all. */
  readonly topP: number;
  readonly seed: number;
  /** Hears each piece of text as soon as it is whole characters; together they are `text`. */
  readonly onText?: (piece: string) => void;
}

/** The text that follows the prompt, and why it ended. */
export interface Generation {
  readonly text: string;
  readonly tokens: number;
  readonly finish: "end-of-text" | "length";
}

/** Continues a prompt with a run folder's, a Hugging Face folder's or a PEFT adapter folder's model. */
export type GenerateText = (target: string, options: GenerationOptions) => Promise<Generation>;
