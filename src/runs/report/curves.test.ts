import { expect, test } from "vitest";
import type { MetricsRecord, StepRecord } from "../metrics.js";
import type { Chart } from "./chart.js";
import { curveCharts, type DrawnRun, knows, movingMean, type View } from "./curves.js";
import type { RunData } from "./page-data.js";
import { RunCourse } from "./run-course.js";
import { runData } from "./run-data.js";

const VIEW: View = { along: "step", smoothing: 0.1, logarithmic: false };

const step = (number: number, over: Partial<StepRecord> = {}): StepRecord => ({
  kind: "step",
  step: number,
  tokens: number * 100,
  loss: 10 - number,
  learningRate: 1e-3,
  gradNorm: 1,
  tokensPerSecond: 1000,
  seconds: number * 2,
  cycle: 0,
  phase: "warm-start",
  ...over,
});

const evaluation = (at: number, loss: number): MetricsRecord => ({
  kind: "eval",
  step: at,
  loss,
  perplexity: Math.exp(loss),
  tokens: 10,
  sample: "",
});

function run(name: string, records: readonly MetricsRecord[]): RunData {
  const shown = { id: name, name, title: name, settings: {} };
  return runData(shown, new RunCourse(records), { state: "done", isRunning: false });
}

const drawn = (each: RunData, color = "blue"): DrawnRun => ({ run: each, color, isDashed: false });

const valuesOf = ({ series }: Chart): [string, readonly (number | null)[]][] =>
  series.map(({ label, values }) => [label, values]);

const first = run("first", [
  evaluation(0, 9.5),
  step(1),
  step(2),
  step(3, { phase: "adapter", cycle: 1 }),
  step(4, { phase: "adapter", cycle: 1 }),
  evaluation(4, 6.4),
]);

test("the losses of one run are its steps, their mean and the held-out ones, on one axis", () => {
  const [loss] = curveCharts([drawn(first)], first, VIEW);
  expect(loss!.steps).toEqual([0, 1, 2, 3, 4]);
  expect(valuesOf(loss!)).toEqual([
    ["single steps", [null, 9, 8, 7, 6]],
    ["train", [null, 9, 8, 7, 6]],
    ["held-out", [9.5, null, null, null, 6.4]],
  ]);
  expect(loss!.marks).toEqual([{ step: 3, label: "adapters" }]);
});

test("tokens and time are axes too, with evaluations and marks where their steps are", () => {
  const [tokens] = curveCharts([drawn(first)], first, { ...VIEW, along: "tokens" });
  expect(tokens).toMatchObject({ along: "tokens", steps: [0, 100, 200, 300, 400], marks: [{ step: 300 }] });
  const [time] = curveCharts([drawn(first)], first, { ...VIEW, along: "time" });
  expect(time!.steps).toEqual([0, 2, 4, 6, 8]);
  expect(valuesOf(time!)[2]).toEqual(["held-out", [9.5, null, null, null, 6.4]]);
  const [between] = curveCharts([drawn(run("x", [step(10), step(20), evaluation(15, 5)]))], undefined, {
    ...VIEW,
    along: "tokens",
  });
  expect(between!.steps).toEqual([1000, 1500, 2000]);
});

test("a run of an earlier version has no times, and no curves along them", () => {
  const old = run("old", [step(1, { seconds: undefined }), step(2, { seconds: undefined })]);
  expect([knows(old, "time"), knows(old, "tokens"), knows(first, "time")]).toEqual([false, true, true]);
  expect(curveCharts([drawn(old)], old, { ...VIEW, along: "time" })).toEqual([]);
});

test("several runs lie over one another by name, each in its colour, on the axis of both", () => {
  const second = run("second", [step(2, { loss: 5 }), step(6, { loss: 4 }), evaluation(6, 3)]);
  const [loss, rate] = curveCharts([drawn(first, "blue"), drawn(second, "orange")], undefined, VIEW);
  expect(loss!.steps).toEqual([0, 1, 2, 3, 4, 6]);
  expect(loss!.series.map(({ label, color, isUnlisted = false }) => [label, color, isUnlisted])).toEqual([
    ["first", "blue", false],
    ["first, held-out", "blue", true],
    ["second", "orange", false],
    ["second, held-out", "orange", true],
  ]);
  expect(loss!.series[2]!.values).toEqual([null, null, 5, null, null, 4]);
  expect(rate!.series).toHaveLength(2);
});

test("the rates of groups have lines of their own where there is one run", () => {
  const groups = run("groups", [
    step(1, { learningRates: { weights: 1e-3, adapters: 2e-3 } }),
    step(2, { learningRates: { weights: 5e-4, adapters: 1e-3 } }),
  ]);
  const [, rate] = curveCharts([drawn(groups)], undefined, VIEW);
  expect(valuesOf(rate!)).toEqual([
    ["weights", [1e-3, 5e-4]],
    ["adapters", [2e-3, 1e-3]],
  ]);
});

test("a long run shows the range of the losses that a point stands for", () => {
  const long = run(
    "long",
    Array.from({ length: 5000 }, (_, index) => step(index + 1, { loss: index % 2 })),
  );
  const [loss] = curveCharts([drawn(long)], undefined, VIEW);
  const { values, band } = loss!.series[0]!;
  expect([values[0], band!.low[0], band!.high[0]]).toEqual([0.5, 0, 1]);
});

test("smoothing takes the mean over as many steps to both sides, by how many each point stands for", () => {
  const at = [1, 2, 3, 4, 8];
  expect(movingMean(at, [1, 1, 1, 1, 4], [1, 2, 6, 4, 10], 1)).toEqual([1.5, 3, 4, 5, 10]);
  expect(movingMean(at, [1, 1, 1, 1, 4], [1, 2, 6, 4, 10], 4)[4]).toBe((4 + 40) / 5);
  expect(movingMean(at, [1, 1, 1, 1, 4], [1, null, 6, 4, 10], 1)).toEqual([1, null, 5, 5, 10]);
  expect(movingMean(at, [1, 1, 1, 1, 4], [0.1, 0.2, 0.3, 0.4, 0.5], 0)).toEqual([0.1, 0.2, 0.3, 0.4, 0.5]);
});
