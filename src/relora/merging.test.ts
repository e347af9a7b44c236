import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { adaptersOf, mergeableLayers } from "../adapters/inject.js";
import type { LoRAAdapter } from "../adapters/lora-adapter.js";
import { completeSettings, resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { BatchCursor } from "../data/cursor.js";
import { StreamRows } from "../data/packing.js";
import { ALONE } from "../distributed/collective.js";
import type { CausalLM } from "../models/causal-lm.js";
import { LlamaForCausalLM } from "../models/llama.js";
import { llamaConfig } from "../models/llama-config.js";
import { liveSessionCount } from "../runtime/session.js";
import { Rng } from "../tensor/random.js";
import { trainTokenizer } from "../tokenizers/train-tokenizer.js";
import { CompiledPhase, type TrainedRun } from "./compiled-phase.js";
import { type Delta, readDeltas } from "./delta-log.js";
import { folderAt, type LayerWeight, MasterWeights } from "./master-weights.js";
import { type EndedCycle, endCycle } from "./merging.js";
import { planStep } from "./plan.js";
import { addAdapters } from "./settings-adapters.js";

const WIDTH = 8;
const [Q, UP] = ["model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj"];

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-merging-"));
});
afterAll(() => rm(folder, { recursive: true }));

interface Adapted {
  readonly run: TrainedRun;
  readonly phase: CompiledPhase;
  /** The run folder, of which there is only the delta log. */
  readonly log: string;
  /** Ends the cycle of that step. */
  readonly end: (step: number) => Promise<EndedCycle>;
}

/** A model whose q_proj and up_proj have adapters of scaling 2, in a run that ends a cycle every four steps. */
async function adapted(name: string, rank: number, change: Partial<Settings> = {}): Promise<Adapted> {
  const sizes = { vocabSize: 300, hiddenSize: WIDTH, intermediateSize: WIDTH, numLayers: 1, numHeads: 2 };
  const model = new LlamaForCausalLM(llamaConfig({ ...sizes, maxSequenceLength: 4 }), new Rng(0));
  const flags = { model: "tiny", method: "relora", rank, alpha: 2 * rank, targetModules: ["q_proj", "up_proj"] };
  const steps = { maxSteps: 12, reloraEvery: 4, warmStartSteps: 0, restartWarmupSteps: 1, warmupSteps: 1 };
  const shape = { batchSize: 1, sequenceLength: 3, threads: 1, trainModules: [], seed: 2 };
  const settings = completeSettings(resolveSettings({ flags: { ...flags, ...steps, ...shape, ...change } }));
  addAdapters(model, settings, new Rng(1));
  const tokens = Int32Array.from({ length: 31 }, (_, i) => (7 * i) % 300);
  const cursor = new BatchCursor(StreamRows.complete(tokens, 3), { batchSize: 1, seed: 0 });
  const [calibration, ...heldOut] = cursor.take(3);
  const tokenizer = trainTokenizer(["a b c"], { vocabSize: 257 });
  const shapes = { train: { batchSize: 1, sequenceLength: 3 }, heldOut: { batchSize: 1, sequenceLength: 3 } };
  const data = { cursor, shapes, calibration: calibration!, heldOut };
  const run = { settings, model, quantizer: null, tokenizer, ...data, threads: 1, ranks: ALONE };
  const phase = await CompiledPhase.compile(run);
  const log = path.join(folder, name);
  const weights = new Map([...mergeableLayers(model)].map(([name, { frozen }]) => [name, frozen.values().slice()]));
  const base: LayerWeight = async (layer) => weights.get(layer)!;
  const held: LayerWeight = (layer) => mergeableLayers(model).get(layer)!.exactWeight();
  const master = new MasterWeights(folderAt(log), { base, held });
  return { run, phase, log, end: (step) => endCycle(run, phase, planStep(step, settings), master) };
}

async function logged(log: string): Promise<Delta[]> {
  const deltas: Delta[] = [];
  for await (const delta of readDeltas(log)) deltas.push(delta);
  return deltas;
}

function loraOf(model: CausalLM, layer: string): LoRAAdapter {
  return adaptersOf(model).get(layer) as LoRAAdapter;
}

/** Makes ΔW of the layer diag(entries): A has ones on the diagonal, B the halved entries, for the scaling is 2. */
function setDiagonal({ run }: Adapted, layer: string, entries: readonly number[]): void {
  const { loraA, loraB, rank } = loraOf(run.model, layer);
  loraA.values.fill(0);
  for (const [i, entry] of entries.entries()) {
    loraA.values[i * WIDTH + i] = 1;
    loraB.values[i * rank + i] = entry / 2;
  }
}

test("a merge reports norms and counts the singular values of all cycles above a hundredth of the largest", async () => {
  const cycles = await adapted("norms", 3);
  const { phase, log } = cycles;
  setDiagonal(cycles, Q, [3, 4, 0.03]);
  setDiagonal(cycles, UP, [0, 0.012]);
  const evaluation = await phase.evaluate();
  const { report: first, zeroedFraction } = await cycles.end(4);
  expect(first).toMatchObject({ step: 4, cycle: 1, policy: null, rank: 3 });
  expect(first.layers.map(({ name, rank }) => [name, rank])).toEqual([
    [Q, 2],
    [UP, 1],
  ]);
  expect(first.layers[0]!.deltaNorm).toBeCloseTo(Math.hypot(3, 4, 0.03), 5);
  expect(first.deltaNorm).toBeCloseTo(Math.hypot(3, 4, 0.03, 0.012), 5);
  expect(first.lossBefore).toBe(evaluation.loss);
  expect(await phase.evaluate()).not.toBe(evaluation);
  expect(first.lossAfter).toBeCloseTo(first.lossBefore, 5);
  expect(first.codesChanged).toBeNull();
  expect(first.recovered).toBeCloseTo(1, 5);
  for (const layer of first.layers) expect(layer.recovered).toBeCloseTo(1, 5);
  expect(first.probeLogitsChange).toBeLessThan(1e-5);
  expect(zeroedFraction).toBe(1);
  const { loraB } = loraOf(phase.model, Q);
  expect(loraB.values.every((value) => value === 0)).toBe(true);

  // With the first cycle's 0.03 the third value is now above the threshold, and the first cancels out.
  setDiagonal(cycles, Q, [-3, 0, 0.03]);
  setDiagonal(cycles, UP, [0, 0, 0.001]);
  const { report: second } = await cycles.end(8);
  expect(second.layers.map(({ rank }) => rank)).toEqual([2, 2]);
  expect(second.deltaNorm).toBeCloseTo(Math.hypot(3, 0.03, 0.001), 5);
  const deltas = await logged(log);
  expect(deltas.map(({ cycle, step, scaling }) => [cycle, step, scaling])).toEqual([
    [1, 4, 2],
    [2, 8, 2],
  ]);
  expect(deltas[0]!.layers.get(Q)!.loraB.data[0]).toBe(1.5);
  await phase.release();
});

test("a share merges and restarts the weakest directions alone, and the model computes the same", async () => {
  const cycles = await adapted("share", 3, { restartShare: 1 / 3, optimizerReset: "reset" });
  const { phase, log } = cycles;
  setDiagonal(cycles, Q, [3, 4, 0.5]);
  setDiagonal(cycles, UP, [2, 1, 6]);
  const adapter = loraOf(phase.model, Q);
  for (const { expAvg } of phase.optimizer.state.values()) expAvg.fill(1);
  const { report } = await cycles.end(4);
  expect(report.layers.map(({ deltaNorm }) => deltaNorm)).toEqual([0.5, 1]);
  expect(report.probeLogitsChange).toBeLessThan(1e-5);
  const [delta] = await logged(log);
  const { loraA, loraB } = delta!.layers.get(Q)!;
  expect([loraA.shape, loraB.shape]).toEqual([
    [1, WIDTH],
    [WIDTH, 1],
  ]);
  expect(Array.from(loraB.data as Float32Array).slice(0, 4)).toEqual([0, 0, 0.25, 0]);
  // The strong ones are as they were; the weak one has a new A and no B.
  expect([0, 1].map((k) => adapter.loraB.values[k * 3 + k])).toEqual([1.5, 2]);
  expect(Array.from(adapter.loraA.values.subarray(0, 2))).toEqual([1, 0]);
  expect(adapter.loraB.values.filter((_, i) => i % 3 === 2).every((value) => value === 0)).toBe(true);
  expect(adapter.loraA.values.subarray(2 * WIDTH).filter((value) => value !== 0).length).toBeGreaterThan(1);
  // So are their moments.
  const moments = (layer: string): number[] => [...phase.optimizer.state.get(`${layer}.adapter.loraB`)!.expAvg];
  expect(moments(Q).slice(0, 3)).toEqual([1, 1, 0]);
  expect(moments(UP).slice(0, 3)).toEqual([1, 0, 1]);
  await phase.release();
});

test("the last cycle resets nothing, for no step follows", async () => {
  const cycles = await adapted("last", 2);
  for (const step of [4, 8]) expect((await cycles.end(step)).zeroedFraction).toBe(1);
  expect((await cycles.end(12)).zeroedFraction).toBeNull();
  await cycles.phase.release();
});

test("when the log fails, nothing is merged", async () => {
  const cycles = await adapted("failing", 2);
  const { loraB } = loraOf(cycles.phase.model, UP);
  loraB.values.fill(1);
  await expect(cycles.end(8)).rejects.toThrow("the next must be 1, not 2");
  expect(loraB.values[0]).toBe(1);
  await cycles.phase.release();
});

test("a phase evaluates its model once for each change of it", async () => {
  const { phase } = await adapted("evaluations", 2);
  const first = await phase.evaluate();
  const { weight } = phase.model.embedTokens;
  for (let i = 0; i < weight.values.length; i++) weight.values[i]! *= 2;
  expect(await phase.evaluate()).toBe(first);
  expect(await phase.glanceAtLoss()).toBe(first.loss);
  phase.changed();
  const second = await phase.evaluate();
  expect(second.loss).not.toBe(first.loss);
  const gradients = new Map([...phase.trained].map(([name, { size }]) => [name, new Float32Array(size).fill(1)]));
  phase.update(gradients, { lrMultiplier: 1 });
  expect(phase.updates).toBe(1);
  expect((await phase.evaluate()).loss).not.toBe(second.loss);
  await phase.release();
});

test("graphs that were set aside compute as before, and know the evaluation", async () => {
  const before = liveSessionCount();
  const { phase } = await adapted("aside", 2);
  const known = await phase.evaluate();
  const { probe } = await phase.measure();
  expect(await phase.aside(async () => liveSessionCount())).toBe(before);
  expect(await phase.evaluate()).toBe(known);
  expect((await phase.measure()).probe).toEqual(probe);
  await phase.release();
  await phase.release();
  expect(liveSessionCount()).toBe(before);
});
