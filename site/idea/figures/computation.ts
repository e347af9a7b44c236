import { type PageWorker, startWorker } from "../start-worker.ts";
import type { FigureAnswer, FigureJob, FigureName, FigureResult, FigureSettings } from "./answer-figure.ts";

let worker: PageWorker | undefined;

/** What asks for the results of one figure: a call drops what an earlier one still computes. */
export function computation<Name extends FigureName>(
  figure: Name,
  onResult: (result: FigureResult<Name>) => void,
  onEnd: () => void,
): (settings: FigureSettings<Name>) => void {
  worker ??= startWorker();
  const started = worker;
  let current = 0;
  started.addEventListener("message", ({ data }: MessageEvent<FigureAnswer>) => {
    if (data.figure !== figure || data.job !== current) return;
    if (data.result === null) onEnd();
    else onResult(data.result as FigureResult<Name>);
  });
  return (settings) => started.postMessage({ figure, job: ++current, settings } as FigureJob);
}
