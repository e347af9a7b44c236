import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { DataError, DeviceError } from "../base/errors.js";
import { builtModule } from "./node-modules.js";
import { DATA } from "./node-processes.js";
import { heapLimit, isOutOfMemory } from "./node-runtimes.js";

/** Bounds on work whose extent an untrusted file decides. */
export interface WorkLimits {
  /** Longest time between two messages, and before the first. */
  readonly seconds: number;
  /** Limit of the engine's heap: objects and texts, not array buffers. Bun has none. */
  readonly heapMegabytes: number;
}

/**
 * Runs the module at `url` in a separate process until it ends, and stops it if it takes too long or too much memory;
 * an engine that is out of memory takes its whole process with it. The module gets `work` as its first message through
 * `workerPort()`.
 * @throws DataError that says which limit was exceeded; DeviceError if the process ends for another reason.
 */
export async function runLimited(
  url: URL,
  work: unknown,
  { seconds, heapMegabytes }: WorkLimits,
  onMessage: (message: unknown) => void,
): Promise<void> {
  const limit = heapLimit(heapMegabytes);
  const child = fork(fileURLToPath(builtModule(url)), [], {
    execArgv: limit.execArgv,
    env: { ...process.env, ...limit.env, [DATA]: "null" },
    serialization: "advanced",
    detached: true,
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const startTimer = (): void => {
        clearTimeout(timer);
        timer = setTimeout(() => reject(new DataError(`it did not finish within ${seconds} s`)), 1000 * seconds);
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
          else if (isOutOfMemory(code, signal)) {
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
