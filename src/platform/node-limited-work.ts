import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { DataError, DeviceError } from "../base/errors.js";
import { DATA } from "./node-processes.js";
import { builtModule } from "./node-workers.js";

/** Bounds on work that a file of a stranger decides. */
export interface WorkLimits {
  /** Between one message and the next, and until the first. */
  readonly seconds: number;
  /** Of the engine's heap: objects and texts, not array buffers. */
  readonly heapMegabytes: number;
}

/**
 * Runs the module at `url` in a process of its own until it ends, and stops it where it takes too long or too much memory; an
 * engine that is out of memory takes its whole process with it. The module gets `work` as its first message through `workerPort()`.
 * @throws DataError that says which of the two it was; DeviceError for what else ends the process.
 */
export async function runLimited(
  url: URL,
  work: unknown,
  { seconds, heapMegabytes }: WorkLimits,
  onMessage: (message: unknown) => void,
): Promise<void> {
  const child = fork(fileURLToPath(builtModule(url)), [], {
    execArgv: [`--max-old-space-size=${heapMegabytes}`],
    env: { ...process.env, [DATA]: "null" },
    serialization: "advanced",
    detached: true,
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const startTimer = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => reject(new DataError(`there was no end after ${seconds} s`)), 1000 * seconds);
      };
      startTimer();
      child.on("message", (message) => {
        startTimer();
        onMessage(message);
      });
      child.on("error", reject);
      let isDisconnected = false;
      let ended: (() => void) | undefined;
      child.on("disconnect", () => {
        isDisconnected = true;
        ended?.();
      });
      child.on("exit", (code, signal) => {
        ended = () => {
          if (code === 0) resolve();
          else if (signal === "SIGABRT" || code === OUT_OF_MEMORY) {
            reject(new DataError(`it took more than ${heapMegabytes} MiB of memory`));
          } else reject(new DeviceError(`process ${url.pathname} ended with ${signal ?? `exit code ${code}`}`));
        };
        if (isDisconnected) ended();
      });
      child.send(work as object, () => {});
    });
  } finally {
    clearTimeout(timer);
    child.kill("SIGKILL");
  }
}

/** The exit code of an engine that is out of memory, where the system has no signals. */
const OUT_OF_MEMORY = 134;
