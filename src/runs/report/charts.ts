import { append } from "../../base/lists.js";
import { largest, smallest, sum } from "../../base/numbers.js";
import type { PhaseName } from "../../relora/plan.js";
import type { MergeRecord, MetricsRecord, StepRecord } from "../metrics.js";

/** One line or row of points of a chart. `color` is the name of a CSS variable of the page, without its dashes. */
export interface ChartSeries {
  readonly label: string;
  readonly color: string;
  readonly look: "line" | "faint" | "points" | "dashed";
  readonly values: readonly (number | null)[];
  /** A shaded range around the values. */
  readonly band?: { readonly low: readonly (number | null)[]; readonly high: readonly (number | null)[] };
}

/** A chart of the report as data; the page's script draws it. */
export interface Chart {
  readonly title: string;
  readonly note: string;
  readonly format: "loss" | "rate" | "count" | "number" | "share" | "change";
  /** Unit of the horizontal axis; default steps. Pointing at one chart points at all with the same unit. */
  readonly along?: string;
  /** Places on the horizontal axis, rising. */
  readonly steps: readonly number[];
  readonly series: readonly ChartSeries[];
  /** Values rise by factors, and those that are not above zero are left out. */
  readonly logarithmic?: boolean;
  /** Steps with a vertical line: dashed for a merge; with a label for the begin of a phase. */
  readonly marks: readonly { readonly step: number; readonly label: string }[];
  /** True if the value axis must begin at zero. */
  readonly fromZero: boolean;
}

/** More points than a screen has columns only make the file larger. */
const MAX_POINTS = 2000;

const PHASE_LABELS: Readonly<Record<PhaseName, string>> = {
  full: "full",
  "warm-start": "warm start",
  adapter: "adapters",
};

/**
 * The charts that the records allow: none of a single point, those of merges only where there were several, those of
 * what quantized weights took up only where merges went into such.
 * `rank` is that of one adapter, drawn beside the rank that the merges reached.
 */
export function chartsOf(records: readonly MetricsRecord[], { rank }: { rank?: number } = {}): Chart[] {
  const steps = thin(records.filter((record) => record.kind === "step"));
  const merges = records.filter((record) => record.kind === "merge");
  const marks = marksOf(records);
  const charts: Chart[] = [];
  if (steps.length > 0) append(charts, [lossChart(records, steps, marks), ...stepCharts(steps, marks)]);
  const quantized = merges.filter((merge) => merge.policy !== null);
  if (merges.length > 0) charts.push(deltaChart(merges));
  if (quantized.length > 0) charts.push(recoveredChart(quantized), lossChangeChart(quantized));
  if (merges.length > 0) charts.push(rankChart(merges, rank));
  // A single point is no course of anything, and stands in the tables.
  return charts.filter((chart) => chart.steps.length > 1);
}

function lossChart(records: readonly MetricsRecord[], steps: readonly StepRecord[], marks: Chart["marks"]): Chart {
  const train = new Map(steps.map((record) => [record.step, record.loss]));
  const smooth = new Map(steps.map((record, index) => [record.step, movingMean(steps, index)]));
  const heldOut = new Map(
    records.filter((record) => record.kind === "eval").map((record) => [record.step, record.loss]),
  );
  const axis = [...new Set([...train.keys(), ...heldOut.keys()])].sort((a, b) => a - b);
  const along = (values: ReadonlyMap<number, number>): (number | null)[] =>
    axis.map((step) => values.get(step) ?? null);
  return {
    title: "Loss",
    note: "Cross-entropy a token, in nats. The train line is a moving mean of the fainter single steps.",
    format: "loss",
    steps: axis,
    series: [
      { label: "single steps", color: "blue", look: "faint", values: along(train) },
      { label: "train", color: "blue", look: "line", values: along(smooth) },
      { label: "held-out", color: "orange", look: "points", values: along(heldOut) },
    ],
    marks,
    fromZero: false,
  };
}

function stepCharts(steps: readonly StepRecord[], marks: Chart["marks"]): Chart[] {
  const chart = (
    title: string,
    note: string,
    format: Chart["format"],
    color: string,
    value: (record: StepRecord) => number,
  ): Chart => ({
    title,
    note,
    format,
    steps: steps.map((record) => record.step),
    series: [{ label: title.toLowerCase(), color, look: "line", values: steps.map(value) }],
    marks,
    fromZero: true,
  });
  const restarts = marks.some((mark) => mark.label === "") ? "Dashed lines are merges and restarts." : "";
  return [
    chart("Learning rate", restarts, "rate", "green", (record) => record.learningRate),
    chart("Gradient norm", "Global norm before clipping.", "number", "purple", (record) => record.gradNorm),
    chart("Tokens a second", "", "count", "blue", speedOf),
  ];
}

function deltaChart(merges: readonly MergeRecord[]): Chart {
  return {
    title: "Norm of ΔW",
    note: "Frobenius norm of what each merge added, over all adapted layers.",
    format: "number",
    steps: merges.map((merge) => merge.step),
    series: [{ label: "|ΔW|", color: "orange", look: "points", values: merges.map((merge) => merge.deltaNorm) }],
    marks: [],
    fromZero: true,
  };
}

function recoveredChart(merges: readonly MergeRecord[]): Chart {
  const recovered = merges.map((merge) => merge.layers.map((layer) => layer.recovered));
  return {
    title: "Recovered update",
    note: "Share of each merged update found in the quantized weights: near 0 where it was rounded away.",
    format: "share",
    steps: merges.map((merge) => merge.step),
    series: [
      { label: "all layers", color: "green", look: "points", values: merges.map((merge) => merge.recovered) },
      { label: "lowest layer", color: "green", look: "faint", values: recovered.map(lowest) },
      { label: "highest layer", color: "green", look: "faint", values: recovered.map(highest) },
      { label: "nothing lost", color: "muted", look: "dashed", values: merges.map(() => 1) },
    ],
    marks: [],
    fromZero: true,
  };
}

function lossChangeChart(merges: readonly MergeRecord[]): Chart {
  return {
    title: "Loss change at merges",
    note: "Held-out loss right after each merge minus right before: above 0 where rounding cost something.",
    format: "change",
    steps: merges.map((merge) => merge.step),
    series: [
      {
        label: "change",
        color: "purple",
        look: "points",
        values: merges.map((merge) => merge.lossAfter - merge.lossBefore),
      },
      { label: "no change", color: "muted", look: "dashed", values: merges.map(() => 0) },
    ],
    marks: [],
    fromZero: false,
  };
}

function rankChart(merges: readonly MergeRecord[], rank: number | undefined): Chart {
  const ranks = merges.map((merge) => merge.layers.map((layer) => layer.rank).filter((value) => value !== null));
  const series: ChartSeries[] = [
    { label: "mean", color: "green", look: "points", values: ranks.map(mean) },
    { label: "lowest", color: "green", look: "faint", values: ranks.map(lowest) },
    { label: "highest", color: "green", look: "faint", values: ranks.map(highest) },
  ];
  if (rank !== undefined) {
    series.push({ label: "one adapter", color: "muted", look: "dashed", values: merges.map(() => rank) });
  }
  return {
    title: "Rank of the accumulated update",
    note: "Singular values above the threshold, a layer: the sum of low-rank updates grows past the rank of one.",
    format: "number",
    steps: merges.map((merge) => merge.step),
    series,
    marks: [],
    fromZero: true,
  };
}

function marksOf(records: readonly MetricsRecord[]): Chart["marks"] {
  const marks: { step: number; label: string }[] = [];
  let phase: PhaseName | undefined;
  for (const record of records) {
    if (record.kind === "merge") marks.push({ step: record.step, label: "" });
    if (record.kind !== "step" || record.phase === phase) continue;
    if (phase !== undefined) marks.push({ step: record.step, label: PHASE_LABELS[record.phase] });
    phase = record.phase;
  }
  return marks;
}

function speedOf({ computedPerSecond, tokensPerSecond }: StepRecord): number {
  return computedPerSecond ?? tokensPerSecond;
}

/** At most MAX_POINTS records: means of loss and speed, the largest gradient norm and the last rate of each bucket. */
function thin(steps: readonly StepRecord[]): StepRecord[] {
  const size = Math.ceil(steps.length / MAX_POINTS);
  if (size <= 1) return [...steps];
  const thinned: StepRecord[] = [];
  for (let begin = 0; begin < steps.length; begin += size) {
    const bucket = steps.slice(begin, begin + size);
    thinned.push({
      ...bucket.at(-1)!,
      loss: sum(bucket.map((record) => record.loss)) / bucket.length,
      tokensPerSecond: sum(bucket.map((record) => record.tokensPerSecond)) / bucket.length,
      computedPerSecond: sum(bucket.map(speedOf)) / bucket.length,
      gradNorm: largest(bucket.map((record) => record.gradNorm)),
    });
  }
  return thinned;
}

/** Mean loss of the steps around one, a fortieth of the run. */
export function movingMean(steps: readonly StepRecord[], index: number): number {
  const reach = Math.floor(steps.length / 80);
  const window = steps.slice(Math.max(0, index - reach), index + reach + 1);
  return sum(window.map((record) => record.loss)) / window.length;
}

function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : sum(values) / values.length;
}

function lowest(values: readonly number[]): number | null {
  return values.length === 0 ? null : smallest(values);
}

function highest(values: readonly number[]): number | null {
  return values.length === 0 ? null : largest(values);
}
