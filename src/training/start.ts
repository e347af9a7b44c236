import { startProcess, startWorker, Worker } from "#platform";
import { putTogether } from "../base/error-parts.js";
import type { OpenSettings } from "../config/derive.js";
import type { TrainResult } from "./ending.js";
import type { ResumeOptions } from "./resume.js";
import { STOP, type TrainingJob, type WorkerMessage } from "./thread-messages.js";
import type { TrainingOptions } from "./train.js";

/** A run under way in a worker. */
export interface TrainingHandle {
  /**
   * Resolves when the run folder is complete; rejects with ConfigError, DataError, CheckpointError, DeviceError or,
   * when the numbers diverged, NumericError.
   */
  readonly done: Promise<TrainResult>;
  /** Asks the run to save a checkpoint after the step under way and to end; `done` then resolves with `stopped`. */
  stop(): void;
}

/** Starts a training run in a worker; faults come through `done`. */
export function startTraining(settings: OpenSettings, options: TrainingOptions): TrainingHandle {
  return start({ kind: "train", settings, untilStep: options.untilStep }, options);
}

/** Resumes a run in a worker; faults come through `done`. */
export function startResuming(
  runFolder: string,
  resume: Partial<ResumeOptions>,
  options: TrainingOptions,
): TrainingHandle {
  return start({ kind: "resume", runFolder, resume, untilStep: options.untilStep }, options);
}

function start(
  job: TrainingJob,
  { onRecord, onNotice, onDownload, onPreparing, ownProcess = false }: TrainingOptions,
): TrainingHandle {
  const module = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  const worker = (ownProcess ? startProcess : startWorker)(module, job);
  const done = new Promise<TrainResult>((resolve, reject) => {
    worker.onError(reject);
    worker.onMessage((data) => {
      const message = data as WorkerMessage;
      if (message.kind === "record") onRecord(message.record);
      else if (message.kind === "notice") onNotice?.(message.text);
      else if (message.kind === "download") onDownload?.(message.progress);
      else if (message.kind === "preparing") onPreparing?.(message.progress);
      else if (message.kind === "done") resolve(message.result);
      else reject(putTogether(message.error));
    });
  });
  return { done, stop: () => worker.post(STOP) };
}
