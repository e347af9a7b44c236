import { expect, test } from "vitest";
import type { MetricsRecord } from "./metrics.js";
import { metricsCsv, metricsTable } from "./metrics-table.js";

const step = { kind: "step", gradNorm: 0.1 + 0.2, tokensPerSecond: 10, learningRate: 1e-7, cycle: 1 } as const;
const evaluation = { kind: "eval", perplexity: 7.5, tokens: 40, sample: 'a "text",\nof two lines' } as const;
const RECORDS: readonly MetricsRecord[] = [
  { ...evaluation, step: 0, loss: 3, seconds: 1 },
  { ...step, step: 1, tokens: 100, loss: 1 / 3, phase: "warm-start", seconds: 2.5 },
  { kind: "skip", step: 2, reason: "the loss is NaN", inARow: 1, skipped: 1 },
  {
    ...step,
    step: 3,
    tokens: 200,
    loss: Number.NaN,
    phase: "adapter",
    learningRates: { adapters: 2e-3, weights: 1e-7 },
  },
  { ...evaluation, step: 3, loss: 2, perplexity: Number.POSITIVE_INFINITY, standardError: 0.25, seconds: 9 },
];

test("a row is a step with the evaluation after it, in full precision", () => {
  expect(metricsCsv(metricsTable(RECORDS)).split("\r\n")).toEqual([
    "step,phase,cycle,tokens,seconds,loss,learningRate,learningRate.weights,learningRate.adapters,gradNorm," +
      "tokensPerSecond,evalLoss,evalPerplexity,evalStandardError,evalTokens",
    "0,,,,1,,,,,,,3,7.5,,40",
    "1,warm-start,1,100,2.5,0.3333333333333333,1e-7,,,0.30000000000000004,10,,,,",
    "3,adapter,1,200,,NaN,1e-7,1e-7,0.002,0.30000000000000004,10,2,Infinity,0.25,40",
    "",
  ]);
});

test("nothing recorded is a table without columns", () => {
  expect(metricsTable([])).toEqual({ columns: [], rows: [] });
});
