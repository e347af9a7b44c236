import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { inspectPath } from "../../../src/cli/inspect-files.js";
import { formatMetricsLine, type MetricsRecord } from "../../../src/runs/metrics.js";
import { expectThat, type FuzzTarget } from "../target.js";

const LAYER = { name: "model.layers.0.mlp.up_proj", deltaNorm: 3, recovered: 1, codesChanged: 0.5, rank: 10 };
const BYTES = { program: 1, data: 2, base: 3, adapters: 4, gradients: 5, optimizer: 6, activations: 7 };

/** One record of each kind. */
const RECORDS: readonly MetricsRecord[] = [
  {
    ...{
      kind: "start",
      step: 0,
      model: "tiny",
      parameters: 1000,
      trainableParameters: 500,
      quantizer: "nf4",
      memory: BYTES,
    },
    ...{
      availableMemoryBytes: 2 ** 34,
      device: "cpu, 2 threads",
      data: "a.txt",
      maxSteps: 8,
      plan: "8 steps",
      runFolder: "runs/a",
    },
  },
  {
    ...{ kind: "step", step: 1, tokens: 100, loss: 5, learningRate: 1e-3, gradNorm: 1, tokensPerSecond: 10 },
    ...{ cycle: 1, phase: "adapter" },
  },
  { kind: "eval", step: 1, loss: 2, perplexity: 7.389, tokens: 100, sample: "a\nb" },
  {
    ...{
      kind: "quantize",
      step: 1,
      quantizer: "nf4",
      lossBefore: null,
      lossAfter: 5.3,
      relativeError: 0.09,
      bytes: 1024,
    },
    layers: [{ name: LAYER.name, relativeError: 0.09, largestError: 0.01 }],
  },
  {
    ...{ kind: "merge", step: 4, cycle: 1, policy: null, lossBefore: 6.5, lossAfter: 6.5, deltaNorm: 5, recovered: 1 },
    ...{ codesChanged: null, probeLogitsChange: 2e-6, rank: 30, layers: [LAYER, { ...LAYER, rank: null }] },
  },
  { kind: "reset", step: 4, zeroedFraction: 1 },
  { kind: "skip", step: 5, reason: "gradient norm is NaN", inARow: 1, skipped: 1 },
  {
    kind: "end",
    step: 8,
    outcome: "done",
    modelStep: 8,
    tokens: 800,
    skipped: 1,
    seconds: 3.5,
    savingSeconds: 0.1,
    peakMemoryBytes: 2 ** 29,
  },
];

export const metrics: FuzzTarget = {
  name: "metrics",
  sources: ["runs/metrics"],
  writeSamples: async (folder) => {
    const run = path.join(folder, "run");
    await mkdir(run, { recursive: true });
    await writeFile(path.join(run, "metrics.jsonl"), RECORDS.map(formatMetricsLine).join(""));
    await writeFile(path.join(run, "config.resolved.json"), JSON.stringify({ method: "relora", model: "tiny" }));
  },
  run: async (folder) => {
    const found = await inspectPath(folder);
    if (found.kind !== "run") return;
    const { start, firstEval, lastEval, merges, end } = found;
    // What the command prints of them.
    for (const value of [found.step, found.tokens, firstEval?.loss, lastEval?.perplexity, end?.seconds]) {
      expectThat(value === undefined || typeof value === "number", `${JSON.stringify(value)} stands for a number`);
    }
    for (const { lossBefore, lossAfter, layers } of merges) {
      (lossAfter - lossBefore).toFixed(4);
      for (const { name, deltaNorm } of layers)
        expectThat(typeof name === "string" && typeof deltaNorm === "number", "a layer is none");
    }
    start?.plan.split(" ");
  },
};
