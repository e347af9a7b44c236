import { largest, smallest, sum } from "../base/numbers.js";
import { planStep } from "../relora/plan.js";
import type { MetricsRecord, StepRecord } from "../runs/metrics.js";
import type { Chart, ChartSeries } from "../runs/report/chart.js";
import type { LayerSpectra } from "./spectra.js";
import { meanOf } from "./statistics.js";
import type { Arm, Study } from "./study.js";
import type { RunEvidence } from "./summary.js";

/** Names of CSS variables of the page; further arms repeat them with dashes. */
const COLORS = ["blue", "orange", "green", "purple", "red", "teal", "pink", "olive"];
/** Points of a line at most. More than a screen can show only makes the file larger. */
const MAX_POINTS = 400;

/** Values of a run by step. */
type Curve = ReadonlyMap<number, number>;

/** The charts of curves, a line for each arm. */
export function curveCharts(study: Study, evidence: readonly RunEvidence[]): Chart[] {
  const { arms, seeds, reference } = study;
  const curves = (of: (records: readonly MetricsRecord[]) => Curve): Curve[][] =>
    arms.map(({ name }) =>
      runsToShow(evidence.filter(({ run }) => run.arm === name)).map(({ records }) => of(records)),
    );
  const heldOut = curves(heldOutCurve);
  const several = seeds.length > 1;
  const range = several ? " Lines are means over the seeds, shades reach from the lowest to the highest." : "";
  const chart = (title: string, note: string, format: Chart["format"], lines: readonly Curve[][]): Chart => ({
    ...alongSteps(arms, lines),
    title,
    note,
    format,
    marks: [],
    fromZero: false,
  });
  return [
    chart("Held-out loss", `In nats a token.${range}`, "loss", heldOut),
    chart(
      `Held-out loss over that of ${reference.low}`,
      `The same seed at the same step, from the end of the warm start of ${reference.low}: below 0 is better.${range}`,
      "change",
      differences(study, evidence),
    ),
    withoutBands(
      chart(
        "Training loss",
        `A moving mean over a fortieth of the run${several ? ", as mean over the seeds" : ""}.`,
        "loss",
        curves(trainingCurve),
      ),
    ),
    learningRateChart(arms),
  ].filter(
    ({ steps, series }) => steps.length > 1 && series.some(({ values }) => values.some((value) => value !== null)),
  );
}

/** Where lines lie so close that their shades would hide them. */
function withoutBands(chart: Chart): Chart {
  return { ...chart, series: chart.series.map(({ band: _, ...line }) => line) };
}

/** Those that have ended, or else those that have begun. */
function runsToShow(runs: readonly RunEvidence[]): readonly RunEvidence[] {
  const ended = runs.filter(({ phase }) => phase === "done" || phase === "diverged");
  return ended.length > 0 ? ended : runs.filter(({ records }) => records.length > 0);
}

function heldOutCurve(records: readonly MetricsRecord[]): Curve {
  const evals = records.filter((record) => record.kind === "eval" && Number.isFinite(record.loss));
  return new Map(evals.map((record) => [record.step, (record as { loss: number }).loss]));
}

function trainingCurve(records: readonly MetricsRecord[]): Curve {
  const steps = records.filter((record) => record.kind === "step");
  const curve = new Map<number, number>();
  for (const [index, { step }] of steps.entries()) {
    if (isShown(step, steps.at(-1)!.step)) curve.set(step, movingMean(steps, index));
  }
  return curve;
}

/** Mean loss of the steps around one, a fortieth of the run. */
function movingMean(steps: readonly StepRecord[], index: number): number {
  const reach = Math.floor(steps.length / 80);
  const window = steps.slice(Math.max(0, index - reach), index + reach + 1);
  return sum(window.map((record) => record.loss)) / window.length;
}

/** True if one of the steps up to `last` has a point of its own: the same ones in each run of that length. */
function isShown(step: number, last: number): boolean {
  return step === last || step % Math.ceil(last / MAX_POINTS) === 0;
}

function differences({ arms, seeds, reference }: Study, evidence: readonly RunEvidence[]): Curve[][] {
  const find = (arm: string, seed: number): RunEvidence =>
    evidence.find(({ run }) => run.arm === arm && run.seed === seed)!;
  return arms.map(({ name }) => {
    if (name === reference.low) return [];
    const shown = runsToShow(evidence.filter(({ run }) => run.arm === name)).map(({ run }) => run.seed);
    return seeds
      .filter((seed) => shown.includes(seed))
      .map((seed): Curve => {
        const low = find(reference.low, seed);
        const base = heldOutCurve(low.records);
        const own = [...heldOutCurve(find(name, seed).records)];
        const { warmStartSteps, method } = low.run.settings;
        const begin = method === "full" ? 0 : warmStartSteps;
        return new Map(
          own.flatMap(([step, loss]) =>
            step >= begin && base.has(step) ? [[step, loss - base.get(step)!] as const] : [],
          ),
        );
      });
  });
}

/** Means over the curves of each arm, where all of them have a value, and their range. */
function alongSteps(arms: readonly Arm[], curves: readonly Curve[][]): Pick<Chart, "steps" | "series"> {
  const steps = [...new Set(curves.flat().flatMap((curve) => [...curve.keys()]))].sort((a, b) => a - b);
  const series = arms.flatMap(({ name }, index): ChartSeries[] => {
    const own = curves[index]!;
    if (own.length === 0) return [];
    const at = (join: (values: number[]) => number) =>
      steps.map((step) => {
        const values = own.flatMap((curve) => curve.get(step) ?? []);
        return values.length < own.length ? null : join(values);
      });
    const band = { low: at((values) => smallest(values)), high: at((values) => largest(values)) };
    return [{ ...lineOf(name, index), values: at(meanOf), ...(own.length > 1 && { band }) }];
  });
  return { steps, series };
}

function lineOf(label: string, index: number): Omit<ChartSeries, "values"> {
  return { label, color: COLORS[index % COLORS.length]!, look: index < COLORS.length ? "line" : "dashed" };
}

function learningRateChart(arms: readonly Arm[]): Chart {
  const last = largest(arms.map(({ settings }) => settings.maxSteps));
  const steps = Array.from({ length: last }, (_, i) => i + 1).filter((step) => isShown(step, last));
  return {
    title: "Learning rate",
    note: "As planned, the same with each seed.",
    format: "rate",
    steps,
    series: arms.map(({ name, settings }, index) => ({
      ...lineOf(name, index),
      values: steps.map((step) => {
        if (step > settings.maxSteps) return null;
        const { phase, lrMultiplier } = planStep(step, settings);
        return (phase === "adapter" ? settings.adapterLr : settings.lr) * lrMultiplier;
      }),
    })),
    marks: [],
    fromZero: true,
  };
}

/** A chart for each kind of layer, a line for each arm, in the arms' colours of the other charts. */
export function spectrumCharts({ arms }: Study, spectra: LayerSpectra): Chart[] {
  const kinds = [...new Set(spectra.arms.flatMap(({ kinds }) => kinds.map(({ kind }) => kind)))];
  return kinds.map((kind): Chart => {
    const lines = spectra.arms.flatMap(({ arm, kinds: own }) => {
      const found = own.find((spectrum) => spectrum.kind === kind);
      return found === undefined ? [] : [{ arm, values: found.values }];
    });
    const length = largest(lines.map(({ values }) => values.length));
    return {
      title: `Singular values of ${kind}`,
      note: "",
      format: "number",
      along: "index",
      steps: Array.from({ length }, (_, i) => i + 1),
      series: lines.map(({ arm, values }) => ({
        ...lineOf(
          arm,
          arms.findIndex(({ name }) => name === arm),
        ),
        values: Array.from({ length }, (_, i) => values[i] ?? null),
      })),
      logarithmic: true,
      marks: [],
      fromZero: false,
    };
  });
}
