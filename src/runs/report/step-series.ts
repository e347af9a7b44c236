import type { StepRecord } from "../metrics.js";
import type { StepColumns } from "./page-data.js";

/** Single steps at the end of a series. */
const SINGLE_STEPS = 512;
/** Points at most before them: more than a screen has columns. */
const MAX_POINTS = 2048;

type Column = keyof StepColumns;

/** What a column holds of several steps together. */
const JOINED: Readonly<Record<Column, "last" | "sum" | "mean" | "lowest" | "highest">> = {
  step: "last",
  steps: "sum",
  tokens: "last",
  seconds: "last",
  loss: "mean",
  lowestLoss: "lowest",
  highestLoss: "highest",
  // The lowest one keeps the teeth of cycles, whose feet are a few steps wide.
  rate: "lowest",
  weightsRate: "lowest",
  adaptersRate: "lowest",
  adapterOutputsRate: "lowest",
  gradNorm: "highest",
  speed: "mean",
};

const COLUMNS = Object.keys(JOINED) as Column[];

type Point = Record<Column, number>;

/**
 * The steps of a run as points of curves. Their number is bounded however long the run: the last steps are points of
 * their own, those before are joined, as many to a point as it takes.
 */
export class StepSeries {
  #points: Point[] = [];
  #stepsOfPoint = 1;
  #joinings = 0;

  add(record: StepRecord): void {
    this.#points.push(pointOf(record));
    if (this.#points.length >= MAX_POINTS + 2 * SINGLE_STEPS) this.#join();
  }

  get length(): number {
    return this.#points.length;
  }

  /** How often points were joined: while it stays the same, those that were there before are the same too. */
  get joinings(): number {
    return this.#joinings;
  }

  /** The points from `begin` on, as columns of numbers of seven digits. */
  columns(begin = 0): StepColumns {
    const points = this.#points.slice(begin);
    const column = (name: Column): (number | null)[] => points.map((point) => written(point[name]));
    return Object.fromEntries(COLUMNS.map((name) => [name, column(name)])) as unknown as StepColumns;
  }

  #join(): void {
    const single = this.#points.splice(-SINGLE_STEPS);
    this.#joinings++;
    this.#points = joined(this.#points, this.#stepsOfPoint);
    while (this.#points.length > MAX_POINTS) {
      this.#stepsOfPoint *= 2;
      this.#points = joined(this.#points, this.#stepsOfPoint);
    }
    this.#points = [...this.#points, ...single];
  }
}

function pointOf(record: StepRecord): Point {
  const { step, tokens, loss, learningRate, gradNorm, tokensPerSecond } = record;
  const { computedPerSecond = tokensPerSecond, seconds = Number.NaN, learningRates: rates = {} } = record;
  return {
    step,
    steps: 1,
    tokens,
    seconds,
    loss,
    lowestLoss: loss,
    highestLoss: loss,
    rate: learningRate,
    weightsRate: rates.weights ?? Number.NaN,
    adaptersRate: rates.adapters ?? Number.NaN,
    adapterOutputsRate: rates.adapterOutputs ?? Number.NaN,
    gradNorm,
    speed: computedPerSecond,
  };
}

/** Neighbours together, as long as a point holds no more than so many steps. The points given are used up. */
function joined(points: readonly Point[], most: number): Point[] {
  const result: Point[] = [];
  for (const point of points) {
    const last = result.at(-1);
    if (last !== undefined && last.steps + point.steps <= most) takeIn(last, point);
    else result.push(point);
  }
  return result;
}

/** Makes one point of two: the first takes in the second. */
function takeIn(a: Point, b: Point): void {
  // Their counts of steps are the weights of means, until both are joined.
  for (const name of COLUMNS) if (name !== "steps") a[name] = together(name, a, b);
  a.steps += b.steps;
}

function together(name: Column, a: Point, b: Point): number {
  const [before, after] = [a[name], b[name]];
  // A value that is not finite is no measure of its neighbour.
  if (!Number.isFinite(after)) return before;
  if (!Number.isFinite(before)) return after;
  switch (JOINED[name]) {
    case "last":
      return after;
    case "sum":
      return before + after;
    case "mean":
      return (before * a.steps + after * b.steps) / (a.steps + b.steps);
    case "lowest":
      return Math.min(before, after);
    case "highest":
      return Math.max(before, after);
  }
}

function written(value: number): number | null {
  return Number.isFinite(value) ? Number(value.toPrecision(7)) : null;
}
