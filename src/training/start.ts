import { startWorker } from "#platform";
import type { Settings } from "../config/settings.js";
import type { TrainingHandle, TrainingOptions, TrainResult } from "./contracts.js";
import { putTogether, STOP, type WorkerMessage } from "./thread-messages.js";

/** Starts a training run in a worker thread; faults come through `done`. */
export function startTraining(settings: Settings, { onRecord }: TrainingOptions): TrainingHandle {
  const worker = startWorker(new URL("./worker.js", import.meta.url), settings);
  const done = new Promise<TrainResult>((resolve, reject) => {
    worker.onError(reject);
    worker.onMessage((data) => {
      const message = data as WorkerMessage;
      if (message.kind === "record") onRecord(message.record);
      else if (message.kind === "done") resolve(message.result);
      else reject(putTogether(message.error));
    });
  });
  return { done, stop: () => worker.post(STOP) };
}
