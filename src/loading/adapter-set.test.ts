import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { expectClose } from "../../tests/ops/close.js";
import { writeSmallModel } from "../../tests/small-model.js";
import { readSafetensors } from "../files/safetensors.js";
import { type PeftAdapter, writePeftAdapter } from "../formats/peft.js";
import type { LoraPair } from "../formats/peft-tensors.js";
import type { CausalLM } from "../models/causal-lm.js";
import { clearEvaluationCache } from "../runtime/evaluate.js";
import { Program } from "../runtime/program.js";
import { Rng } from "../tensor/random.js";
import { tensor } from "../tensor/tensor.js";
import { exportTarget } from "../verbs/export.js";
import { mergeTarget } from "../verbs/merge.js";
import { loadTarget } from "../verbs/target.js";
import { AdapterSet } from "./adapter-set.js";
import { loadModel } from "./folder-source.js";
import { diskParameters } from "./model-source.js";

const [QUERY, UP] = ["model.layers.0.self_attn.q_proj", "model.layers.1.mlp.up_proj"];
let root = "";
const at = (name: string): string => path.join(root, name);

const rng = new Rng(4, "adapter-set");
function pair(rank: number, inFeatures: number, outFeatures: number): LoraPair {
  const draw = (...shape: [number, number]) => ({
    dtype: "float32" as const,
    shape,
    data: Float32Array.from({ length: shape[0] * shape[1] }, () => 0.4 * rng.normal()),
  });
  return { loraA: draw(rank, inFeatures), loraB: draw(outFeatures, rank) };
}
const common = { baseModel: null, dropout: 0, useRslora: false, targetModules: ["q_proj", "up_proj"], base: null };
const adapter = (rank: number, alpha: number, layers: readonly (readonly [string, LoraPair])[]): PeftAdapter => ({
  ...{ ...common, rank, alpha, modulesToSave: new Map() },
  ...{ targetModules: layers.map(([name]) => name), layers: new Map(layers) },
});
const A = adapter(2, 6, [
  [QUERY, pair(2, 16, 16)],
  [UP, pair(2, 16, 24)],
]);
const B = adapter(2, 1, [[QUERY, pair(2, 16, 16)]]);
const C = adapter(3, 3, [[UP, pair(3, 16, 24)]]);

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), "highrank-adapter-set-"));
  await writeSmallModel(at("base"));
  const norm = (await readSafetensors(at("base/model.safetensors"))).tensors.get("model.norm.weight")!;
  const doubled = { ...norm, data: (norm.data as Float32Array).map((value) => 2 * value) };
  await writePeftAdapter(at("a"), A);
  await writePeftAdapter(at("b"), B);
  await writePeftAdapter(at("c"), C);
  await writePeftAdapter(at("full"), { ...B, modulesToSave: new Map([["model.norm.weight", doubled]]) });
});
afterAll(async () => {
  await clearEvaluationCache();
  await rm(root, { recursive: true });
});

async function logits(model: CausalLM): Promise<ArrayLike<number>> {
  const ids = tensor(Int32Array.of(3, 1, 4, 1, 5, 9), [1, 6]);
  const program = await Program.compile({ y: model.logits(ids) }, { device: "cpu", threads: 1 });
  const { y } = await program.run();
  await program.release();
  return y!.data;
}

/** Logits of the base with ΔW added to the weights in plain loops. */
async function expected(
  changes: Readonly<Record<string, (row: number, column: number) => number>>,
): Promise<ArrayLike<number>> {
  const model = await loadModel(at("base"));
  for (const [layer, change] of Object.entries(changes)) {
    const { values, shape } = diskParameters(model).get(`${layer}.weight`)!;
    for (let i = 0; i < values.length; i++) values[i]! += change(Math.floor(i / shape[1]!), i % shape[1]!);
  }
  return logits(model);
}

/** An entry of B · A. */
const product =
  ({ loraA, loraB }: LoraPair) =>
  (row: number, column: number): number => {
    const [rank, inFeatures] = loraA.shape as [number, number];
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += loraB.data[row * rank + k]! * loraA.data[k * inFeatures + column]!;
    return sum;
  };
const of = (adapter: PeftAdapter, layer: string) => product(adapter.layers.get(layer)!);

async function loaded(): Promise<AdapterSet> {
  const set = await AdapterSet.open(at("base"));
  for (const name of ["a", "b", "c", "full"]) await set.load(name, at(name));
  return set;
}

test("adapters are switched and disabled, modules in full with them", async () => {
  const set = await loaded();
  const plain = Array.from(await logits(set.model));
  const onA = await expected({ [QUERY]: (i, k) => 3 * of(A, QUERY)(i, k), [UP]: (i, k) => 3 * of(A, UP)(i, k) });
  for (let round = 0; round < 2; round++) {
    await set.activate("a");
    expectClose("a", await logits(set.model), onA, 1e-5);
    await set.activate("full");
    expect(Array.from(await logits(set.model))).not.toEqual(plain);
    await set.activate("b");
    expectClose("b", await logits(set.model), await expected({ [QUERY]: (i, k) => 0.5 * of(B, QUERY)(i, k) }), 1e-5);
    await set.activate(null);
    expect(Array.from(await logits(set.model))).toEqual(plain);
  }
  expect([set.names, set.active]).toEqual([["a", "b", "c", "full"], null]);
});

test("cat adds the updates by their weights, of whatever rank", async () => {
  const set = await loaded();
  set.combine("mix", { a: 0.5, b: -2, c: 1.5 }, "cat");
  await set.activate("mix");
  const wanted = await expected({
    [QUERY]: (i, k) => 0.5 * 3 * of(A, QUERY)(i, k) - 2 * 0.5 * of(B, QUERY)(i, k),
    [UP]: (i, k) => 0.5 * 3 * of(A, UP)(i, k) + 1.5 * of(C, UP)(i, k),
  });
  expectClose("mix", await logits(set.model), wanted, 1e-5);
});

test.each([
  [0.7, 0.4],
  [0.7, -0.4],
  [-0.7, 0.4],
])("linear adds A and B each by %s and %s, as PEFT does with the signs on A", async (ofA, ofB) => {
  const set = await loaded();
  set.combine("mix", { a: ofA, b: ofB }, "linear");
  await set.activate("mix");
  const root = (value: number): number => Math.sqrt(Math.abs(value));
  const sum = (part: "loraA" | "loraB") => {
    const [a, b] = [A.layers.get(QUERY)![part], B.layers.get(QUERY)![part]];
    const signs = part === "loraA" ? [Math.sign(ofA), Math.sign(ofB)] : [1, 1];
    const [byA, byB] = [signs[0]! * root(ofA * 3), signs[1]! * root(ofB * 0.5)];
    return { ...a, data: (a.data as Float32Array).map((value, i) => byA * value + byB * b.data[i]!) };
  };
  const wanted = await expected({
    [QUERY]: product({ loraA: sum("loraA"), loraB: sum("loraB") }),
    [UP]: (i, k) => ofA * 3 * of(A, UP)(i, k),
  });
  expectClose("mix", await logits(set.model), wanted, 1e-5);
});

test("linear takes one rank alone", async () => {
  const set = await loaded();
  expect(() => set.combine("other", { a: 1, b: 1 }, "ties" as never)).toThrow("kind must be linear or cat");
  expect(() => set.combine("other", { a: 1, c: 1 }, "linear")).toThrow("linear needs adapters of one rank, got 2, 3");
});

test("a model is loaded, and merged, with adapters by their weights", async () => {
  const adapters = [
    { adapter: at("a"), weight: 0.5 },
    { adapter: at("b"), weight: -2 },
  ];
  const wanted = await expected({
    [QUERY]: (i, k) => 0.5 * 3 * of(A, QUERY)(i, k) - 2 * 0.5 * of(B, QUERY)(i, k),
    [UP]: (i, k) => 0.5 * 3 * of(A, UP)(i, k),
  });
  const { model } = await loadTarget(at("base"), { base: null, adapter: true, adapters });
  expectClose("loaded", await logits(model), wanted, 1e-5);
  const plain = await loadTarget(at("base"), { base: null, adapter: false, adapters });
  expect(Array.from(await logits(plain.model))).toEqual(Array.from(await logits(await loadModel(at("base")))));

  const options = { out: at("merged"), base: null, dtype: null, verify: true };
  const { verification } = await mergeTarget(at("base"), { ...options, adapters });
  expect(verification!.relativeChange).toBeLessThan(1e-5);
  expectClose("merged", await logits(await loadModel(at("merged"))), wanted, 1e-5);
  // One alone, as it is, may hold more than low-rank updates.
  const set = await loaded();
  await set.activate("full");
  const full = [{ adapter: at("full"), weight: 1 }];
  const whole = await loadTarget(at("base"), { base: null, adapter: true, adapters: full });
  expect(Array.from(await logits(whole.model))).toEqual(Array.from(await logits(set.model)));

  const both = loadTarget(at("base"), { base: null, adapter: true, adapters: [...full, ...adapters] });
  await expect(both).rejects.toThrow("must have a finite weight and low-rank updates alone");
  const merging = mergeTarget(at("a"), { ...options, out: at("nowhere"), base: at("base"), adapters });
  await expect(merging).rejects.toThrow(/^adapters is for models; .* is a PEFT adapter/);
  const exporting = exportTarget(at("base"), { to: "peft", out: at("nowhere"), base: null, dtype: null, adapters });
  await expect(exporting).rejects.toThrow(/^adapters is for to hf, onnx and gguf/);
});

test("what cannot be is refused, and says what there is", async () => {
  const set = await loaded();
  await expect(set.load("a", at("b"))).rejects.toThrow("there already is an adapter a");
  await expect(set.activate("ful")).rejects.toThrow('there is no adapter ful; did you mean "full"?');
  expect(() => set.combine("mix", { full: 1 }, "cat")).toThrow(
    "full must have a finite weight and low-rank updates alone",
  );
  expect(() => set.combine("mix", {}, "cat")).toThrow("name at least one adapter");
  await set.activate("a");
  expect(() => set.remove("a")).toThrow("a is active");
  set.remove("b");
  expect(set.names).toEqual(["a", "c", "full"]);
});
