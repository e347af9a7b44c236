import type { ErrorParts } from "../base/error-parts.js";
import type { OpenSettings } from "../config/derive.js";
import type { DownloadProgress } from "../hub/model-download.js";
import type { MetricsRecord } from "../runs/metrics.js";
import type { TrainResult } from "./ending.js";
import type { Pace, PaceCommand, Pause } from "./pace.js";
import type { DataProgress } from "./read-data.js";
import type { ResumeOptions } from "./resume.js";

/** The work of a training worker. */
export type TrainingWork =
  | { readonly kind: "train"; readonly settings: OpenSettings }
  | { readonly kind: "resume"; readonly runFolder: string; readonly resume: Partial<ResumeOptions> };

/** The job that the training worker is started with. */
export type TrainingJob = TrainingWork & { readonly untilStep: number | undefined; readonly steps: Pace["steps"] };

/** A message from the training worker. */
export type WorkerMessage =
  | { readonly kind: "record"; readonly record: MetricsRecord }
  | { readonly kind: "notice"; readonly text: string }
  | { readonly kind: "download"; readonly progress: DownloadProgress }
  | { readonly kind: "preparing"; readonly progress: DataProgress }
  | { readonly kind: "pause"; readonly pause: Pause }
  | { readonly kind: "done"; readonly result: TrainResult }
  | { readonly kind: "failed"; readonly error: ErrorParts };

/** A message to the training worker: to save and end, or how to go on. */
export type WorkerCommand = "stop" | PaceCommand;
