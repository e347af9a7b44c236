import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { storeAs } from "../files/lazy-tensor.js";
import { writePeftAdapter } from "../formats/peft.js";
import { diskParameters, hostTensors, writeModel } from "../loading/model-source.js";
import { describeModel } from "../models/architectures.js";
import type { CausalLM } from "../models/causal-lm.js";
import { Program } from "../runtime/program.js";
import { Rng } from "../tensor/random.js";
import { tensor } from "../tensor/tensor.js";
import { evaluateTarget } from "../verbs/evaluate.js";
import { loadTarget } from "../verbs/target.js";

const LLAMA = {
  ...{ model_type: "llama", vocab_size: 24, hidden_size: 16, intermediate_size: 40, num_hidden_layers: 2 },
  ...{ num_attention_heads: 2, initializer_range: 0.4, max_position_embeddings: 16 },
};
const CONFIGS: Readonly<Record<string, Record<string, unknown>>> = {
  llama: LLAMA,
  "llama with a tied head": { ...LLAMA, tie_word_embeddings: true },
  // Its linear weights lie transposed in files; embeddings of positions, biases.
  gpt2: { model_type: "gpt2", vocab_size: 24, n_positions: 16, n_embd: 16, n_layer: 2, n_head: 2 },
};
const ROWS = [
  { input_ids: [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5] },
  { input_ids: [8, 9, 7, 9, 3], labels: [8, 9, -100, 9, 3] },
];

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "highrank-half-"));
  await writeFile(join(folder, "rows.jsonl"), ROWS.map((row) => JSON.stringify(row)).join("\n"));
});
afterAll(() => rm(folder, { recursive: true }));

async function write(name: string, config: Record<string, unknown>, fileType: "F32" | "F16" | "BF16"): Promise<string> {
  const target = join(folder, `${name} ${fileType}`);
  const parameters = hostTensors(diskParameters(describeModel(config).create(new Rng(1))));
  const tensors = new Map([...parameters].map(([path, each]) => [path, storeAs(each, fileType)] as const));
  await writeModel(target, { config, tensors }, { replace: true });
  return target;
}

const load = (target: string, device?: "cpu"): Promise<{ model: CausalLM }> =>
  loadTarget(target, { base: null, adapter: true, ...(device && { device }) });

/** Logits of a whole row and of one token, compiled: eager evaluation would widen the weights beforehand. */
async function logitsOf(model: CausalLM): Promise<Uint32Array[]> {
  const all: Uint32Array[] = [];
  for (const ids of [ROWS[0]!.input_ids, [7]]) {
    const logits = model.logits(tensor(Int32Array.from(ids), [1, ids.length]));
    const program = await Program.compile({ logits }, { device: "cpu", threads: 2 });
    all.push(new Uint32Array(((await program.run()).logits!.data as Float32Array).buffer));
    await program.release();
  }
  return all;
}

describe.each(Object.entries(CONFIGS))("%s", (name, config) => {
  test.each(["BF16", "F16"] as const)("in %s is held as the file has it, and computes the same bits", async (type) => {
    const target = await write(name, config, type);
    const [{ model: held }, { model: copies }] = [await load(target, "cpu"), await load(target)];
    const parameters = diskParameters(held);
    for (const [path, parameter] of parameters) expect(parameter.isHalf, path).toBe(parameter.rank === 2);
    expect(await logitsOf(held)).toEqual(await logitsOf(copies));
    for (const [path, { values }] of diskParameters(copies)) {
      const parameter = parameters.get(path)!;
      expect(parameter.read(), path).toEqual(values);
      expect(parameter.isHalf, path).toBe(parameter.rank === 2);
    }
  });
});

test("what files hold in float32 stays float32", async () => {
  const { model } = await load(await write("llama", LLAMA, "F32"), "cpu");
  expect([...diskParameters(model).values()].some(({ isHalf }) => isHalf)).toBe(false);
});

test("an adapter goes on weights that are held in 16 bits", async () => {
  const base = await write("llama", LLAMA, "BF16");
  const [rank, width] = [2, 16];
  const rng = new Rng(5);
  const random = (shape: [number, number]) => ({
    dtype: "float32" as const,
    shape,
    data: Float32Array.from({ length: shape[0] * shape[1] }, () => rng.normal()),
  });
  const adapter = join(folder, "adapter");
  await writePeftAdapter(adapter, {
    ...{ baseModel: base, base: null, rank, alpha: 4, rankPattern: {}, alphaPattern: {}, dropout: 0, bias: "none" },
    ...{ useRslora: false, useDora: false, fanInFanOut: false, targetModules: ["q_proj"] },
    layers: new Map(
      [0, 1].map((layer) => [
        `model.layers.${layer}.self_attn.q_proj`,
        { loraA: random([rank, width]), loraB: random([width, rank]) },
      ]),
    ),
    biases: new Map(),
    modulesToSave: new Map(),
  });
  const [{ model: held }, { model: copies }] = [await load(adapter, "cpu"), await load(adapter)];
  expect(await logitsOf(held)).toEqual(await logitsOf(copies));
  expect(await logitsOf(held)).not.toEqual(await logitsOf((await load(base)).model));
});

test("losses are those of float32 copies to the last bit", async () => {
  const target = await write("llama", LLAMA, "BF16");
  const { model } = await load(target);
  const copies = join(folder, "copies");
  await writeModel(copies, { config: LLAMA, tensors: hostTensors(diskParameters(model)) });
  const lossOf = async (each: string): Promise<number> => {
    const settings = { batchSize: 2, sequenceLength: null, maxTokens: null, device: "cpu", threads: 2 } as const;
    const data = join(folder, "rows.jsonl");
    return (await evaluateTarget(each, { data, base: null, adapter: true, ...settings })).loss;
  };
  expect(await lossOf(target)).toBe(await lossOf(copies));
});
