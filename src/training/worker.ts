import { workerPort } from "#platform";
import type { Settings } from "../config/settings.js";
import { STOP, takeApart, type WorkerMessage } from "./thread-messages.js";
import { train } from "./train.js";

// The thread that trains, so that the one that started it stays alive while a step computes.

const port = workerPort();
const post = (message: WorkerMessage): void => port.post(message);

let stop = false;
port.onMessage((message) => {
  stop ||= message === STOP;
});

try {
  const result = await train(port.data as Settings, {
    onRecord: (record) => post({ kind: "record", record }),
    stopRequested: () => stop,
  });
  post({ kind: "done", result });
} catch (error) {
  post({ kind: "failed", error: takeApart(error) });
}
port.close();
