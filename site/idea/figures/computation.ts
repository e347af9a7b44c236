import { type PageWorker, startWorker } from "../start-worker.ts";
import type { FigureAnswer, FigureJob, FigureName, FigureResult, FigureSettings } from "./answer-figure.ts";

let worker: PageWorker | undefined;

export interface Listener<Result> {
  onResult(result: Result): void;
  onEnd(): void;
  /** Hears why nothing more comes. */
  onFault(words: string): void;
}

/** What asks for the results of one figure: a call drops what an earlier one still computes. */
export function computation<Name extends FigureName>(
  figure: Name,
  listener: Listener<FigureResult<Name>>,
): (settings: FigureSettings<Name>) => void {
  worker ??= startWorker();
  const started = worker;
  let current = 0;
  started.addEventListener("message", ({ data }: MessageEvent<FigureAnswer>) => {
    if (data.figure !== figure || data.job !== current) return;
    if (data.result === null) listener.onEnd();
    else listener.onResult(data.result as FigureResult<Name>);
  });
  started.addEventListener("error", ({ message }) => {
    listener.onFault(`This figure cannot compute here: ${message ?? "a file of the page did not load"}`);
  });
  return (settings) => started.postMessage({ figure, job: ++current, settings } as FigureJob);
}
