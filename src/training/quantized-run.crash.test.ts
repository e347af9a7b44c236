import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { animalText } from "../../tests/animal-text.js";
import { MERGE_POLICIES } from "../adapters/merge-policies.js";
import { completeSettings, resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { readSafetensors } from "../files/safetensors.js";
import { HeldOutLoss } from "../programs/held-out.js";
import type { CheckpointName } from "../runs/checkpoint.js";
import type { MetricsRecord } from "../runs/metrics.js";
import { clearEvaluationCache } from "../runtime/evaluate.js";
import { loadTarget } from "../verbs/target.js";
import { prepareRun } from "./prepare.js";
import { resume } from "./resume.js";
import { train } from "./train.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-quantized-"));
  await writeFile(path.join(folder, "text.txt"), animalText());
});
afterAll(async () => {
  await clearEvaluationCache();
  await rm(folder, { recursive: true });
});

function settingsOf(out: string, change: Partial<Settings>): Settings {
  const flags = {
    model: "tiny",
    data: path.join(folder, "text.txt"),
    quantize: "nf4",
    rank: 4,
    vocabSize: 300,
    batchSize: 4,
    sequenceLength: 32,
    maxSteps: 12,
    warmStartSteps: 3,
    reloraEvery: 3,
    lr: 3e-3,
    adapterLr: 2e-2,
    evalEvery: 4,
    evalTokens: 500,
    sampleTokens: 0,
    saveEvery: 4,
    threads: 1,
    out,
    ...change,
  };
  return completeSettings(resolveSettings({ flags }));
}

async function run(name: string, change: Partial<Settings> = {}, stopAfter = Number.POSITIVE_INFINITY) {
  const settings = settingsOf(path.join(folder, name), change);
  const records: MetricsRecord[] = [];
  let steps = 0;
  const stopRequested = () => ++steps >= stopAfter;
  await train(settings, { onRecord: (record) => void records.push(record), stopRequested });
  return { settings, records, out: settings.out! };
}

function ofKind<K extends MetricsRecord["kind"]>(records: readonly MetricsRecord[], kind: K) {
  return records.filter((record): record is Extract<MetricsRecord, { kind: K }> => record.kind === kind);
}

/** The loss of a loaded run on the very batches that its evaluations used. */
async function lossOf(target: string, settings: Settings, checkpoint?: CheckpointName): Promise<number> {
  const { model } = await loadTarget(target, { base: null, adapter: true, ...(checkpoint && { checkpoint }) });
  const { heldOut } = await prepareRun(settings);
  const { batchSize, sequenceLength, lossChunk, device } = settings;
  const shape = { batchSize, sequenceLength, lossChunk, device, threads: 1 };
  const program = await HeldOutLoss.compile(model, shape);
  const { loss } = await program.run(heldOut);
  await program.release();
  return loss;
}

test("a run quantizes after the warm start, says what that costs, and takes up its merges", async () => {
  const { records, out } = await run("default", { doubleQuant: true, quantBlockSize: 32 });
  const name = "nf4 in blocks of 32, double quantization";
  expect(records[0]).toMatchObject({ kind: "start", quantizer: name, parameters: 300 * 64 * 2 + 2 * 50_304 + 64 });
  const [quantized] = ofKind(records, "quantize");
  expect(quantized).toMatchObject({ step: 3, quantizer: name });
  expect(quantized!.lossBefore).toBe(ofKind(records, "eval").find(({ step }) => step === 3)!.loss);
  expect(quantized!.lossAfter).not.toBe(quantized!.lossBefore);
  expect(quantized!.layers).toHaveLength(14);
  expect(quantized!.relativeError).toBeGreaterThan(0.05);
  expect(quantized!.relativeError).toBeLessThan(0.12);
  const merges = ofKind(records, "merge");
  expect(merges.map(({ step }) => step)).toEqual([6, 9, 12]);
  for (const { policy, recovered, codesChanged, layers, lossBefore, lossAfter } of merges.slice(0, -1)) {
    expect(policy).toBe("delta-log");
    expect(Math.abs(recovered - 1)).toBeLessThan(0.05);
    expect(codesChanged).toBeGreaterThan(0.05);
    expect(layers.every((layer) => layer.codesChanged! > 0 && Math.abs(layer.recovered - 1) < 0.2)).toBe(true);
    expect(Math.abs(lossAfter - lossBefore)).toBeLessThan(0.05);
  }
  // The last cycle goes to the log alone.
  const { loss } = ofKind(records, "eval").at(-1)!;
  expect(merges.at(-1)).toMatchObject({ policy: null, recovered: 1, codesChanged: null });
  expect([merges.at(-1)!.lossBefore, merges.at(-1)!.lossAfter]).toEqual([loss, loss]);
  expect(await readdir(path.join(out, "deltas"))).toHaveLength(3);
});

describe.each([...MERGE_POLICIES])("with the policy %s", (mergePolicy) => {
  test("a stopped run is loaded as it was, in the middle of a cycle and after merges", async () => {
    const { settings, records } = await run(`stopped-${mergePolicy}`, { mergePolicy, evalEvery: 1, dropout: 0.1 }, 11);
    expect(ofKind(records, "merge")).toHaveLength(2);
    const last = ofKind(records, "eval").at(-1)!;
    expect(last.step).toBe(11);
    expect(await lossOf(settings.out!, settings)).toBe(last.loss);
  });

  test("a finished run's model has the loss of its weights, and its adapter on the base as well", async () => {
    const { settings, records, out } = await run(`finished-${mergePolicy}`, { mergePolicy });
    const last = ofKind(records, "eval").at(-1)!.loss;
    const model = await lossOf(out, settings);
    // What trains is rounded to 4 bits, what is saved is not.
    expect(Math.abs(model - last)).toBeLessThan(0.03);
    expect(ofKind(records, "end")).toMatchObject([{ losses: { trained: last, exact: model } }]);
    const adapter = await lossOf(path.join(out, "adapter"), settings);
    if (mergePolicy === "delta-log" || mergePolicy === "residual") expect(adapter).toBeCloseTo(model, 5);
    await rm(path.join(out, "model"), { recursive: true });
    expect(await lossOf(out, settings)).toBe(last);
    // From its last checkpoint, the same model to the bit, or to what another order of sums does.
    await resume(out);
    expect(await lossOf(out, settings)).toBe(model);
  });
});

test.each(["residual", "error-feedback"] as const)(
  "with %s, a run that is made longer goes on as if it had always been as long",
  async (mergePolicy) => {
    const change = { mergePolicy, schedule: "constant", maxSteps: 12 } as const;
    const whole = await run(`whole-${mergePolicy}`, change);
    const { out, records } = await run(`longer-${mergePolicy}`, { ...change, maxSteps: 9 });
    await resume(out, { changes: { maxSteps: 12 } }, { onRecord: (record) => void records.push(record) });
    const steps = (all: readonly MetricsRecord[]) => ofKind(all, "step").map(({ step, loss }) => [step, loss]);
    expect(steps(records)).toEqual(steps(whole.records));
    expect(ofKind(records, "eval").at(-1)!.loss).toBe(ofKind(whole.records, "eval").at(-1)!.loss);
  },
);

test.each(["delta-log", "requantize"] as const)(
  "with %s, the best checkpoint is found by the trained weights",
  async (mergePolicy) => {
    const change = { mergePolicy, loadBest: true, evalEvery: 1, saveEvery: null } as const;
    const { settings, records, out } = await run(`best-${mergePolicy}`, change);
    const evals = ofKind(records, "eval").filter(({ step }) => step > 0);
    const best = evals.reduce((least, each) => (each.loss < least.loss ? each : least));
    const [end] = ofKind(records, "end");
    expect(end).toMatchObject({ modelStep: best.step, losses: { trained: best.loss } });
    expect(end!.losses!.exact).toBe(await lossOf(out, settings));
    expect(await lossOf(out, settings, "best")).toBe(best.loss);
  },
);

test("LoRA on int8 without a warm start keeps the base as the weights were drawn", async () => {
  const change = { method: "lora", quantize: "int8", warmStartSteps: 0, maxSteps: 4, warmupSteps: 0 } as const;
  const [quantized, float] = [await run("lora-int8", change), await run("lora-float", { ...change, quantize: "none" })];
  const weights = async (out: string, where: string) =>
    (await readSafetensors(path.join(out, where, "model.safetensors"))).tensors;
  expect(await weights(quantized.out, "base")).toEqual(await weights(float.out, "base"));
  expect(ofKind(quantized.records, "quantize")).toMatchObject([{ step: 0, lossBefore: null }]);
  const losses = (records: MetricsRecord[]) => ofKind(records, "step").map(({ loss }) => loss);
  losses(quantized.records).forEach((loss, i) => void expect(loss).toBeCloseTo(losses(float.records)[i]!, 2));
});

test("the same seed gives the same run", async () => {
  const losses = async (name: string) => {
    const { records } = await run(name, { mergePolicy: "stochastic", quantize: "fp4" });
    return records.flatMap((record) => (record.kind === "step" || record.kind === "eval" ? [record.loss] : []));
  };
  expect(await losses("first")).toEqual(await losses("second"));
});
