import type { Chart, ChartSeries } from "./chart.js";
import type { RunData } from "./page-data.js";

// The curves of runs over one another, as the page's controls ask for them. It runs in the page.

type Values = readonly (number | null)[];

/** What the horizontal axis of curves can count. */
export const ALONG = ["step", "tokens", "time"] as const;

/** What a viewer chose. */
export interface View {
  readonly along: (typeof ALONG)[number];
  /** Share of a run's steps that a point of a curve is the mean of, from 0 to 1. */
  readonly smoothing: number;
  readonly logarithmic: boolean;
}

/** A run whose curves are drawn. `color` is as in a chart. */
export interface DrawnRun {
  readonly run: RunData;
  readonly color: string;
  readonly isDashed: boolean;
}

/** Colours of runs over one another; further ones repeat them with dashes. */
export const RUN_COLORS: readonly string[] = ["blue", "orange", "green", "purple", "red", "teal", "pink", "olive"];

/**
 * Loss, learning rate, gradient norm and pace of runs; one that has no two points of a line is left out.
 * @param marked the run whose merges and phases are marked.
 */
export function curveCharts(drawn: readonly DrawnRun[], marked: RunData | undefined, view: View): Chart[] {
  const marks = marked === undefined ? [] : marksAlong(marked, view.along);
  const common = { along: view.along, marks, fromZero: true };
  const [alone] = drawn.length === 1 ? drawn : [];
  const dashes = marks.some(({ label }) => label === "") ? "Dashed lines are merges and restarts." : "";
  const smooth = (column: "gradNorm" | "speed", label: string, color: string): Line[] =>
    drawn.map((each) => ({ ...lineOf(each, alone && { label, color }), ...curveOf(each.run, column, view) }));
  const charts: Chart[] = [
    {
      ...common,
      title: "Loss",
      note: lossNote(alone, view),
      format: "loss",
      logarithmic: view.logarithmic,
      fromZero: false,
      ...aligned(alone ? lossLines(alone.run, view) : drawn.flatMap((each) => comparedLosses(each, view))),
    },
    { ...common, title: "Learning rate", note: dashes, format: "rate", ...aligned(rateLines(drawn, view)) },
    {
      ...common,
      title: "Gradient norm",
      note: "Global norm before clipping.",
      format: "number",
      logarithmic: view.logarithmic,
      ...aligned(smooth("gradNorm", "gradient norm", "purple")),
    },
    {
      ...common,
      title: "Tokens a second",
      note: "Padding included.",
      format: "count",
      ...aligned(smooth("speed", "tokens a second", "blue")),
    },
  ];
  return charts.filter(({ series }) =>
    series.some(({ values }) => values.filter((value) => value !== null).length > 1),
  );
}

/** Values at places of their own. */
interface Line extends Omit<ChartSeries, "values" | "band"> {
  readonly at: Values;
  readonly values: Values;
  readonly band?: { readonly low: Values; readonly high: Values };
}

function lineOf(
  { run, color, isDashed }: DrawnRun,
  alone?: { label: string; color: string },
): Omit<Line, "at" | "values"> {
  return alone !== undefined
    ? { ...alone, look: "line" }
    : { label: run.name, color, look: isDashed ? "dashed" : "line" };
}

function lossNote(alone: DrawnRun | undefined, { smoothing }: View): string {
  const unit = "Cross-entropy a token, in nats.";
  if (alone === undefined) return `${unit} Points are held-out losses.`;
  return smoothing > 0 ? `${unit} The train line is a moving mean of the fainter single steps.` : unit;
}

function lossLines(run: RunData, view: View): Line[] {
  const { steps, evals } = run;
  const at = placesOf(run, view.along);
  const isJoined = steps.steps.some((count) => (count ?? 1) > 1);
  const band = isJoined ? { band: { low: steps.lowestLoss, high: steps.highestLoss } } : {};
  return [
    ...(view.smoothing === 0
      ? []
      : [{ label: "single steps", color: "blue", look: "faint", at, values: steps.loss, ...band } satisfies Line]),
    { label: "train", color: "blue", look: "line", ...curveOf(run, "loss", view) },
    ...(evals.length === 0
      ? []
      : [{ label: "held-out", color: "orange", look: "points", ...heldOut(run, view) } satisfies Line]),
  ];
}

function comparedLosses(drawn: DrawnRun, view: View): Line[] {
  const line = lineOf(drawn);
  return [
    { ...line, ...curveOf(drawn.run, "loss", view) },
    { ...line, label: `${line.label}, held-out`, look: "points", isUnlisted: true, ...heldOut(drawn.run, view) },
  ];
}

function heldOut(run: RunData, { along }: View): Pick<Line, "at" | "values"> {
  const places = placeAlong(run, along);
  return { at: run.evals.map(({ step }) => places(step)), values: run.evals.map(({ loss }) => loss) };
}

const GROUPS = [
  ["weightsRate", "weights", "blue"],
  ["adaptersRate", "adapters", "green"],
  ["adapterOutputsRate", "second matrices of adapters", "purple"],
] as const;

/** A line for each group of weights where there is one run, or else one for each run. */
function rateLines(drawn: readonly DrawnRun[], { along }: View): Line[] {
  const [alone] = drawn.length === 1 ? drawn : [];
  if (alone === undefined) {
    return drawn.map((each) => ({ ...lineOf(each), at: placesOf(each.run, along), values: each.run.steps.rate }));
  }
  const { steps } = alone.run;
  const at = placesOf(alone.run, along);
  const groups = GROUPS.filter(([column]) => steps[column].some((value) => value !== null));
  if (groups.length === 0) return [{ label: "learning rate", color: "green", look: "line", at, values: steps.rate }];
  return groups.map(([column, label, color]) => ({ label, color, look: "line", at, values: steps[column] }));
}

function curveOf(
  run: RunData,
  column: "loss" | "gradNorm" | "speed",
  { along, smoothing }: View,
): Pick<Line, "at" | "values"> {
  const { step, steps } = run.steps;
  const length = (step.at(-1) ?? 0) - (step[0] ?? 0);
  const reach = Math.floor((smoothing * length) / 2);
  return { at: placesOf(run, along), values: movingMean(step, steps, run.steps[column], reach) };
}

/**
 * The mean around each value, over as many steps to both sides.
 * @param at places of the values, rising. @param weights how many steps each value stands for.
 */
export function movingMean(at: Values, weights: Values, values: Values, reach: number): (number | null)[] {
  let [begin, end, sum, weight] = [0, 0, 0, 0];
  const count = (index: number, sign: 1 | -1): void => {
    const value = values[index];
    if (value == null) return;
    sum += sign * value * (weights[index] ?? 1);
    weight += sign * (weights[index] ?? 1);
  };
  return values.map((value, index) => {
    const place = at[index] ?? 0;
    while (end < values.length && (at[end] ?? 0) <= place + reach) count(end++, 1);
    while ((at[begin] ?? 0) < place - reach) count(begin++, -1);
    // Of a single value, what adding and taking away has left would be rounded.
    return value === null || weight <= 0 ? null : reach === 0 ? value : sum / weight;
  });
}

/** The lines on one axis, which has the places of all. */
function aligned(lines: readonly Line[]): Pick<Chart, "steps" | "series"> {
  const steps = [...new Set(lines.flatMap(({ at }) => at.filter((place) => place !== null)))].sort((a, b) => a - b);
  const indexOf = new Map(steps.map((place, index) => [place, index]));
  const spread = (at: Values, values: Values): (number | null)[] => {
    const result = new Array<number | null>(steps.length).fill(null);
    for (const [index, place] of at.entries()) if (place !== null) result[indexOf.get(place)!] = values[index] ?? null;
    return result;
  };
  const series = lines.map(({ at, values, band, ...line }): ChartSeries => {
    const shade = band && { band: { low: spread(at, band.low), high: spread(at, band.high) } };
    return { ...line, values: spread(at, values), ...shade };
  });
  return { steps, series };
}

function placesOf({ steps }: RunData, along: View["along"]): Values {
  return along === "step" ? steps.step : along === "tokens" ? steps.tokens : steps.seconds;
}

/** True if the run tells where its steps are along it: those of earlier versions tell no times. */
export function knows(run: RunData, along: View["along"]): boolean {
  return placesOf(run, along).some((place) => place !== null);
}

/** Where a step is on the axis: between those of the points around it. Null where that is not known. */
function placeAlong(run: RunData, along: View["along"]): (step: number) => number | null {
  if (along === "step") return (step) => step;
  const places = placesOf(run, along);
  const { step: steps } = run.steps;
  return (step) => {
    const after = steps.findIndex((each) => (each ?? 0) >= step);
    if (after === -1) return places.at(-1) ?? null;
    const [left, right] = [after === 0 ? 0 : steps[after - 1]!, steps[after]!];
    const [from, to] = [after === 0 ? 0 : places[after - 1], places[after]];
    if (from == null || to == null) return null;
    return right === left ? to : from + ((step - left) / (right - left)) * (to - from);
  };
}

function marksAlong(run: RunData, along: View["along"]): Chart["marks"] {
  const places = placeAlong(run, along);
  return run.marks.flatMap(({ step, label }) => {
    const place = places(step);
    return place === null ? [] : [{ step: place, label }];
  });
}
