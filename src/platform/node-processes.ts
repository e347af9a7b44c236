import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { DeviceError } from "../base/errors.js";
import { builtModule } from "./node-modules.js";
import type { WorkerHandle, WorkerPort } from "./node-workers.js";

/** Environment variable with the `data` of a worker process, as JSON. */
export const DATA = "HIGHRANK_WORKER_DATA";

/**
 * Like `startWorker`, but as a separate process with its own memory and peak memory. `data` and messages must consist
 * of JSON values or typed arrays. It ends with this process, and the terminal's signals do not reach it.
 */
export function startProcess(url: URL, data: unknown): WorkerHandle {
  const child = fork(fileURLToPath(builtModule(url)), [], {
    execArgv: [],
    env: { ...process.env, [DATA]: JSON.stringify(data) },
    serialization: "advanced",
    detached: true,
    // A program may read standard output, so only this process writes to it.
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  let ending = false;
  return {
    post: (message) => void (child.connected && child.send(message as object, () => {})),
    onMessage: (listener) => void child.on("message", listener),
    onError: (listener) => {
      child.on("error", listener);
      child.on("exit", (code, signal) => {
        if (code === 0 || ending) return;
        const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
        listener(new DeviceError(`process ${url.pathname} was ended ${how} before its work was done`));
      });
    },
    terminate: () => {
      ending = true;
      return new Promise((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) return resolve();
        child.on("exit", () => resolve());
        child.kill("SIGKILL");
      });
    },
  };
}

/** The port of this process if `startProcess` started it, else null. */
export function processPort(): WorkerPort | null {
  const data = process.env[DATA];
  if (data === undefined) return null;
  const orphaned = (): never => process.exit(1);
  process.on("disconnect", orphaned);
  // A signal to the whole process group is handled by the process that started this one.
  for (const signal of ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP"]) process.on(signal, () => {});
  let unsent = 0;
  let closed = false;
  const end = (): void => {
    if (!closed || unsent > 0) return;
    process.off("disconnect", orphaned);
    process.disconnect();
  };
  return {
    data: JSON.parse(data),
    post: (message) => {
      unsent++;
      process.send!(message, () => {
        unsent--;
        end();
      });
    },
    onMessage: (listener) => void process.on("message", listener),
    close: () => {
      closed = true;
      end();
    },
  };
}
