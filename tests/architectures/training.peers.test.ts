import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readModelFolder } from "../../src/formats/model-folder.js";
import { readPeftAdapter } from "../../src/formats/peft.js";
import { runCommand } from "../run-command.js";
import { TEXT } from "../small-model.js";
import { writeRandomModel } from "./small-configs.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-architectures-"));
  await writeFile(path.join(folder, "a.txt"), TEXT);
});
afterAll(() => rm(folder, { recursive: true }));

const GPT2 = { n_positions: 32, n_embd: 16, n_layer: 2, n_head: 2, initializer_range: 0.2 };
const SIZES = {
  ...{ max_position_embeddings: 32, hidden_size: 16, intermediate_size: 24, num_hidden_layers: 2 },
  ...{ num_attention_heads: 2, initializer_range: 0.2 },
};

const highrank = (args: string) => runCommand([...args.split(" "), "--json"], { cwd: folder });

test.each([
  [
    "gpt2",
    GPT2,
    ["c_attn", "c_proj", "c_fc"],
    // Attention, its output and the two of the MLP.
    { layers: 8, weight: "transformer.h.0.mlp.c_fc.weight", shape: [16, 64] },
  ],
  [
    "gpt_neox",
    { ...SIZES, rotary_pct: 0.5 },
    ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"],
    { layers: 8, weight: "gpt_neox.layers.0.mlp.dense_h_to_4h.weight", shape: [24, 16] },
  ],
  [
    "qwen2",
    { ...SIZES, num_key_value_heads: 1, use_sliding_window: true, sliding_window: 4, max_window_layers: 1 },
    ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    { layers: 14, weight: "model.layers.1.self_attn.k_proj.weight", shape: [8, 16] },
  ],
  [
    "phi3",
    { ...SIZES, num_key_value_heads: 1, sliding_window: 4, partial_rotary_factor: 0.5 },
    ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"],
    { layers: 8, weight: "model.layers.0.mlp.gate_up_proj.weight", shape: [48, 16] },
  ],
])("%s is fine-tuned on all linear layers and merged", async (type, sizes, targets, { layers, weight, shape }) => {
  await writeRandomModel(path.join(folder, type), { model_type: type, ...sizes });
  const flags = "--method lora --rank 4 --lr 1e-2 --max-steps 24 --batch-size 4 --sequence-length 16 --threads 1";
  const run = `--model ${type} --data a.txt --target-modules ${targets.join(",")} --out run-${type}`;
  const trained = await highrank(`train ${flags} ${run}`);
  expect(trained).toMatchObject({ code: 0 });
  const before = JSON.parse((await highrank(`eval ${type} --data a.txt`)).stdout).loss;
  const { loss } = JSON.parse((await highrank(`eval run-${type} --data a.txt`)).stdout);
  expect(loss).toBeLessThan(before - 0.3);

  const merged = await highrank(`merge run-${type} --out merged-${type} --verify`);
  expect(merged).toMatchObject({ code: 0 });
  const { verification } = JSON.parse(merged.stdout);
  expect(verification.largestChange).toBeLessThan(1e-5 * verification.largestLogit);
  expect(JSON.parse((await highrank(`eval merged-${type} --data a.txt`)).stdout).loss).toBeCloseTo(loss, 5);
  const { tensors } = await readModelFolder(path.join(folder, `merged-${type}`));
  expect(tensors.get(weight)!.shape).toEqual(shape);

  const adapter = await readPeftAdapter(path.join(folder, `run-${type}/adapter`));
  expect(adapter.layers.size).toBe(layers);
  const adapted = await highrank(`eval run-${type}/adapter --base ${type} --data a.txt`);
  expect(JSON.parse(adapted.stdout).loss).toBeCloseTo(loss, 5);
});

test("biases stay, and layers without adapters too, where frozen weights are quantized", async () => {
  await writeRandomModel(path.join(folder, "float"), { model_type: "gpt2", ...GPT2 });
  const flags = "--method relora --quantize nf4 --rank 4 --lr 1e-2 --max-steps 6 --relora-every 3 --sequence-length 16";
  const run = "--model float --data a.txt --target-modules c_attn --threads 1 --batch-size 4 --out packed";
  expect(await highrank(`train ${flags} ${run}`)).toMatchObject({ code: 0 });
  const [base, model] = [
    await readModelFolder(path.join(folder, "float")),
    await readModelFolder(path.join(folder, "packed/model")),
  ];
  expect([...model.tensors.keys()].sort()).toEqual([...base.tensors.keys()].sort());
  const frozen = [...base.tensors].filter(([name]) => /\.c_\w+\.bias$|\.(c_proj|c_fc)\.weight$/.test(name));
  expect(frozen).toHaveLength(2 * (4 + 3));
  for (const [name, tensor] of frozen) expect(model.tensors.get(name), name).toEqual(tensor);
  const { loss } = JSON.parse((await highrank("eval float --data a.txt")).stdout);
  const packed = await highrank("quantize float --to nf4 --out nf4");
  expect(packed).toMatchObject({ code: 0 });
  expect(Math.abs(JSON.parse((await highrank("eval nf4 --data a.txt")).stdout).loss - loss)).toBeLessThan(0.2);
});
