import { describe, expect, test } from "vitest";
import type { MergeRecord, QuantizeRecord, RunOutline, StartRecord, StepRecord } from "../runs/metrics.js";
import { headerLines, mergeLines, quantizeLines, stepLine } from "./live-lines.js";
import { type Style, shownText, styleFor, textWidth } from "./terminal.js";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

const silent = { isTTY: true, write: () => {} };
const plain: Style = styleFor(silent, { NO_COLOR: "1" });
const colored: Style = styleFor(silent, {});

const start: StartRecord = {
  kind: "start",
  step: 0,
  model: "llama tiny",
  parameters: 1_900_000,
  trainableParameters: 600_000,
  quantizer: "nf4 in blocks of 64, double quantization",
  memory: {
    program: 160 * MIB,
    data: 96 * MIB,
    base: 21 * MIB,
    adapters: 8 * MIB,
    gradients: 30 * MIB,
    optimizer: 61 * MIB,
    activations: 36 * MIB,
  },
  availableMemoryBytes: 18.2 * GIB,
  device: "cpu, 2 threads",
  data: "builtin:wordnet, 3.1M tokens",
  maxSteps: 600,
  plan: "200 full-rank steps, then 400 steps with adapters; 4 merges, after steps 300, 400, 500, 600",
  runFolder: "runs/first",
};

const quantize: QuantizeRecord = {
  kind: "quantize",
  step: 200,
  quantizer: "nf4 in blocks of 64",
  lossBefore: 5.35951,
  lossAfter: 5.37424,
  relativeError: 0.0912,
  bytes: 1.9 * MIB,
  layers: [{ name: "model.layers.0.self_attn.q_proj", relativeError: 0.0912, largestError: 0.013 }],
};

const layer = { name: "model.layers.0.self_attn.q_proj", deltaNorm: 5.2, recovered: 0.998, codesChanged: 0.12 };
const merge: MergeRecord = {
  kind: "merge",
  step: 300,
  cycle: 1,
  policy: "requantize",
  lossBefore: 4.92614,
  lossAfter: 4.93119,
  deltaNorm: 27.411988,
  recovered: 0.998,
  codesChanged: 0.12,
  probeLogitsChange: 0.01,
  rank: 835,
  layers: [
    { ...layer, rank: 500 },
    { ...layer, rank: 335 },
  ],
};
const floatMerge: MergeRecord = { ...merge, policy: null, recovered: 1, codesChanged: null, lossAfter: 4.92614 };

/** Every line that these functions can make at a width. */
const everything = (columns: number, style: Style): string[] => [
  ...headerLines(start, columns, style),
  ...quantizeLines(quantize, columns, style),
  ...mergeLines(merge, columns, style),
  ...mergeLines({ ...merge, recovered: 0.014 }, columns, style),
  ...mergeLines(floatMerge, columns, style),
];

test("no line is wider than its terminal, and no number stands apart from its name", () => {
  for (const columns of [40, 60, 80, 100, 160]) {
    const lines = everything(columns, plain);
    for (const line of lines) expect(textWidth(line), line).toBeLessThanOrEqual(columns);
    const memory = headerLines(start, columns, plain).join("\n");
    for (const part of ["program 160", "data 96", "base 21", "adapters 8", "optimizer 61", "activations 36 (MiB)"]) {
      expect(memory).toContain(part);
    }
  }
});

test("colour changes no text", () => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control sequences
  const withoutColor = (line: string): string => shownText(line).replace(/\u001b\[\d+m/g, "");
  expect(everything(80, colored).map(withoutColor)).toEqual(everything(80, plain));
  expect(everything(80, plain).join("")).not.toContain("\u001b");
});

describe("the header", () => {
  const header = (over: Partial<StartRecord>, style = plain): string =>
    headerLines({ ...start, ...over }, 80, style).join("\n");

  test("shows how the base is held and what takes how much memory", () => {
    expect(
      headerLines(start, 80, plain)
        .filter((_, line) => line < 2 || line > 4)
        .slice(0, 5),
    ).toEqual([
      "model   llama tiny, 1.90M parameters, 600K trainable (31.6%)",
      "base    nf4 in blocks of 64, double quantization",
      "memory  about 412 MiB of 18.2 GiB available: program 160, data 96, base 21,",
      "        adapters 8, gradients 30, optimizer 61, activations 36 (MiB)",
      "device  cpu, 2 threads",
    ]);
  });

  test("of a float32 base has no line for it", () => {
    expect(header({ quantizer: null })).not.toMatch(/^base/m);
  });

  test("leaves out what takes no memory, and does not round the small to nothing", () => {
    const memory = { ...start.memory, adapters: 0, data: 100 };
    expect(header({ memory })).toContain("data <1, base 21,\n        gradients 30,");
  });

  test("counts large parts in GiB", () => {
    const memory = { ...start.memory, base: 12.34 * GIB, adapters: 10 * MIB };
    expect(header({ memory })).toContain(
      "about 12.7 GiB of 18.2 GiB available: program 0.2, data 0.1, base 12.3,\n        adapters <0.1,",
    );
    expect(header({ memory })).toContain("(GiB)");
  });

  test("says so when the estimate is more than there is", () => {
    const short = { availableMemoryBytes: 400 * MIB };
    expect(header(short)).toContain("memory  about 412 MiB, more than the 400 MiB available: program 160,");
    expect(header(short, colored)).toContain(colored.yellow("memory"));
    expect(header({}, colored)).toContain(colored.dim("memory"));
  });
});

describe("the line of a quantization", () => {
  test("shows the error, the loss and the size in 80 columns", () => {
    expect(quantizeLines(quantize, 80, plain)).toEqual([
      "quant   nf4 in blocks of 64  error 9.12%  loss 5.3595 -> 5.3742  1.90 MiB",
    ]);
  });

  test("leaves out a loss before that is not known, and goes on below where it is too long", () => {
    const double = { ...quantize, quantizer: start.quantizer! };
    expect(quantizeLines({ ...double, lossBefore: null }, 80, plain)).toEqual([
      "quant   nf4 in blocks of 64, double quantization  error 9.12%  loss 5.3742",
      "        1.90 MiB",
    ]);
  });
});

describe("the line of a merge", () => {
  test("on float32 weights is what it always was", () => {
    expect(mergeLines(floatMerge, 80, plain)).toEqual([
      "merge   cycle 1  loss 4.9261 -> 4.9261  |ΔW| 27.41  rank 835 (417.5 a layer)",
    ]);
  });

  test("on quantized weights says what they took up", () => {
    expect(mergeLines(merge, 80, plain)).toEqual([
      "merge   cycle 1  loss 4.9261 -> 4.9312  |ΔW| 27.41  rank 835 (417.5 a layer)",
      "        recovered 99.8%  codes changed 12%",
    ]);
    expect(mergeLines(merge, 120, plain)).toHaveLength(1);
  });

  test.each([
    [-0.1, "recovered -10%, largely lost"],
    [0.499, "recovered 49.9%, largely lost"],
    [1.501, "recovered 150%, far too much"],
  ])("warns of a recovered share of %s", (recovered, text) => {
    const record = { ...merge, recovered };
    expect(mergeLines(record, 80, plain)[1]).toBe(`        ${text}  codes changed 12%`);
    expect(mergeLines(record, 80, colored)[1]).toBe(`        ${colored.yellow(text)}  codes changed 12%`);
  });

  test.each([0.5, 1, 1.5])("does not warn of a recovered share of %s", (recovered) => {
    expect(shownText(mergeLines({ ...merge, recovered }, 80, colored).join(""))).not.toContain("\u001b[33m");
  });

  test("counts only the layers whose rank is known", () => {
    const [first, second] = merge.layers;
    const some = { ...floatMerge, rank: 335, layers: [{ ...first!, rank: null }, second!] };
    expect(mergeLines(some, 120, plain)[0]).toContain("rank 335 in 1 layer (335.0 a layer)");
    const none = { ...floatMerge, rank: 0, layers: some.layers.map((known) => ({ ...known, rank: null })) };
    expect(mergeLines(none, 120, plain)[0]).not.toContain("rank");
  });
});

test("the head of a run says job, rate, rows, steps and what is held out", () => {
  const outline: RunOutline = {
    job: "fine-tune",
    method: "LoRA of rank 16, alpha 32 on all 210 linear layers",
    rate: "1e-3, falling linearly to 0, after 10 steps of warm-up",
    batchSize: 4,
    totalBatchSize: 8,
    maxSteps: 109,
    epochs: 3,
    stepsPerEpoch: 36.25,
    rowsPerEpoch: 290,
    rowLength: 64,
    padding: 0.123,
    prompt: "The",
    isChat: false,
    heldOutSamples: 10,
    heldOutTokens: 560,
    heldOut: "drawn from the data (3.3%, seed 0)",
    evaluated: 1,
    evaluations: "evaluated every 11 steps",
    unreachableLoss: 2.91,
    hasCycles: false,
    isRough: true,
  };
  const lines = headerLines({ ...start, quantizer: null, outline }, 200, plain);
  expect(lines).toEqual([
    "model   llama tiny, 1.90M parameters, 600K trainable (31.6%)",
    "job     fine-tune: LoRA of rank 16, alpha 32 on all 210 linear layers",
    "rate    1e-3, falling linearly to 0, after 10 steps of warm-up",
    "data    builtin:wordnet, 3.1M tokens",
    "rows    64 tokens each, 12.3% padding; 8 a step, 4 at a time",
    "steps   109: 3 epochs of 36.3",
    "valid   10 samples held out, drawn from the data (3.3%, seed 0); evaluated every 11 steps; so few that the loss on them is rough",
    expect.stringMatching(/^needs {3}--train-modules embeddings,norms,head: .* loss stays above about 2\.9$/),
    expect.stringMatching(/^memory {2}about 412 MiB/),
    "device  cpu, 2 threads",
    "run     runs/first",
  ]);
  const small = { ...start, outline: { ...outline, epochs: 436, stepsPerEpoch: 0.25 } };
  expect(headerLines(small, 80, plain)).toContain("steps   109: 436 epochs, 4 in each step");
  for (const columns of [40, 80]) {
    for (const line of headerLines({ ...start, outline }, columns, plain))
      expect(textWidth(line)).toBeLessThanOrEqual(columns);
  }
});

test("tokens a second are those computed, with the scored ones beside them where these are fewer", () => {
  const record: StepRecord = {
    ...{ kind: "step", step: 3, tokens: 100, loss: 2, learningRate: 1e-3, gradNorm: 1, cycle: 1, phase: "adapter" },
    ...{ tokensPerSecond: 300, computedPerSecond: 900 },
  };
  const line = (change: Partial<StepRecord>) =>
    stepLine({ ...record, ...change }, { maxSteps: 9, secondsLeft: undefined, columns: 100 }, plain);
  expect(line({})).toContain("900 tok/s  300 scored");
  expect(line({ computedPerSecond: 300 })).toContain("300 tok/s  cycle");
  expect(line({ computedPerSecond: undefined })).toContain("300 tok/s  cycle");
});

test("a loss that was not measured is left out", () => {
  const [line] = mergeLines({ ...floatMerge, lossBefore: Number.NaN, lossAfter: Number.NaN }, 100, plain);
  expect(line).toMatch(/^merge +cycle 1 {2}\|ΔW\| /);
});
