import { DeviceError } from "../base/errors.js";
import { browser, type StartedWorker } from "./browser-globals.js";
import { onnxRuntime } from "./browser-onnxruntime.js";
import { limitedWork, type OpenLimited, timerOf, withResolvers } from "./limited-work.js";
import type { WorkerHandle, WorkerPort } from "./node-workers.js";

/** A module of this package as a worker, in the form in which bundlers find it; see `Worker` of Node.js's platform. */
export const Worker: new (url: URL, options: { readonly type: "module" }) => StartedWorker = browser.Worker;

/** True in a page, which cannot be used while its thread computes. */
export const isPage: boolean = browser.document !== undefined;

/** A message between a worker's two ends. The first of the starter has the `data`. */
type Letter = { readonly message: unknown } | { readonly data: unknown } | { readonly ended: true };

/** Gives the data to a worker that has just been made. */
export function startWorker(worker: StartedWorker, data: unknown): WorkerHandle {
  const send = (letter: Letter, transfer: readonly ArrayBuffer[] = []): void => worker.postMessage(letter, transfer);
  send({ data });
  return {
    post: (message, transfer) => send({ message }, transfer),
    onMessage: (listener) =>
      worker.addEventListener("message", (event) => {
        const letter = event.data as Letter;
        if ("message" in letter) listener(letter.message);
      }),
    onError: (listener) =>
      worker.addEventListener("error", ({ message = "its module could not be loaded" }) =>
        listener(new DeviceError(`a worker ended before its work was done: ${message}`)),
      ),
    terminate: async () => worker.terminate(),
  };
}

/** A page has no processes. */
export const startProcess: typeof startWorker = startWorker;

/** Work in a worker that is stopped if it takes too long; a browser limits its memory. */
export const openLimited: OpenLimited<StartedWorker> = limitedWork((worker, { seconds }, onMessage) => {
  const { promise: ended, resolve, reject } = withResolvers();
  const timer = timerOf(seconds, reject);
  const handle = startWorker(worker, null);
  handle.onMessage(onMessage);
  handle.onError(reject);
  worker.addEventListener("message", ({ data }) => {
    if ("ended" in (data as Letter)) resolve();
  });
  return {
    post: (message) => {
      timer.start();
      handle.post(message);
    },
    stopTimer: timer.stop,
    ended,
    stop: () => {
      timer.stop();
      worker.terminate();
    },
  };
});

/** Does the work of a worker's module, if this is a worker; the module has nothing else at its top. */
export function inWorker(work: (port: WorkerPort) => void | Promise<void>): void {
  // Where a bundler has made one file of a worker, ONNX Runtime starts its own threads with that file.
  if (browser.name === "em-pthread") return void onnxRuntime.load("cpu");
  const listeners: ((message: unknown) => void)[] = [];
  /** Messages that came before somebody listened. */
  const early: unknown[] = [];
  const send = (letter: Letter, transfer: readonly ArrayBuffer[] = []): void => browser.postMessage(letter, transfer);
  const portOf = (data: unknown): WorkerPort => ({
    data,
    post: (message, transfer) => send({ message }, transfer),
    onMessage: (listener) => {
      listeners.push(listener);
      for (const message of early.splice(0)) listener(message);
    },
    close: () => {
      send({ ended: true });
      browser.close();
    },
  });
  browser.addEventListener("message", (event) => {
    const letter = event.data as Letter;
    if ("data" in letter) void start(portOf(letter.data));
    else if ("message" in letter && listeners.length === 0) early.push(letter.message);
    else if ("message" in letter) for (const listener of listeners) listener(letter.message);
  });
  async function start(port: WorkerPort): Promise<void> {
    try {
      await work(port);
    } catch (error) {
      // Only what is thrown outside of a promise reaches the starter.
      setTimeout(() => {
        throw error;
      });
    }
  }
}

/** Lets messages leave and arrive. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new browser.MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** Calls a function. Nothing can stop it but the end of its worker. */
export function withTimeLimit<T>(_seconds: number, call: () => T): T {
  return call();
}
