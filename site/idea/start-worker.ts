import type { Work } from "./worker.ts";

/** A worker of the page. */
export interface PageWorker extends Worker {
  postMessage(work: Work): void;
}

export function startWorker(): PageWorker {
  return new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
}
