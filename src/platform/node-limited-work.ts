import { Worker } from "node:worker_threads";
import { DataError } from "../tensor/errors.js";
import { builtModule } from "./node-workers.js";

/** Bounds on work that a file of a stranger decides. */
export interface WorkLimits {
  /** Between one message and the next, and until the first. */
  readonly seconds: number;
  /** Of the engine's heap: objects and texts, not array buffers. */
  readonly heapMegabytes: number;
}

/**
 * Runs the module at `url` in a thread until it ends, as `startWorker` does, and stops it where it takes too long or too much memory.
 * @throws DataError that says which of the two it was; what else ends the thread.
 */
export async function runLimited(
  url: URL,
  data: unknown,
  { seconds, heapMegabytes }: WorkLimits,
  onMessage: (message: unknown) => void,
): Promise<void> {
  const worker = new Worker(builtModule(url), {
    workerData: data,
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: heapMegabytes },
  });
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const startTimer = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => reject(new DataError(`there was no end after ${seconds} s`)), 1000 * seconds);
      };
      startTimer();
      worker.on("message", (message) => {
        startTimer();
        onMessage(message);
      });
      worker.on("error", (error: Error & { code?: string }) => {
        if (error.code !== "ERR_WORKER_OUT_OF_MEMORY") reject(error);
        else reject(new DataError(`it took more than ${heapMegabytes} MiB of memory`, { cause: error }));
      });
      worker.on("exit", () => resolve());
    });
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}
