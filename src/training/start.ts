import { startProcess, startWorker } from "#platform";
import type { StartResuming, StartTraining, TrainingHandle, TrainingOptions, TrainResult } from "./contracts.js";
import { putTogether, STOP, type TrainingJob, type WorkerMessage } from "./thread-messages.js";

/** Starts a training run in a worker; faults come through `done`. */
export const startTraining: StartTraining = (settings, options) =>
  start({ kind: "train", settings, untilStep: options.untilStep }, options);

/** Goes on with a run in a worker; faults come through `done`. */
export const startResuming: StartResuming = (runFolder, resume, options) =>
  start({ kind: "resume", runFolder, resume, untilStep: options.untilStep }, options);

function start(
  job: TrainingJob,
  { onRecord, onNotice, onDownload, ownProcess = false }: TrainingOptions,
): TrainingHandle {
  const worker = (ownProcess ? startProcess : startWorker)(new URL("./worker.js", import.meta.url), job);
  const done = new Promise<TrainResult>((resolve, reject) => {
    worker.onError(reject);
    worker.onMessage((data) => {
      const message = data as WorkerMessage;
      if (message.kind === "record") onRecord(message.record);
      else if (message.kind === "notice") onNotice?.(message.text);
      else if (message.kind === "download") onDownload?.(message.progress);
      else if (message.kind === "done") resolve(message.result);
      else reject(putTogether(message.error));
    });
  });
  return { done, stop: () => worker.post(STOP) };
}
