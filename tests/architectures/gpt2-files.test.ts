import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CheckpointError } from "../../src/base/errors.js";
import type { TensorToWrite } from "../../src/files/lazy-tensor.js";
import { readModelFolder, writeModelFolder } from "../../src/formats/model-folder.js";
import { fromStorage, toStorage } from "../../src/formats/model-tensors.js";
import { folderSource, loadModel, openWeights } from "../../src/loading/folder-source.js";
import { diskParameters, hostTensors } from "../../src/loading/model-source.js";
import { describeModel } from "../../src/models/architectures.js";
import type { HostTensor } from "../../src/tensor/dtype.js";
import { Rng } from "../../src/tensor/random.js";
import { mergeTarget } from "../../src/verbs/merge.js";
import { quantizeModel } from "../../src/verbs/quantize.js";

const CONFIG = { model_type: "gpt2", vocab_size: 11, n_positions: 8, n_embd: 16, n_layer: 2, n_head: 2 };
const NAME = "transformer.h.1.mlp.c_fc.weight";

let folder = "";
const at = (name: string): string => path.join(folder, name);
const model = describeModel(CONFIG).create(new Rng(1));
/** As the files of the published models name and hold them. */
const published = new Map<string, TensorToWrite>(
  [...toStorage(hostTensors(diskParameters(model)), model.storage)]
    .filter(([name]) => name !== "lm_head.weight")
    .map(([name, tensor]) => [name.replace(/^transformer\./, ""), tensor]),
);

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-gpt2-"));
  const buffer: HostTensor = { dtype: "float32", shape: [1, 1, 2, 2], data: Float32Array.of(1, 0, 1, 1) };
  await writeModelFolder(at("published"), {
    config: CONFIG,
    tensors: new Map([...published]).set("h.0.attn.bias", buffer).set("h.1.attn.masked_bias", buffer),
  });
});
afterAll(() => rm(folder, { recursive: true }));

test("linear weights lie transposed on disk, embeddings and biases do not", () => {
  expect(published.get("h.1.mlp.c_fc.weight")!.shape).toEqual([16, 64]);
  expect(diskParameters(model).get(NAME)!.shape).toEqual([64, 16]);
  expect(published.get("wpe.weight")!.shape).toEqual([8, 16]);
  expect(published.get("h.0.attn.c_attn.bias")!.shape).toEqual([48]);
});

test("names without the prefix are read, buffers are passed over", async () => {
  const read = diskParameters(await loadModel(at("published")));
  expect([...read.keys()]).toEqual([...diskParameters(model).keys()]);
  for (const [name, { values }] of diskParameters(model)) expect(read.get(name)!.values, name).toEqual(values);
  expect(
    [...(await folderSource(at("published"))).tensors.keys()].filter((name) => /masked|\.attn\.bias/.test(name)),
  ).toEqual([]);
});

test("what merging writes is stored as it was, whatever its type", async () => {
  await mergeTarget(at("published"), { out: at("half"), base: null, dtype: "bfloat16", verify: false });
  await mergeTarget(at("half"), { out: at("again"), base: null, dtype: null, verify: true });
  const [half, again] = [await readModelFolder(at("half")), await readModelFolder(at("again"))];
  expect(half.tensors.get(NAME)!.shape).toEqual([16, 64]);
  expect(again.tensors).toEqual(half.tensors);
  const original = diskParameters(model).get(NAME)!.values;
  const values = await (await openWeights(at("again")))(NAME);
  expect(values.every((value, i) => Math.abs(value - original[i]!) <= Math.abs(original[i]!) / 256)).toBe(true);
});

test("quantized weights are (out, in) on disk, and become (in, out) floats again", async () => {
  await quantizeModel(at("published"), {
    out: at("nf4"),
    quantizer: { format: "nf4", blockSize: 64, doubleQuant: false },
  });
  const dequantized = await (await openWeights(at("nf4")))(NAME);
  const original = diskParameters(model).get(NAME)!.values;
  const distance = Math.hypot(...dequantized.map((value, i) => value - original[i]!)) / Math.hypot(...original);
  expect(distance).toBeGreaterThan(0.02);
  expect(distance).toBeLessThan(0.15);
  await mergeTarget(at("nf4"), { out: at("floats"), base: null, dtype: null, verify: true });
  expect((await readModelFolder(at("floats"))).tensors.get(NAME)!.shape).toEqual([16, 64]);
  expect(await (await openWeights(at("floats")))(NAME)).toEqual(dequantized);
});

test("a weight that is there under both names is refused", () => {
  const twice = new Map([...published, [`transformer.wte.weight`, published.get("wte.weight")!]]);
  expect(() => fromStorage(twice, model.storage)).toThrow(CheckpointError);
  expect(() => fromStorage(twice, model.storage)).toThrow('"transformer.wte.weight" is also stored under another name');
});
