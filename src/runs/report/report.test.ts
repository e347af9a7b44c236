import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import type { EndRecord, MergeRecord, MetricsRecord, QuantizeRecord, StartRecord, StepRecord } from "../metrics.js";
import { curveCharts } from "./curves.js";
import { mergeCharts } from "./merge-charts.js";
import { renderReport } from "./report.js";
import { RunCourse } from "./run-course.js";
import { runData } from "./run-data.js";
import { factTiles } from "./summary.js";

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
  policy: null,
  lossBefore: 6.5,
  lossAfter: 6.5,
  deltaNorm: 5,
  recovered: 1,
  codesChanged: null,
  probeLogitsChange: 2e-6,
  rank: 30,
  layers: [
    { name: "layers.0.q_proj", deltaNorm: 3, recovered: 1, codesChanged: null, rank: 10 },
    { name: "layers.0.v_proj", deltaNorm: 4, recovered: 1, codesChanged: null, rank: 20 },
  ],
};

const MIB = 2 ** 20;

const start: StartRecord = {
  kind: "start",
  step: 0,
  model: "llama tiny",
  parameters: 1_900_000,
  trainableParameters: 600_000,
  quantizer: "nf4 in blocks of 64",
  memory: {
    program: 160 * MIB,
    data: 96 * MIB,
    base: 24 * MIB,
    adapters: 0,
    gradients: 30 * MIB,
    optimizer: 60 * MIB,
    activations: 30 * MIB,
  },
  availableMemoryBytes: 2 ** 34,
  device: "cpu, 2 threads",
  data: "builtin:wordnet, 3.1M tokens",
  maxSteps: 8,
  plan: "8 steps with adapters",
  runFolder: "runs/first",
};

const quantize: QuantizeRecord = {
  kind: "quantize",
  step: 2,
  quantizer: "nf4 in blocks of 64",
  lossBefore: 7.5,
  lossAfter: 7.4853,
  relativeError: 0.0912,
  bytes: 1.5 * MIB,
  layers: [
    { name: "layers.0.q_proj", relativeError: 0.08, largestError: 0.01 },
    { name: "layers.0.v_proj", relativeError: 0.09, largestError: 0.02 },
    { name: "layers.1.q_proj", relativeError: 0.1, largestError: 0.04 },
  ],
};

const quantizedMerge: MergeRecord = {
  ...merge,
  policy: "requantize",
  lossAfter: 6.4875,
  recovered: 0.998,
  codesChanged: 0.125,
  probeLogitsChange: 0.25,
  layers: [
    { name: "layers.0.q_proj", deltaNorm: 3, recovered: 0.9, codesChanged: 0.1, rank: 10 },
    { name: "layers.0.v_proj", deltaNorm: 4, recovered: 1.1, codesChanged: 0.2, rank: 20 },
    { name: "layers.1.q_proj", deltaNorm: 5, recovered: 0.8, codesChanged: 0.3, rank: null },
    { name: "layers.1.v_proj", deltaNorm: 6, recovered: 1, codesChanged: null, rank: null },
  ],
};

const end: EndRecord = {
  kind: "end",
  step: 8,
  outcome: "done",
  modelStep: 8,
  tokens: 800,
  skipped: 0,
  seconds: 4,
  savingSeconds: 1.5,
  peakMemoryBytes: 500 * MIB,
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

test("the rank chart shows the mean, lowest and highest rank of a layer beside that of one adapter", () => {
  const rank = mergeCharts([merge, { ...merge, step: 8, cycle: 2 }], 8).at(-1);
  expect(rank?.series.map((series) => [series.label, series.values])).toEqual([
    ["mean", [15, 15]],
    ["lowest", [10, 10]],
    ["highest", [20, 20]],
    ["one adapter", [8, 8]],
  ]);
});

test("the charts of merges into quantized weights show what was recovered and what the loss did", () => {
  const second = { ...quantizedMerge, step: 8, cycle: 2, lossAfter: 6.75, recovered: 0.25, layers: [] };
  const charts = mergeCharts([quantizedMerge, second]);
  const values = (title: string): unknown =>
    charts.find((chart) => chart.title === title)?.series.map((series) => [series.label, series.values]);
  expect(values("Recovered update")).toEqual([
    ["all layers", [0.998, 0.25]],
    ["lowest layer", [0.8, null]],
    ["highest layer", [1.1, null]],
    ["nothing lost", [1, 1]],
  ]);
  expect(values("Loss change at merges")).toEqual([
    ["change", [expect.closeTo(-0.0125, 9), 0.25]],
    ["no change", [0, 0]],
  ]);
});

test("layers whose rank was not computed are left out of the rank chart", () => {
  const unknown = { ...merge, step: 8, layers: merge.layers.map((layer) => ({ ...layer, rank: null })) };
  const rank = mergeCharts([quantizedMerge, unknown]).at(-1);
  expect(rank?.series.map((series) => series.values)).toEqual([
    [15, null],
    [10, null],
    [20, null],
  ]);
});

/** The titles of all charts of a run. */
function titlesOf(of: readonly MetricsRecord[]): string[] {
  const shown = { id: "run", name: "run", title: "run", settings: {} };
  const run = runData(shown, new RunCourse(of), { state: "done", isRunning: false });
  const drawn = { run, color: "blue", isDashed: false };
  const curves = curveCharts([drawn], run, { along: "step", smoothing: 0, logarithmic: false });
  return [...curves, ...run.charts].map((chart) => chart.title);
}

test("charts appear only where there is something to show, none with a single point", () => {
  const ofSteps = ["Loss", "Learning rate", "Gradient norm", "Tokens a second"];
  expect(titlesOf([])).toEqual([]);
  expect(titlesOf([step(1)])).toEqual([]);
  expect(titlesOf([step(1), step(2)])).toEqual(ofSteps);
  // The one merge of LoRA is no course of anything.
  expect(records.filter(({ kind }) => kind === "merge")).toHaveLength(1);
  expect(titlesOf(records)).toEqual(ofSteps);
  const twice = [...records, { ...merge, step: 8, cycle: 2 }];
  expect(titlesOf(twice)).toEqual([...ofSteps, "Norm of ΔW", "Rank of the accumulated update"]);
});

test("the loss and the tokens say what they count", () => {
  const tilesOf = (steps: number): string =>
    factTiles(new RunCourse(Array.from({ length: steps }, (_, index) => step(index + 1, { loss: 100 - index }))));
  expect(tilesOf(8)).toContain("<b>93.0000</b><span>training, last step</span>");
  expect(tilesOf(40)).toContain("<b>62.5000</b><span>training, mean of 4 steps</span>");
  expect(tilesOf(40)).toContain("<b>1.00K</b><span>with padding; 4.00K scored in all</span>");
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
  const data = JSON.parse(/<script id="page-data" type="application\/json">(.*?)<\/script>/s.exec(html)?.[1] ?? "");
  expect(data.events).toBeNull();
  expect(data.runs[0].steps).toMatchObject({ step: [1, 2, 3, 4], loss: [9, 8, 7, 6], gradNorm: [1, 2, 3, 4] });
  expect(data.runs[0].evals).toEqual([
    { step: 0, loss: 9.5 },
    { step: 4, loss: 6.4 },
  ]);
  expect(html).not.toMatch(/\b(src|href)=|@import|url\(/);
  expect(html).toContain("var uPlot=");
});

test("the page allows its own two scripts, by their hashes, and nothing else", async () => {
  const html = await renderReport({ title: "run", settings: {}, records });
  const policy = /Content-Security-Policy" content="([^"]*)"/.exec(html)?.[1];
  const scripts = [...html.matchAll(/<script>(.*?)<\/script>/gs)].map(([, script]) => script!);
  expect(scripts).toHaveLength(2);
  const hashes = scripts.map((script) => `'sha256-${createHash("sha256").update(script).digest("base64")}'`);
  expect(policy).toBe(`default-src 'none'; style-src 'unsafe-inline'; script-src ${hashes.join(" ")}; base-uri 'none'`);
});

test("a run that has only begun gives a page too", async () => {
  const html = await renderReport({ title: "run", settings: {}, records: [] });
  expect(html).toContain("not finished");
});

/** The cells of the tables in the card of a title, row by row; undefined without that card. */
function tableOf(html: string, title: string): string[][] | undefined {
  const card = new RegExp(`<(?:h2|summary)>${title}</(?:h2|summary)>(.*?)</(?:section|details)>`, "s").exec(html)?.[1];
  const text = (cell: string): string => cell.replace(/<[^>]*>/g, "");
  return card
    ?.match(/<tr.*?<\/tr>/gs)
    ?.map((row) => [...row.matchAll(/<(t[dh])[^>]*>(.*?)<\/\1>/gs)].map(([, , cell]) => text(cell!)));
}

const render = (of: readonly MetricsRecord[]): Promise<string> =>
  renderReport({ title: "run", settings: {}, records: of });

test("the tables of a run on quantized weights hold all totals, and means by kind of layer", async () => {
  const html = await render([start, ...records.slice(0, 3), quantize, quantizedMerge, end]);
  expect(tableOf(html, "Merges")).toEqual([
    ["Cycle", "Step", "Loss before", "Loss after", "|ΔW|", "Recovered", "Codes changed", "Logits moved", "Rank"],
    ["1", "4", "6.5000", "6.4875", "5.000", "99.8%", "12.5%", "2.5e-1", "30 (2 layers)"],
  ]);
  expect(tableOf(html, "Last merge by kind of layer")).toEqual([
    ["Kind", "Layers", "|ΔW|", "Recovered", "Codes changed", "Rank"],
    ["q_proj", "2", "4.000", "85%", "20%", "10.0"],
    ["v_proj", "2", "5.000", "105%", "20%", "20.0"],
  ]);
  expect(tableOf(html, "Layers at the last merge")?.slice(0, 2)).toEqual([
    ["Layer", "|ΔW|", "Recovered", "Codes changed", "First rank", "Last rank"],
    ["layers.0.q_proj", "3.000", "90%", "10%", "10", "10"],
  ]);
  expect(tableOf(html, "Layers at the last merge")?.[4]).toEqual(["layers.1.v_proj", "6.000", "100%", "–", "–", "–"]);
  expect(tableOf(html, "Quantization")).toEqual([
    ["Kind", "Layers", "Relative error", "Largest error"],
    ["q_proj", "2", "9%", "0.04000"],
    ["v_proj", "1", "9%", "0.02000"],
  ]);
  expect(html).toContain(
    "To nf4 in blocks of 64, after step 2: 1.50 MiB. Held-out loss 7.5000 before and 7.4853 after",
  );
  expect(html).toContain("after (-0.0147). The relative error ‖W − Ŵ‖ / ‖W‖ is 9.12% over all layers");
  expect(html).toContain("(policy: requantize)");
  expect(tableOf(html, "Summary")).toContainEqual(["Base", "nf4 in blocks of 64"]);
  expect(tableOf(html, "Summary")).toContainEqual(["Merges", "1, rank 30 in 2 layers (15.0 a layer)"]);
});

test("a base that was quantized without an evaluation before shows the loss after only", async () => {
  const html = await render([start, { ...quantize, step: 0, lossBefore: null }]);
  expect(html).toContain("To nf4 in blocks of 64, before the first step: 1.50 MiB. Held-out loss 7.4853 after. ");
  expect(tableOf(html, "Merges")).toBeUndefined();
});

test("a float32 run shows nothing of quantization, and a run without merges nothing of merges", async () => {
  const floatStart = { ...start, quantizer: null };
  const merged = await render([floatStart, ...records, end]);
  expect(tableOf(merged, "Merges")?.[0]).toEqual([
    ...["Cycle", "Step", "Loss before", "Loss after", "|ΔW|", "Logits moved", "Rank"],
  ]);
  expect(tableOf(merged, "Layers at the last merge")?.[0]).toEqual(["Layer", "|ΔW|", "First rank", "Last rank"]);
  for (const word of ["Recovered", "Codes", "Base</th>", "uantiz", "policy", "by kind"]) {
    expect(merged, word).not.toContain(word);
  }
  const [unmerged] = (await render([floatStart, step(1), step(2), end])).split("<script");
  expect(unmerged).not.toMatch(/merge/i);
});

test("the memory table sets the estimate by part against the measured peak", async () => {
  const html = await render([start, end]);
  expect(tableOf(html, "Memory")?.map(([name, bytes]) => [name, bytes])).toEqual([
    ["Program", "160 MiB"],
    ["Data and tokenizer", "96.0 MiB"],
    ["Base weights", "24.0 MiB"],
    ["Gradients", "30.0 MiB"],
    ["Optimizer state", "60.0 MiB"],
    ["Activations", "30.0 MiB"],
    ["Estimate in all", "400 MiB"],
    ["Measured peak", "500 MiB"],
  ]);
  const bars = [...html.matchAll(/margin-left:([\d.]+)%;width:([\d.]+)%/g)].map(([, at, width]) => [+at!, +width!]);
  expect(bars).toEqual([
    [0, 32],
    [32, 19.2],
    [51.2, 4.8],
    [56, 6],
    [62, 12],
    [74, 6],
    [0, 80],
    [0, 100],
  ]);
  expect(html).toContain("16.0 GiB were available");
  expect(tableOf(await render([start]), "Memory")?.at(-1)?.[0]).toBe("Estimate in all");
  const [unmeasured] = (await render([start, { ...end, peakMemoryBytes: 0 }])).split("<script");
  expect(unmeasured).not.toMatch(/as measured|Measured peak|Peak memory|>0 B/);
});

test("what the numbers warn of stands first", async () => {
  const rising = [step(1), ...Array.from({ length: 20 }, (_, index) => step(index + 2, { loss: 60 }))];
  const html = await render([start, ...rising, end]);
  const [head] = html.split('<dl id="facts">');
  expect(head).toMatch(/<li>Training made the model worse: its loss rose from 9.0000 to 60.0000/);
  expect((await render([start, ...records, end])).split('<dl id="facts">')[0]).not.toContain("<li>");
});

test("the summary tells method, rate, batch and tokens a second", async () => {
  const outline = {
    ...{ job: "from scratch", method: "LoRA of rank 8", rate: "2e-3, falling", batchSize: 2, totalBatchSize: 8 },
    ...{ maxSteps: 8, epochs: 0.5, stepsPerEpoch: 16, rowsPerEpoch: 128, rowLength: 64, padding: 0, hasCycles: false },
    ...{ heldOutSamples: null, heldOutTokens: 10, heldOut: "drawn", evaluated: 1, evaluations: "at the end" },
    ...{ unreachableLoss: null, isRough: false, prompt: undefined, isChat: undefined },
  };
  const rows = tableOf(await render([{ ...start, outline }, ...records, end]), "Summary");
  for (const row of [
    ["Method", "LoRA of rank 8 (from scratch)"],
    ["Learning rate", "2e-3, falling"],
    ["Batch", "8 rows of 64 tokens, 2 at a time; 0.5000 epochs"],
    ["Tokens a second", "200, evaluations included"],
  ]) {
    expect(rows).toContainEqual(row);
  }
});
