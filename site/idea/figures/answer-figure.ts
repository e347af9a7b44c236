import { learnInCycles } from "./cycles.ts";
import { mergeIntoGrid } from "./grid.ts";

const COMPUTATIONS = {
  cycles: learnInCycles,
  grid: async function* (settings: Parameters<typeof mergeIntoGrid>[0]) {
    yield await mergeIntoGrid(settings);
  },
};

export type FigureName = keyof typeof COMPUTATIONS;
export type FigureSettings<Name extends FigureName> = Parameters<(typeof COMPUTATIONS)[Name]>[0];
export type FigureResult<Name extends FigureName> =
  ReturnType<(typeof COMPUTATIONS)[Name]> extends
    | Generator<infer Result, unknown, unknown>
    | AsyncGenerator<infer Result, unknown, unknown>
    ? Result
    : never;

/** A request; one with another number for the same figure takes its place. */
export interface FigureJob<Name extends FigureName = FigureName> {
  readonly figure: Name;
  readonly job: number;
  readonly settings: FigureSettings<Name>;
}

export interface FigureAnswer {
  readonly figure: FigureName;
  readonly job: number;
  /** null at the end. */
  readonly result: FigureResult<FigureName> | null;
}

const latest = new Map<FigureName, number>();

/** Computes what a figure shows, result by result, until a newer job for the same figure comes. */
export async function answerFigure({ figure, job, settings }: FigureJob): Promise<void> {
  latest.set(figure, job);
  const answer = (result: FigureAnswer["result"]) => postMessage({ figure, job, result } satisfies FigureAnswer);
  const compute = COMPUTATIONS[figure] as (settings: FigureJob["settings"]) => AsyncIterable<FigureResult<FigureName>>;
  for await (const result of compute(settings)) {
    answer(result);
    await new Promise((resolve) => setTimeout(resolve)); // hears of a newer job
    if (latest.get(figure) !== job) return;
  }
  answer(null);
}
