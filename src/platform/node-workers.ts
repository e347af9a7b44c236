import { type MessagePort, parentPort, Worker as Thread, type Transferable, workerData } from "node:worker_threads";
import { DeviceError, MemoryError } from "../base/errors.js";
import { builtModule } from "./node-modules.js";
import { processPort } from "./node-processes.js";
import { LOSES_EARLY_MESSAGES } from "./node-runtimes.js";

/** The starter's end of a worker. Listeners added later miss earlier messages. */
export interface WorkerHandle {
  /** Sends a copy of the message; buffers named in `transfer` move instead. */
  post(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  onMessage(listener: (message: unknown) => void): void;
  /** Called for an error that the worker did not catch, and for an exit code other than 0; not after `terminate`. */
  onError(listener: (error: Error) => void): void;
  /** Ends the worker immediately and resolves when it has ended. */
  terminate(): Promise<void>;
}

/** The worker's end. */
export interface WorkerPort {
  /** A copy of the `data` that the worker was started with. */
  readonly data: unknown;
  post(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  /** The worker stays alive while it listens, until `close`. */
  onMessage(listener: (message: unknown) => void): void;
  /** Stops listening: the worker ends when its work is done. */
  close(): void;
}

/**
 * Names a module of this package that is to be started, in the one form in which bundlers for browsers find it:
 * `new Worker(new URL("./worker.js", import.meta.url), { type: "module" })`. Here it is an address and starts nothing.
 */
export class Worker extends URL {
  constructor(url: URL, _options: { readonly type: "module" }) {
    super(url);
  }
}

/** True where a thread draws a page, which cannot be used while it computes. */
export const isPage = false as boolean;

/**
 * Starts a JavaScript module as a worker thread, which does its work `inWorker`. When sources run, as in tests, the
 * last build's module is started.
 */
export function startWorker(url: URL, data: unknown): WorkerHandle {
  // No flags of this process are passed on: a test runner's export conditions would lead the worker to TypeScript
  // sources.
  const worker = new Thread(builtModule(url), { workerData: data, execArgv: [] });
  let ending = false;
  /** Messages that wait until the worker listens; null if none has to. */
  let early: (() => void)[] | null = LOSES_EARLY_MESSAGES ? [] : null;
  worker.on("message", (message) => {
    if (message !== LISTENING) return;
    for (const send of early ?? []) send();
    early = null;
  });
  return {
    post: (message, transfer = []) => {
      const send = (): void => worker.postMessage(message, transfer as Transferable[]);
      if (early === null) send();
      else early.push(send);
    },
    onMessage: (listener) =>
      void worker.on("message", (message) => {
        if (message !== LISTENING) listener(message);
      }),
    onError: (listener) => {
      let failed = false;
      worker.on("error", (error) => {
        failed = true;
        listener(faultOf(error));
      });
      worker.on("exit", (code) => {
        if (code === 0 || ending || failed) return;
        listener(new DeviceError(`worker ${url.pathname} ended with exit code ${code} before its work was done`));
      });
    },
    terminate: async () => {
      ending = true;
      await worker.terminate();
    },
  };
}

/** The first message of a worker that listens, where messages that came before would be lost. */
const LISTENING = "highrank: listening";

/** The error of a worker, in our words where its heap was full, of which the engine ends a thread. */
function faultOf(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  if ((error as NodeJS.ErrnoException).code !== "ERR_WORKER_OUT_OF_MEMORY") return error;
  return new MemoryError(
    "the memory ran out: the engine's heap is full; raise its limit, as with NODE_OPTIONS=--max-old-space-size=8192",
    { cause: error },
  );
}

/** Does the work of a worker's module, in a thread or a process; the module has nothing else at its top. */
export function inWorker(work: (port: WorkerPort) => void | Promise<void>): void {
  void work(workerPort());
}

/** Lets messages leave and arrive. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** @throws DeviceError outside a worker. */
function workerPort(): WorkerPort {
  const port: MessagePort | null = parentPort;
  if (port === null) {
    const own = processPort();
    if (own !== null) return own;
    throw new DeviceError("inWorker: this is not a worker; start the module with startWorker or startProcess");
  }
  const listeners: ((message: unknown) => void)[] = [];
  return {
    data: workerData,
    post: (message, transfer = []) => port.postMessage(message, transfer as Transferable[]),
    onMessage: (listener) => {
      listeners.push(listener);
      port.on("message", listener);
      if (LOSES_EARLY_MESSAGES && listeners.length === 1) port.postMessage(LISTENING);
    },
    // A port without listeners keeps no thread alive. Deno's has no close().
    close: () => {
      for (const listener of listeners.splice(0)) port.off("message", listener);
    },
  };
}
