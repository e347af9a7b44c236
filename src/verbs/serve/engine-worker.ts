import { inWorker, type WorkerPort } from "#platform";
import { takeApart } from "../../base/error-parts.js";
import { largest, smallest } from "../../base/numbers.js";
import type { EngineJob, FromEngine, ToEngine } from "./messages.js";
import { Scheduler } from "./scheduler.js";
import { loadServed } from "./served-models.js";

// The thread that computes, so that the one that answers requests stays free while a step does.

/** Most answers at once, unless the caller asks for more. */
const MOST_AT_ONCE = 8;

async function serve(port: WorkerPort, post: (message: FromEngine) => void): Promise<void> {
  const job = port.data as EngineJob;
  const writers = await loadServed(job, {
    onNotice: (text) => post({ kind: "notice", text }),
    onDownload: (progress) => post({ kind: "download", progress }),
  });
  const all = [...writers.values()];
  const contextTokens = job.contextTokens ?? largest(all.map((writer) => writer.contextTokens));
  const room = smallest(all.map((writer) => writer.rowsFor(contextTokens)));
  const parallel = job.parallel ?? Math.max(1, Math.min(MOST_AT_ONCE, Math.floor(room / all.length)));
  const scheduler = new Scheduler(writers, { parallel, contextTokens, post });
  port.onMessage((data) => {
    const message = data as ToEngine;
    if (message.kind === "ask") scheduler.ask(message.id, message.question);
    else if (message.kind === "leave") scheduler.leave(message.id);
    else if (message.kind === "cut") scheduler.cut(message.id);
    else scheduler.close();
  });
  post({ kind: "ready", models: [...writers.keys()], parallel });
  await scheduler.run();
  post({ kind: "closed" });
}

inWorker(async (port) => {
  const post = (message: FromEngine): void => port.post(message);
  try {
    await serve(port, post);
  } catch (error) {
    post({ kind: "failed", error: takeApart(error) });
  }
  port.close();
});
