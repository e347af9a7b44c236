import type { ErrorParts } from "../base/error-parts.js";
import type { OpenSettings } from "../config/derive.js";
import type { DownloadProgress } from "../hub/model-download.js";
import type { MetricsRecord } from "../runs/metrics.js";
import type { TrainResult } from "./ending.js";
import type { DataProgress } from "./read-data.js";
import type { ResumeOptions } from "./resume.js";

/** The job that the training worker is started with. */
export type TrainingJob = { readonly untilStep: number | undefined } & (
  | { readonly kind: "train"; readonly settings: OpenSettings }
  | { readonly kind: "resume"; readonly runFolder: string; readonly resume: Partial<ResumeOptions> }
);

/** A message from the training worker. */
export type WorkerMessage =
  | { readonly kind: "record"; readonly record: MetricsRecord }
  | { readonly kind: "notice"; readonly text: string }
  | { readonly kind: "download"; readonly progress: DownloadProgress }
  | { readonly kind: "preparing"; readonly progress: DataProgress }
  | { readonly kind: "done"; readonly result: TrainResult }
  | { readonly kind: "failed"; readonly error: ErrorParts };

/** The message to the training worker that asks it to stop. */
export const STOP = "stop";
