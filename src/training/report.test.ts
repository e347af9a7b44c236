import { expect, test } from "vitest";
import type { MergeRecord, MetricsRecord, StepRecord } from "./metrics.js";
import { renderReport } from "./report.js";
import { chartsOf } from "./report-charts.js";
import { REPORT_SCRIPT } from "./report-script.js";

const step = (number: number, over: Partial<StepRecord> = {}): StepRecord => ({
  kind: "step",
  step: number,
  tokens: number * 100,
  loss: 10 - number,
  learningRate: number === 3 ? 0 : 1e-3,
  gradNorm: number,
  tokensPerSecond: 1000,
  cycle: 0,
  phase: "warm-start",
  ...over,
});

const merge: MergeRecord = {
  kind: "merge",
  step: 4,
  cycle: 1,
  lossBefore: 6.5,
  lossAfter: 6.5,
  deltaNorm: 5,
  probeLogitsChange: 2e-6,
  rank: 30,
  layers: [
    { name: "layers.0.q_proj", deltaNorm: 3, rank: 10 },
    { name: "layers.0.v_proj", deltaNorm: 4, rank: 20 },
  ],
};

const hostile = `</script><script>alert(1)</script><!-- & "x" 'y' \u2028 \u001b[2J`;

const records: MetricsRecord[] = [
  { kind: "eval", step: 0, loss: 9.5, perplexity: 13_359.7, tokens: 10, sample: hostile },
  step(1),
  step(2),
  step(3, { phase: "adapter", cycle: 1 }),
  step(4, { phase: "adapter", cycle: 1 }),
  merge,
  { kind: "eval", step: 4, loss: 6.4, perplexity: 601.8, tokens: 10, sample: "a kind of tree" },
];

test("the loss chart puts train and held-out on one axis of steps", () => {
  const [loss] = chartsOf(records);
  expect(loss?.steps).toEqual([0, 1, 2, 3, 4]);
  const [single, train, heldOut] = loss?.series ?? [];
  expect(single?.values).toEqual([null, 9, 8, 7, 6]);
  expect(train?.values).toEqual([null, 9, 8, 7, 6]);
  expect(heldOut?.values).toEqual([9.5, null, null, null, 6.4]);
});

test("merges and the begin of a phase are marked", () => {
  const [loss] = chartsOf(records);
  expect(loss?.marks).toEqual([
    { step: 3, label: "adapters" },
    { step: 4, label: "" },
  ]);
});

test("the rank chart shows the mean, lowest and highest rank of a layer beside that of one adapter", () => {
  const rank = chartsOf(records, { rank: 8 }).at(-1);
  expect(rank?.series.map((series) => [series.label, series.values])).toEqual([
    ["mean", [15]],
    ["lowest", [10]],
    ["highest", [20]],
    ["one adapter", [8]],
  ]);
});

test("charts appear only where there is something to show", () => {
  expect(chartsOf([])).toEqual([]);
  expect(chartsOf([step(1)]).map((chart) => chart.title)).toEqual([
    "Loss",
    "Learning rate",
    "Gradient norm",
    "Tokens a second",
  ]);
});

test("a long run is thinned to means of the loss and peaks of the gradient norm", () => {
  const long = Array.from({ length: 5000 }, (_, index) =>
    step(index + 1, { loss: index % 3, gradNorm: index === 3001 ? 99 : 1 }),
  );
  const charts = chartsOf(long);
  const loss = charts[0]?.series[0]?.values ?? [];
  expect(loss).toHaveLength(1667);
  expect(loss.slice(0, -1).every((value) => value === 1)).toBe(true);
  expect(Math.max(...(charts[2]!.series[0]!.values as number[]))).toBe(99);
});

test("text of the model and of settings cannot become markup", async () => {
  const html = await renderReport({ title: hostile, settings: { prompt: hostile, rank: 8 }, records });
  expect(html).not.toContain("<script>alert");
  expect(html).not.toContain("</script><!--");
  expect(html).not.toContain("\u001b");
  expect(html.match(/&lt;script&gt;alert\(1\)/g)).toHaveLength(4);
  expect(html.match(/<script/g)).toHaveLength(3);
});

test("the page holds its data as JSON and fetches nothing", async () => {
  const html = await renderReport({ title: "run", settings: { rank: 8 }, records });
  const data = /<script id="charts-data" type="application\/json">(.*?)<\/script>/s.exec(html)?.[1];
  expect(JSON.parse(data ?? "")).toEqual(JSON.parse(JSON.stringify(chartsOf(records, { rank: 8 }))));
  expect(html).not.toMatch(/\b(src|href)=|@import|url\(/);
  expect(html).toContain("default-src 'none'");
  expect(html).toContain("var uPlot=");
});

test("the page's script is valid JavaScript", () => {
  expect(() => new Function(REPORT_SCRIPT)).not.toThrow();
});

test("a run that has only begun gives a page too", async () => {
  const html = await renderReport({ title: "run", settings: {}, records: [] });
  expect(html).toContain("not finished");
});
