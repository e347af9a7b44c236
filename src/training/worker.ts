import { inWorker } from "#platform";
import { takeApart } from "../base/error-parts.js";
import { resume } from "./resume.js";
import { STOP, type TrainingJob, type WorkerMessage } from "./thread-messages.js";
import { type TrainOptions, train } from "./train.js";

// The thread that trains, so that the one that started it stays alive while a step computes.

inWorker(async (port) => {
  const post = (message: WorkerMessage): void => port.post(message);
  let stop = false;
  port.onMessage((message) => {
    stop ||= message === STOP;
  });
  const job = port.data as TrainingJob;
  const options: TrainOptions = {
    onRecord: (record) => post({ kind: "record", record }),
    onNotice: (text) => post({ kind: "notice", text }),
    onDownload: (progress) => post({ kind: "download", progress }),
    onPreparing: (progress) => post({ kind: "preparing", progress }),
    stopRequested: () => stop,
    ...(job.untilStep !== undefined && { untilStep: job.untilStep }),
  };
  try {
    const result = await (job.kind === "train"
      ? train(job.settings, options)
      : resume(job.runFolder, job.resume, options));
    post({ kind: "done", result });
  } catch (error) {
    post({ kind: "failed", error: takeApart(error) });
  }
  port.close();
});
