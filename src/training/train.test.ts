import { mkdtemp, readdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { animalText } from "../../tests/animal-text.js";
import { ConfigError, DataError, NumericError } from "../base/errors.js";
import { resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { readSafetensors } from "../files/safetensors.js";
import { readModelFolder } from "../formats/model-folder.js";
import { readCheckpoint } from "../runs/checkpoint.js";
import { formatMetricsLine, type MetricsRecord } from "../runs/metrics.js";
import { parseRunState } from "../runs/run-state.js";
import { clearEvaluationCache } from "../runtime/evaluate.js";
import { liveSessionCount } from "../runtime/session.js";
import { evaluateTarget } from "../verbs/evaluate.js";
import { generateText } from "../verbs/generate.js";
import type { TrainResult } from "./ending.js";
import { type TrainOptions, train } from "./train.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-train-"));
  await writeFile(path.join(folder, "text.txt"), animalText());
});
afterAll(() => rm(folder, { recursive: true }));

const SMALL: Partial<Settings> = {
  model: "tiny",
  rank: 4,
  vocabSize: 300,
  batchSize: 4,
  sequenceLength: 32,
  maxSteps: 12,
  warmStartSteps: 3,
  reloraEvery: 3,
  lr: 3e-3,
  adapterLr: 2e-2,
  evalEvery: 6,
  evalTokens: 500,
  sampleTokens: 4,
  saveEvery: 5,
  threads: 1,
};

interface Outcome {
  readonly result: TrainResult;
  readonly records: MetricsRecord[];
  readonly out: string;
}

async function run(name: string, change: Partial<Settings> = {}, options: TrainOptions = {}): Promise<Outcome> {
  const out = path.join(folder, name);
  const flags = { ...SMALL, data: path.join(folder, "text.txt"), out, ...change };
  const records: MetricsRecord[] = [];
  const settings = resolveSettings({ flags });
  const result = await train(settings, { ...options, onRecord: (record) => records.push(record) });
  return { result, records, out };
}

function ofKind<K extends MetricsRecord["kind"]>(records: readonly MetricsRecord[], kind: K) {
  return records.filter((record): record is Extract<MetricsRecord, { kind: K }> => record.kind === kind);
}

function heldOut(model: string) {
  const options = { data: path.join(folder, "text.txt"), batchSize: 4, sequenceLength: 32, maxTokens: null };
  return evaluateTarget(model, { ...options, base: null, adapter: true, device: "cpu", threads: 1 });
}

test("relora warms up, merges without changing the model, and leaves a Hugging Face folder", async () => {
  const { result, records, out } = await run("relora");
  expect(result).toMatchObject({
    outcome: "done",
    step: 12,
    tokens: 12 * 4 * 32,
    modelFolder: path.join(out, "model"),
  });

  expect(records[0]).toMatchObject({ kind: "start", maxSteps: 12, runFolder: out });
  expect(records.at(-1)).toMatchObject({ kind: "end", outcome: "done", step: 12 });
  expect(await readFile(path.join(out, "metrics.jsonl"), "utf8")).toBe(records.map(formatMetricsLine).join(""));

  const steps = ofKind(records, "step");
  expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  expect(steps.map(({ phase }) => phase)).toEqual([...Array(3).fill("warm-start"), ...Array(9).fill("adapter")]);
  expect(steps.map(({ cycle }) => cycle)).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]);
  for (const { phase, learningRate, learningRates } of steps) {
    const weights = learningRate * (SMALL.lr! / SMALL.adapterLr!);
    const rates = { weights: expect.closeTo(weights, 12), adapters: learningRate };
    expect(learningRates).toEqual(phase === "adapter" ? rates : undefined);
  }
  const merges = ofKind(records, "merge");
  expect(merges.map(({ step }) => step)).toEqual([6, 9, 12]);
  for (const { lossBefore, lossAfter, probeLogitsChange, deltaNorm, layers } of merges) {
    expect(Math.abs(lossAfter - lossBefore)).toBeLessThan(1e-4);
    expect(probeLogitsChange).toBeLessThan(1e-4);
    expect(deltaNorm).toBeCloseTo(Math.hypot(...layers.map((layer) => layer.deltaNorm)), 10);
    expect(deltaNorm).toBeGreaterThan(0.01);
    expect(layers).toHaveLength(14);
  }
  expect(ofKind(records, "reset")).toEqual([
    { kind: "reset", step: 6, zeroedFraction: 1 },
    { kind: "reset", step: 9, zeroedFraction: 1 },
  ]);
  const evals = ofKind(records, "eval");
  expect(evals.map(({ step }) => step)).toEqual([0, 3, 6, 12]);
  expect(evals.map(({ loss }) => loss)).toEqual(evals.map(({ loss }) => loss).sort((a, b) => b - a));
  expect(evals.at(-1)!.loss).toBeLessThan(evals[1]!.loss);

  expect((await readdir(out)).sort()).toEqual(
    [
      ...["adapter", "base", "best", "checkpoint-000010", "checkpoint-000012", "config.resolved.json", "deltas"],
      ...["env.json", "last", "metrics.jsonl", "model", "report.html"],
    ].sort(),
  );
  expect((await readdir(path.join(out, "model"))).sort()).toEqual([
    ...["README.md", "checksums.json", "config.json", "generation_config.json", "model.safetensors"],
    ...["tokenizer.json", "tokenizer_config.json"],
  ]);
  expect((await readFile(path.join(out, "best"), "utf8")).trim()).toBe("checkpoint-000012");
});

test("the base and the logged cycles give the finished weights, and so does the PEFT adapter on the base", async () => {
  const out = path.join(folder, "relora");
  const [base, model] = [await readModelFolder(path.join(out, "base")), await readModelFolder(path.join(out, "model"))];
  const name = "model.layers.1.mlp.down_proj";
  const sum = Float64Array.from(base.tensors.get(`${name}.weight`)!.data);
  for (const cycle of [1, 2, 3]) {
    const { tensors, metadata } = await readSafetensors(path.join(out, `deltas/cycle-00000${cycle}.safetensors`));
    const half = (letter: string) => tensors.get(`base_model.model.${name}.lora_${letter}.weight`)!;
    addProduct(sum, half("B").data, half("A").data, SMALL.rank!, Number(metadata.scaling));
  }
  for (const [i, weight] of model.tensors.get(`${name}.weight`)!.data.entries()) expect(weight).toBeCloseTo(sum[i]!, 5);

  const [whole, adapted] = [await heldOut(out), await heldOut(path.join(out, "adapter"))];
  expect(adapted.loss).toBeCloseTo(whole.loss, 5);
  expect((await heldOut(path.join(out, "base"))).loss).toBeGreaterThan(whole.loss + 0.01);
});

/** sum += scaling · B · A, B (out, rank), A (rank, in). */
function addProduct(
  sum: Float64Array,
  b: ArrayLike<number>,
  a: ArrayLike<number>,
  rank: number,
  scaling: number,
): void {
  const inFeatures = a.length / rank;
  for (let i = 0; i < sum.length; i++) {
    const [row, column] = [Math.floor(i / inFeatures), i % inFeatures];
    for (let k = 0; k < rank; k++) sum[i]! += scaling * b[row * rank + k]! * a[k * inFeatures + column]!;
  }
}

test("threads and repetition leave every bit of the weights as they are; the seed does not", async () => {
  const weights = (out: string) => readFile(path.join(out, "model/model.safetensors"));
  const first = await weights(path.join(folder, "relora"));
  const again = await run("two-threads", { threads: 2 });
  expect((await weights(again.out)).equals(first)).toBe(true);
  const other = await run("other-seed", { seed: 1 });
  expect((await weights(other.out)).equals(first)).toBe(false);
});

test("lora trains adapters and leaves frozen weights at the base until it merges them at the end", async () => {
  const change = { method: "lora", warmStartSteps: 0, trainModules: ["norms"], dropout: 0.1 } as const;
  const { records, out } = await run("lora", change);
  expect(ofKind(records, "merge").map(({ step, cycle }) => [step, cycle])).toEqual([[12, 1]]);
  expect(ofKind(records, "reset")).toEqual([]);
  const [base, model] = [await readModelFolder(path.join(out, "base")), await readModelFolder(path.join(out, "model"))];
  const changed = [...model.tensors].filter(([name, { data }]) => {
    const before = base.tensors.get(name)!.data;
    return data.some((value, i) => value !== before[i]);
  });
  const isTrained = (name: string): boolean => /_proj\.weight$|norm\.weight$/.test(name);
  expect(changed.map(([name]) => name)).toEqual([...model.tensors.keys()].filter(isTrained));
  const { tensors } = await readSafetensors(path.join(out, "adapter/adapter_model.safetensors"));
  expect(tensors.get("base_model.model.model.layers.0.mlp.up_proj.lora_A.weight")!.shape).toEqual([4, 64]);
});

test("full trains without adapters, and micro-batches change the sum of nothing", async () => {
  const change = { method: "full", maxSteps: 4, saveEvery: null } as const;
  const [whole, parts] = [
    await run("full", change),
    await run("parts", { ...change, batchSize: 2, totalBatchSize: 4 }),
  ];
  expect(await readdir(whole.out)).not.toContain("adapter");
  const losses = ({ records }: Outcome) => ofKind(records, "step").map(({ loss }) => loss);
  for (const [i, loss] of losses(parts).entries()) expect(loss).toBeCloseTo(losses(whole)[i]!, 4);
  expect(parts.result.tokens).toBe(whole.result.tokens);
});

test("a stopped run saves a checkpoint that evaluates as the run did", async () => {
  let steps = 0;
  const { result, records, out } = await run("stopped", {}, { stopRequested: () => ++steps === 8 });
  expect(result).toMatchObject({ outcome: "stopped", step: 8, modelFolder: null });
  expect(result.checkpoint).toBe(path.join(out, "checkpoint-000008"));
  expect(records.at(-1)).toMatchObject({ kind: "end", outcome: "stopped", step: 8 });
  const { state, tensorFiles } = await readCheckpoint(out, "last");
  expect(state).toMatchObject({ phase: "adapter", cycle: 2, tokens: 8 * 128, seed: 0 });
  const { dataPosition, deltas } = parseRunState(state, "state");
  expect(dataPosition.epoch).toBeGreaterThanOrEqual(0);
  expect(deltas).toHaveLength(1);
  expect(tensorFiles.optimizer!.size).toBe(2 * tensorFiles.trainable!.size);
  // Steps of weights count on from the warm start; those of adapters begin anew with each cycle.
  expect(state.optimizerSteps).toMatchObject({
    "model.embed_tokens.weight": 8,
    "model.layers.0.self_attn.q_proj.adapter.loraA": 2,
  });
  const [checkpoint, adapter] = [await heldOut(out), await heldOut(path.join(out, "adapter"))];
  expect(checkpoint.loss).toBeCloseTo(adapter.loss, 5);
  expect(checkpoint.loss).toBeLessThan((await heldOut(path.join(out, "base"))).loss);
});

test("a run stopped in its warm start can be evaluated too", async () => {
  const { out, records } = await run("stopped-early", { evalEvery: 2 }, { stopRequested: () => true });
  expect(ofKind(records, "end")[0]!.step).toBe(1);
  expect((await heldOut(out)).loss).not.toBe((await heldOut(path.join(out, "base"))).loss);
});

test("updates that are not finite are skipped and said, and too many of them stop the run", async () => {
  const change = {
    method: "full",
    lr: 1e38,
    warmupSteps: 0,
    clipGradNorm: null,
    maxBadSteps: 2,
    evalEvery: null,
  } as const;
  const found: MetricsRecord[] = [];
  const settings = { ...SMALL, data: path.join(folder, "text.txt"), out: path.join(folder, "diverged"), ...change };
  const running = train(resolveSettings({ flags: settings }), { onRecord: (record) => found.push(record) });
  await expect(running).rejects.toThrow(NumericError);
  await expect(running).rejects.toThrow(/diverged at step \d+: 3 updates in a row/);
  const skips = ofKind(found, "skip");
  expect(skips).toHaveLength(3);
  expect(skips[0]!.reason).toMatch(/NaN|Infinity/);
  expect(found.at(-1)).toMatchObject({ kind: "end", outcome: "diverged" });
});

test("generation continues a prompt with the run's model, the same for the same seed", async () => {
  const options = { base: null, adapter: true, device: "cpu", threads: 1, topK: null, topP: 1 } as const;
  const generate = (seed: number) =>
    generateText(path.join(folder, "relora"), {
      ...options,
      prompt: "The cat",
      maxNewTokens: 12,
      temperature: 1,
      seed,
    });
  const [one, same, other] = [await generate(1), await generate(1), await generate(2)];
  expect(one.text).toBe(same.text);
  expect(other.text).not.toBe(one.text);
});

test("a start that fails, and a dry run, leave nothing behind", async () => {
  await expect(run("bad-rank", { rank: 65 })).rejects.toThrow(/rank: 65 exceeds 14 of the targeted layers/);
  await expect(run("bad-target", { targetModules: ["q_prj"] })).rejects.toThrow(ConfigError);
  await expect(run("bad-data", { data: path.join(folder, "none.txt") })).rejects.toThrow(DataError);
  await expect(run("too-long", { sequenceLength: 1_000_000 })).rejects.toThrow(DataError);
  const model = await mkdtemp(path.join(tmpdir(), "highrank-no-model-"));
  await expect(run("bad-model", { model })).rejects.toThrow(/model\.safetensors/);
  await rmdir(model);
  const { result, records } = await run("dry", { dryRun: true });
  expect(result).toMatchObject({ outcome: "planned", step: 0, checkpoint: null });
  expect(records.map(({ kind }) => kind)).toEqual(["start"]);
  const left = await readdir(folder);
  for (const name of ["bad-rank", "bad-target", "bad-data", "too-long", "bad-model", "dry"]) {
    expect(left).not.toContain(name);
  }
});

test("a run that memory does not suffice for starts only where it is forced; a dry run says so and no more", async () => {
  const little = { availableMemoryBytes: 2 ** 20 };
  await expect(run("too-large", {}, little)).rejects.toThrow(/^memory: .*1\.00 MiB are at hand/);
  expect(await readdir(folder)).not.toContain("too-large");
  const { records } = await run("too-large", { dryRun: true }, little);
  expect(records[0]).toMatchObject({ kind: "start", availableMemoryBytes: 2 ** 20 });
  const change = { force: true, method: "lora", maxSteps: 1, warmStartSteps: 0, evalEvery: null } as const;
  expect((await run("forced", change, little)).result.outcome).toBe("done");
});

test("a finished model is where another run begins", async () => {
  const model = path.join(folder, "relora/model");
  const before = await run("dry-again", { dryRun: true, model });
  expect(before.records[0]).toMatchObject({ kind: "start" });
  const same = { maxSteps: 6, method: "relora", validationFraction: 0.02 } as const;
  const { records } = await run("more", { model, warmStartSteps: 0, ...same });
  const first = ofKind(records, "eval")[0]!;
  expect(first.loss).toBeCloseTo(ofKind((await run("relora-again", {})).records, "eval").at(-1)!.loss, 4);
});

test("no session outlives its run", async () => {
  await clearEvaluationCache();
  expect(liveSessionCount()).toBe(0);
});
