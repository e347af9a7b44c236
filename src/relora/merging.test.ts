import { expect, test } from "vitest";
import { loraAdapters } from "../adapters/inject.js";
import type { LazyTerm } from "../adapters/low-rank-term.js";
import { LlamaForCausalLM } from "../models/llama.js";
import { llamaConfig } from "../models/llama-config.js";
import { Probe } from "../programs/probe.js";
import { Rng } from "../tensor/random.js";
import type { Delta } from "./delta-log.js";
import { termsOf } from "./delta-terms.js";
import { MasterWeights } from "./master-weights.js";
import { type MergeContext, Merger } from "./merging.js";
import { addAdapters } from "./settings-adapters.js";

const WIDTH = 8;

async function adaptedModel(rank: number) {
  const sizes = { vocabSize: 11, hiddenSize: WIDTH, intermediateSize: WIDTH, numLayers: 1, numHeads: 2 };
  const model = new LlamaForCausalLM(llamaConfig(sizes), new Rng(0));
  const adapterInit = "xavier" as const;
  const rules = { excludeModules: [], layersToTransform: [], rankPattern: [], alphaPattern: [] };
  const kinds = { adapterKind: "lora", bias: "none" } as const;
  const options = { rank, alpha: 2 * rank, rslora: false, dropout: 0, adapterInit, trainModules: [] };
  addAdapters(model, { ...options, ...rules, ...kinds, targetModules: ["q_proj", "up_proj"] }, new Rng(1));
  const batch = { inputIds: Int32Array.of(1, 2, 3), labels: Int32Array.of(2, 3, 4) };
  const probe = await Probe.compile(model, batch, { device: "cpu", threads: 1 });
  const logged: Delta[] = [];
  const openCycle = async (cycle: number): Promise<Map<string, LazyTerm>> =>
    new Map(
      [...termsOf(logged[cycle - 1]!)].map(([name, term]) => [name, { rank: term.rank, read: async () => term }]),
    );
  const master = new MasterWeights(() => Promise.reject(new Error("float32 weights need no base")), openCycle);
  return { model, probe, merger: new Merger(model, probe, master), logged };
}

/** What a merge on float32 weights needs; the held-out loss is the number of merges so far. */
function context(step: number, cycle: number, log: MergeContext["log"]): MergeContext {
  let merges = 0;
  return {
    step,
    cycle,
    seed: 2,
    policy: null,
    share: 1,
    log,
    onMerged: () => void merges++,
    heldOutLoss: async () => merges,
    recordInputs: () => Promise.reject(new Error("nobody asks for inputs")),
  };
}

/** Makes ΔW of the layer diag(entries): A has ones on the diagonal, B the halved entries, for the scaling is 2. */
function setDiagonal(model: LlamaForCausalLM, layer: string, entries: readonly number[]): void {
  const { loraA, loraB, rank } = loraAdapters(model).get(layer)!;
  loraA.values.fill(0);
  for (const [i, entry] of entries.entries()) {
    loraA.values[i * WIDTH + i] = 1;
    loraB.values[i * rank + i] = entry / 2;
  }
}

test("a merge reports norms and counts the singular values above 0.1 of all cycles together", async () => {
  const { model, probe, merger, logged } = await adaptedModel(3);
  const [q, up] = ["model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj"];
  const log = async (delta: Delta): Promise<void> => void logged.push(delta);
  setDiagonal(model, q, [3, 4, 0.09]);
  setDiagonal(model, up, [0, 12]);
  const { report: first } = await merger.merge(context(5, 1, log));
  expect(first).toMatchObject({ step: 5, cycle: 1, rank: 3 });
  expect(first.layers.map(({ name, rank }) => [name, rank])).toEqual([
    [q, 2],
    [up, 1],
  ]);
  expect(first.layers[0]!.deltaNorm).toBeCloseTo(Math.hypot(3, 4, 0.09), 5);
  expect(first.deltaNorm).toBeCloseTo(Math.hypot(3, 4, 0.09, 12), 5);
  expect([first.lossBefore, first.lossAfter]).toEqual([0, 1]);
  expect(first.codesChanged).toBeNull();
  expect(first.recovered).toBeCloseTo(1, 5);
  for (const layer of first.layers) expect(layer.recovered).toBeCloseTo(1, 5);
  expect(first.probeLogitsChange).toBeLessThan(1e-5);
  expect(
    loraAdapters(model)
      .get(q)!
      .loraB.values.every((value) => value === 0),
  ).toBe(true);

  // With the first cycle's 0.09 the third value is now above the threshold, and the first cancels out.
  setDiagonal(model, q, [-3, 0, 0.09]);
  setDiagonal(model, up, [0, 0, 1]);
  const { report: second } = await merger.merge(context(9, 2, log));
  expect(second.layers.map(({ rank }) => rank)).toEqual([2, 2]);
  expect(second.deltaNorm).toBeCloseTo(Math.hypot(3, 0.09, 1), 5);
  expect(logged.map(({ cycle, step, scaling }) => [cycle, step, scaling])).toEqual([
    [1, 5, 2],
    [2, 9, 2],
  ]);
  expect(logged[0]!.layers.get(q)!.loraB.data[0]).toBe(1.5);
  await probe.release();
});

test("a share merges and restarts the weakest directions alone, and the model computes the same", async () => {
  const { model, probe, merger, logged } = await adaptedModel(3);
  const q = "model.layers.0.self_attn.q_proj";
  setDiagonal(model, q, [3, 4, 0.5]);
  setDiagonal(model, "model.layers.0.mlp.up_proj", [2, 1, 6]);
  const adapter = loraAdapters(model).get(q)!;
  const log = async (delta: Delta): Promise<void> => void logged.push(delta);
  const { report, directions } = await merger.merge({ ...context(5, 1, log), share: 1 / 3 });
  expect([...directions.values()]).toEqual([[2], [1]]);
  expect(report.layers.map(({ deltaNorm }) => deltaNorm)).toEqual([0.5, 1]);
  expect(report.probeLogitsChange).toBeLessThan(1e-5);
  const { loraA, loraB } = logged[0]!.layers.get(q)!;
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
  await probe.release();
});

test("when the log fails, nothing is merged", async () => {
  const { model, probe, merger } = await adaptedModel(2);
  const { loraB } = loraAdapters(model).get("model.layers.0.mlp.up_proj")!;
  loraB.values.fill(1);
  const log = () => Promise.reject(new Error("no space left"));
  await expect(merger.merge(context(1, 1, log))).rejects.toThrow("no space left");
  expect(loraB.values[0]).toBe(1);
  await probe.release();
});
