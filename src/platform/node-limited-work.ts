import { fork } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { DataError, DeviceError } from "../base/errors.js";
import {
  limitedWork,
  type OpenLimited,
  type StartedProcess,
  timerOf,
  type WorkLimits,
  withResolvers,
} from "./limited-work.js";
import { builtModule } from "./node-modules.js";
import { DATA } from "./node-processes.js";
import { heapLimit, isOutOfMemory } from "./node-runtimes.js";

/** Memory of a whole process: its program, its heap while garbage is collected (`each` MiB of it), and array buffers. */
const WHOLE = { megabytes: 512, each: 2 } as const;

/** Milliseconds between two looks at the memory of a process. */
const LOOK_EVERY = 100;

/** Work in a separate process: an engine that is out of memory takes its whole process with it. */
export const openLimited: OpenLimited<URL> = limitedWork(startLimited);

function startLimited(
  url: URL,
  { seconds, heapMegabytes }: WorkLimits,
  onMessage: (message: unknown) => void,
): StartedProcess {
  const limit = heapLimit(heapMegabytes);
  const child = fork(fileURLToPath(builtModule(url)), [], {
    execArgv: limit.execArgv,
    env: { ...process.env, ...limit.env, [DATA]: "null" },
    serialization: "advanced",
    detached: true,
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  const wholeMegabytes = WHOLE.megabytes + WHOLE.each * heapMegabytes;
  const { promise: ended, resolve, reject } = withResolvers();
  const tooLarge = (megabytes: number): void => reject(new DataError(`it took more than ${megabytes} MiB of memory`));
  let isAsked = false;
  const looks = setInterval(async () => {
    if (isAsked && (await residentMegabytes(child.pid)) > wholeMegabytes) tooLarge(wholeMegabytes);
  }, LOOK_EVERY);
  const timer = timerOf(seconds, reject);
  child.on("message", onMessage);
  child.on("error", reject);
  let isDisconnected = false;
  let exited: (() => void) | undefined;
  child.on("disconnect", () => {
    isDisconnected = true;
    exited?.();
  });
  child.on("exit", (code, signal) => {
    exited = () => {
      if (code === 0) resolve();
      else if (isOutOfMemory(code, signal)) tooLarge(heapMegabytes);
      else {
        const way = signal === "SIGKILL" ? ", as where a system runs out of memory; free some and try again" : "";
        reject(new DeviceError(`process ${url.pathname} ended with ${signal ?? `exit code ${code}`}${way}`));
      }
    };
    if (isDisconnected) exited();
  });
  return {
    post: (message) => {
      timer.start();
      isAsked = true;
      child.send(message as object, () => {});
    },
    stopTimer: () => {
      timer.stop();
      isAsked = false;
    },
    ended,
    stop: () => {
      timer.stop();
      clearInterval(looks);
      child.kill("SIGKILL");
    },
  };
}

/** Memory that a process holds, in MiB; 0 if that cannot be seen, as of one that has ended, or not on Linux. */
async function residentMegabytes(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024;
}
