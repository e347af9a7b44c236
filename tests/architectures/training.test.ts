import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readModelFolder } from "../../src/checkpoints/model-folder.js";
import { readPeftAdapter } from "../../src/checkpoints/peft.js";
import { trainTokenizer } from "../../src/data/train-tokenizer.js";
import { describeModel } from "../../src/models/architectures.js";
import { Rng } from "../../src/tensor/random.js";
import { diskParameters, hostTensors, writeModel } from "../../src/training/model-source.js";
import { runCommand } from "../run-command.js";
import { TEXT } from "../small-model.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-architectures-"));
  await writeFile(path.join(folder, "a.txt"), TEXT);
});
afterAll(() => rm(folder, { recursive: true }));

const GPT2 = { n_positions: 32, n_embd: 16, n_layer: 2, n_head: 2, initializer_range: 0.2 };

/** A folder with a random model, its biases and norms away from their start, and a tokenizer. */
async function writeRandomModel(
  type: string,
  sizes: Readonly<Record<string, unknown>>,
  name: string = type,
): Promise<void> {
  const tokenizer = trainTokenizer(TEXT.split("\n\n"), { vocabSize: 280, maxLength: 32 });
  const config = { model_type: type, vocab_size: tokenizer.vocabSize, ...sizes };
  const model = describeModel(config).create(new Rng(5));
  for (const [parameterName, parameter] of diskParameters(model)) {
    const rng = new Rng(6, parameterName);
    if (parameter.rank === 1) parameter.assign(parameter.values.map((value) => value + 0.3 * rng.normal()));
  }
  await writeModel(path.join(folder, name), {
    config,
    tensors: hostTensors(diskParameters(model)),
    files: new Map([
      ["tokenizer.json", JSON.stringify(tokenizer.toJson())],
      ["tokenizer_config.json", JSON.stringify(tokenizer.config)],
    ]),
  });
}

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
    {
      ...{ max_position_embeddings: 32, hidden_size: 16, intermediate_size: 24, num_hidden_layers: 2 },
      ...{ num_attention_heads: 2, rotary_pct: 0.5, initializer_range: 0.2 },
    },
    ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"],
    { layers: 8, weight: "gpt_neox.layers.0.mlp.dense_h_to_4h.weight", shape: [24, 16] },
  ],
])("%s is fine-tuned on all linear layers and merged", async (type, sizes, targets, { layers, weight, shape }) => {
  await writeRandomModel(type, sizes);
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
  await writeRandomModel("gpt2", GPT2, "float");
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
