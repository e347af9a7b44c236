import { largest, smallest, sum } from "../../base/numbers.js";
import type { MergeRecord } from "../metrics.js";
import type { Chart, ChartSeries } from "./chart.js";

/**
 * The charts of merges, where there were several: a single point is no course of anything, and stands in the tables.
 * Those of what quantized weights took up are there only where merges went into such.
 * @param rank of one adapter, drawn beside the rank that the merges reached.
 */
export function mergeCharts(merges: readonly MergeRecord[], rank?: number): Chart[] {
  const quantized = merges.filter((merge) => merge.policy !== null);
  const charts = [
    deltaChart(merges),
    ...(quantized.length > 0 ? [recoveredChart(quantized), lossChangeChart(quantized)] : []),
    rankChart(merges, rank),
  ];
  return charts.filter((chart) => chart.steps.length > 1);
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

function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : sum(values) / values.length;
}

function lowest(values: readonly number[]): number | null {
  return values.length === 0 ? null : smallest(values);
}

function highest(values: readonly number[]): number | null {
  return values.length === 0 ? null : largest(values);
}
