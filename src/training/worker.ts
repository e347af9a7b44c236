import { inWorker } from "#platform";
import { takeApart } from "../base/error-parts.js";
import { Pace } from "./pace.js";
import { resume } from "./resume.js";
import type { TrainingJob, WorkerCommand, WorkerMessage } from "./thread-messages.js";
import { type TrainOptions, train } from "./train.js";

// The thread that trains, so that the one that started it stays alive while a step computes.

inWorker(async (port) => {
  const post = (message: WorkerMessage): void => port.post(message);
  const job = port.data as TrainingJob;
  const pace = new Pace(job.steps);
  let stop = false;
  port.onMessage((message) => {
    const command = message as WorkerCommand;
    if (command === "stop") stop = true;
    else pace[command]();
  });
  const options: TrainOptions = {
    onRecord: (record) => post({ kind: "record", record }),
    onNotice: (text) => post({ kind: "notice", text }),
    onDownload: (progress) => post({ kind: "download", progress }),
    onPreparing: (progress) => post({ kind: "preparing", progress }),
    onPause: (pause) => post({ kind: "pause", pause }),
    stopRequested: () => stop,
    pace,
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
