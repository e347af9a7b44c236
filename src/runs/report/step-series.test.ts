import { expect, test } from "vitest";
import type { StepRecord } from "../metrics.js";
import { StepSeries } from "./step-series.js";

const record = (step: number, over: Partial<StepRecord> = {}): StepRecord => ({
  kind: "step",
  step,
  tokens: 100 * step,
  loss: step % 2,
  learningRate: 1e-3,
  gradNorm: 1,
  tokensPerSecond: 1000,
  cycle: 1,
  phase: "adapter",
  ...over,
});

function seriesOf(length: number, over: (step: number) => Partial<StepRecord> = () => ({})): StepSeries {
  const series = new StepSeries();
  for (let step = 1; step <= length; step++) series.add(record(step, over(step)));
  return series;
}

test("a short run has a point for each step", () => {
  const columns = seriesOf(3, (step) => ({ seconds: step / 2, learningRates: { weights: 1, adapters: 2 } })).columns();
  expect(columns).toEqual({
    step: [1, 2, 3],
    steps: [1, 1, 1],
    tokens: [100, 200, 300],
    seconds: [0.5, 1, 1.5],
    loss: [1, 0, 1],
    lowestLoss: [1, 0, 1],
    highestLoss: [1, 0, 1],
    rate: [1e-3, 1e-3, 1e-3],
    weightsRate: [1, 1, 1],
    adaptersRate: [2, 2, 2],
    adapterOutputsRate: [null, null, null],
    gradNorm: [1, 1, 1],
    speed: [1000, 1000, 1000],
  });
});

test("a run of 100,000 steps has few points, which lose no peak, no tooth and no step", () => {
  const series = seriesOf(100_000, (step) => ({
    gradNorm: step === 30_001 ? 99 : 1,
    learningRate: step % 1000 === 0 ? 0 : 1e-3,
    loss: step === 40_002 ? 50 : step % 2,
  }));
  const { step, steps, loss, highestLoss, lowestLoss, gradNorm, rate } = series.columns();
  expect(series.length).toBeLessThan(3100);
  expect(series.length).toBeGreaterThan(1500);
  expect(steps.reduce((sum, count) => sum! + count!, 0)).toBe(100_000);
  // Each point ends where its steps end.
  const gaps = step.map((last, index) => last! - (step[index - 1] ?? 0));
  expect(gaps).toEqual(steps);
  expect(Math.max(...(gradNorm as number[]))).toBe(99);
  expect(Math.max(...(highestLoss as number[]))).toBe(50);
  expect(Math.min(...(lowestLoss as number[]))).toBe(0);
  expect(loss[0]).toBe(0.5);
  // A tooth each thousand steps, each of which is the foot of one point.
  expect(rate.filter((value) => value === 0)).toHaveLength(100);
  expect(steps.slice(-512).every((count) => count === 1)).toBe(true);
});

test("points that were there stay the same until some are joined", () => {
  const series = seriesOf(3071);
  const before = series.columns();
  expect(series.joinings).toBe(0);
  series.add(record(3072));
  expect(series.joinings).toBe(1);
  const [joined, length] = [series.columns(), series.length];
  expect(joined.step.slice(0, 2)).toEqual([2, 4]);
  expect(before.step.slice(0, 2)).toEqual([1, 2]);
  series.add(record(3073));
  expect(series.joinings).toBe(1);
  expect(series.columns().loss.slice(0, length)).toEqual(joined.loss);
  expect(series.columns(length).step).toEqual([3073]);
});

test("a loss that is not finite spoils no mean", () => {
  const series = seriesOf(4000, (step) => ({ loss: step === 1 ? Number.NaN : 2 }));
  expect(series.columns().loss[0]).toBe(2);
  expect(seriesOf(1, () => ({ loss: Number.NaN })).columns().loss).toEqual([null]);
});
