import { fork } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { DataError, DeviceError } from "../base/errors.js";
import { builtModule } from "./node-modules.js";
import { DATA } from "./node-processes.js";
import { heapLimit, isOutOfMemory } from "./node-runtimes.js";

/** Bounds on work whose extent an untrusted file decides. */
export interface WorkLimits {
  /** Longest time between two messages, and before the first. */
  readonly seconds: number;
  /**
   * Limit of the engine's heap: objects and texts, not array buffers. Bun has none. On Linux the process as a whole may
   * hold `WHOLE.megabytes` and `WHOLE.each` for every MiB of this.
   */
  readonly heapMegabytes: number;
}

/** Memory of a whole process: its program, its heap while garbage is collected, and array buffers. */
const WHOLE = { megabytes: 512, each: 2 } as const;

/** Milliseconds between two looks at the memory of a process. */
const LOOK_EVERY = 100;

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
  const wholeMegabytes = WHOLE.megabytes + WHOLE.each * heapMegabytes;
  let timer: NodeJS.Timeout | undefined;
  let looks: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const tooLarge = (megabytes: number): void => {
        reject(new DataError(`it took more than ${megabytes} MiB of memory`));
      };
      looks = setInterval(async () => {
        if ((await residentMegabytes(child.pid)) > wholeMegabytes) tooLarge(wholeMegabytes);
      }, LOOK_EVERY);
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
          else if (isOutOfMemory(code, signal)) tooLarge(heapMegabytes);
          else {
            const way = signal === "SIGKILL" ? ", as where a system runs out of memory; free some and try again" : "";
            reject(new DeviceError(`process ${url.pathname} ended with ${signal ?? `exit code ${code}`}${way}`));
          }
        };
        if (isDisconnected) ended();
      });
      child.send(work as object, () => {});
    });
  } finally {
    clearTimeout(timer);
    clearInterval(looks);
    child.kill("SIGKILL");
  }
}

/** Memory that a process holds, in MiB; 0 if that cannot be seen, as of one that has ended, or not on Linux. */
async function residentMegabytes(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024;
}
