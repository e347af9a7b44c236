import { startProcess, startWorker, Worker } from "#platform";
import { FUNCTION, OBJECT, requireEach } from "../base/arguments.js";
import { putTogether } from "../base/error-parts.js";
import { Listeners } from "../base/listeners.js";
import type { OpenSettings } from "../config/derive.js";
import type { TrainResult } from "./ending.js";
import { Pace } from "./pace.js";
import type { ResumeOptions } from "./resume.js";
import type { TrainingJob, TrainingWork, WorkerCommand, WorkerMessage } from "./thread-messages.js";
import type { TrainingOptions } from "./train.js";

/** A run under way in a worker. */
export interface TrainingHandle {
  /**
   * Resolves when the run folder is complete; rejects with ConfigError, DataError, CheckpointError, DeviceError or,
   * when the numbers diverged, NumericError. A listener that failed ends the run as `stop` does, and `done` then
   * rejects with a HighrankError that names it.
   */
  readonly done: Promise<TrainResult>;
  /** Asks the run to save a checkpoint after the step under way and to end; `done` then resolves with `stopped`. */
  stop(): void;
}

/** Starts a training run in a worker; faults come through `done`. @throws ConfigError without settings or onRecord. */
export function startTraining(settings: OpenSettings, options: TrainingOptions): TrainingHandle {
  return start({ kind: "train", settings }, options);
}

/** Resumes a run in a worker; faults come through `done`. */
export function startResuming(
  runFolder: string,
  resume: Partial<ResumeOptions>,
  options: TrainingOptions,
): TrainingHandle {
  return start({ kind: "resume", runFolder, resume }, options);
}

function start(job: TrainingWork, options: TrainingOptions): TrainingHandle {
  const call = job.kind === "train" ? "startTraining" : "startResuming";
  const given = job.kind === "train" ? { settings: job.settings, options } : { resume: job.resume, options };
  requireEach(call, OBJECT, given);
  requireEach(call, FUNCTION, { "options.onRecord": options.onRecord });
  const listeners = new Listeners();
  const { onRecord, onNotice, onDownload, onPreparing, onPause, ...rest } = listeners.guarded(options);
  const { untilStep, pace = new Pace(), ownProcess = false } = rest;
  const module = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  const data: TrainingJob = { ...job, untilStep, steps: pace.steps };
  const worker = (ownProcess ? startProcess : startWorker)(module, data);
  const command = (of: WorkerCommand): void => worker.post(of);
  const stop = (): void => command("stop");
  const leave = pace.onCommand(command);
  listeners.signal.addEventListener("abort", stop);
  const done = new Promise<TrainResult>((resolve, reject) => {
    worker.onError(reject);
    worker.onMessage((sent) => {
      const message = sent as WorkerMessage;
      if (message.kind === "record") onRecord(message.record);
      else if (message.kind === "notice") onNotice?.(message.text);
      else if (message.kind === "download") onDownload?.(message.progress);
      else if (message.kind === "preparing") onPreparing?.(message.progress);
      else if (message.kind === "pause") onPause?.(message.pause);
      else if (message.kind === "done") resolve(message.result);
      else reject(putTogether(message.error));
    });
  });
  return { done: listeners.resultOf(done).finally(leave), stop };
}
