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
  limits: WorkLimits,
  onMessage: (message: unknown) => void,
): Promise<void> {
  const limited = startLimited(url, limits, (message) => {
    limited.startTimer();
    onMessage(message);
  });
  try {
    limited.post(work);
    await limited.ended;
  } finally {
    limited.stop();
  }
}

/** A separate process that answers questions one after another. */
export interface LimitedProcess {
  /**
   * The next message of the process; undefined if it ended in order.
   * @throws DataError and DeviceError as `runLimited`. The time between an answer and the next question has no limit.
   */
  ask(question: unknown): Promise<unknown>;
  stop(): void;
}

/** As `runLimited`, of a module that gives one message for each that it gets. Must be stopped. */
export function openLimited(url: URL, limits: WorkLimits): LimitedProcess {
  type Answered = { resolve(message: unknown): void; reject(error: unknown): void };
  let waiting: Answered | undefined;
  const limited = startLimited(url, limits, (message) => {
    limited.stopTimer();
    waiting?.resolve(message);
  });
  let fault: { readonly error: unknown } | undefined;
  let hasEnded = false;
  limited.ended.then(
    () => {
      hasEnded = true;
      waiting?.resolve(undefined);
    },
    (error) => {
      fault = { error };
      waiting?.reject(error);
    },
  );
  return {
    ask: (question) =>
      new Promise((resolve, reject) => {
        if (fault !== undefined) return reject(fault.error);
        if (hasEnded) return resolve(undefined);
        waiting = { resolve, reject };
        limited.post(question);
      }),
    stop: limited.stop,
  };
}

interface StartedProcess {
  /** Sends a message, and starts the timer. */
  post(message: unknown): void;
  startTimer(): void;
  stopTimer(): void;
  /** Rejects if the process ended for a limit or another reason. */
  readonly ended: Promise<void>;
  stop(): void;
}

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
  const looks = setInterval(async () => {
    if ((await residentMegabytes(child.pid)) > wholeMegabytes) tooLarge(wholeMegabytes);
  }, LOOK_EVERY);
  let timer: NodeJS.Timeout | undefined;
  const stopTimer = (): void => clearTimeout(timer);
  const startTimer = (): void => {
    stopTimer();
    timer = setTimeout(() => reject(new DataError(`it did not finish within ${seconds} s`)), 1000 * seconds);
  };
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
      startTimer();
      child.send(message as object, () => {});
    },
    startTimer,
    stopTimer,
    ended,
    stop: () => {
      stopTimer();
      clearInterval(looks);
      child.kill("SIGKILL");
    },
  };
}

function withResolvers(): { promise: Promise<void>; resolve: () => void; reject: (reason: unknown) => void } {
  let [resolve, reject]: [() => void, (reason: unknown) => void] = [() => {}, () => {}];
  const promise = new Promise<void>((onResolve, onReject) => {
    [resolve, reject] = [onResolve, onReject];
  });
  return { promise, resolve, reject };
}

/** Memory that a process holds, in MiB; 0 if that cannot be seen, as of one that has ended, or not on Linux. */
async function residentMegabytes(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024;
}
