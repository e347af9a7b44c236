import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { CheckpointError } from "../base/errors.js";
import { storeAs } from "../files/lazy-tensor.js";
import { writeSafetensors } from "../files/safetensors.js";
import type { HostTensor } from "../tensor/dtype.js";
import { openModelFolder, readModelFolder, writeModelFolder } from "./model-folder.js";

let root = "";
let folder = "";
const roots: string[] = [];
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), "highrank-model-"));
  roots.push(root);
  folder = path.join(root, "model");
});
afterAll(async () => Promise.all(roots.map((one) => rm(one, { recursive: true }))));

const vector = (...values: number[]): HostTensor => ({
  dtype: "float32",
  shape: [values.length],
  data: new Float32Array(values),
});

test("a model folder reads back as it was written, and holds the usual files", async () => {
  const config = { model_type: "llama", rms_norm_eps: 1e-6, eos_token_id: [1, 2] };
  const tensors = new Map([["model.norm.weight", vector(1, 2)]]);
  const files = new Map([
    ["tokenizer.json", '{"version":"1.0"}'],
    ["tokenizer_config.json", "{}"],
    ["generation_config.json", "{}"],
  ]);
  await writeModelFolder(folder, { config, tensors, files });
  expect((await readdir(folder)).sort()).toEqual(["config.json", "model.safetensors", ...files.keys()].sort());
  expect(await readFile(path.join(folder, "config.json"), "utf8")).toMatch(/^\{\n {2}"model_type": "llama",\n/);
  expect(await readModelFolder(folder)).toEqual({
    config,
    tensors,
    tokenizerJson: '{"version":"1.0"}',
    tokenizerConfig: "{}",
  });
});

test("a folder is replaced only when allowed, and a faulty one never appears", async () => {
  const write = (value: number, options?: { replace: boolean }) =>
    writeModelFolder(folder, { config: { value }, tensors: new Map() }, options);
  await write(1);
  await expect(write(2)).rejects.toThrow("the folder is not empty");
  await expect(write(Number.NaN, { replace: true })).rejects.toThrow('config.json: "value" is NaN');
  expect((await readModelFolder(folder)).config).toEqual({ value: 1 });
  await write(3, { replace: true });
  expect((await readModelFolder(folder)).config).toEqual({ value: 3 });
  expect(await readdir(root)).toEqual(["model"]);
});

async function sharded(weightMap: unknown): Promise<void> {
  await mkdir(folder);
  await writeFile(path.join(folder, "config.json"), "{}");
  await writeSafetensors(path.join(folder, "model-00001-of-00002.safetensors"), new Map([["a", vector(1)]]));
  await writeSafetensors(
    path.join(folder, "model-00002-of-00002.safetensors"),
    new Map([
      ["b", vector(2)],
      ["c", vector(3)],
    ]),
  );
  await writeFile(path.join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: weightMap }));
}

test("shards are read by their index", async () => {
  const [first, second] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  await sharded({ a: first, b: second, c: second });
  expect((await readModelFolder(folder)).tensors).toEqual(
    new Map([
      ["a", vector(1)],
      ["b", vector(2)],
      ["c", vector(3)],
    ]),
  );
});

test("an open folder gives each tensor on request, and passes through unchanged", async () => {
  const [first, second] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  await sharded({ a: first, b: second, c: second });
  await writeSafetensors(path.join(folder, first), new Map([["a", storeAs(vector(1.5), "BF16")]]));
  const { tensors, config } = await openModelFolder(folder);
  expect([...tensors].map(([name, { dtype, shape, fileType }]) => [name, dtype, shape, fileType])).toEqual([
    ["a", "float32", [1], "BF16"],
    ["b", "float32", [1], "F32"],
    ["c", "float32", [1], "F32"],
  ]);
  expect(await tensors.get("c")!.read()).toEqual(new Float32Array([3]));
  const copy = path.join(root, "copy");
  await writeModelFolder(copy, { config, tensors: new Map([...tensors, ["b", storeAs(tensors.get("b")!, "F16")]]) });
  const copied = await openModelFolder(copy);
  expect(Object.fromEntries([...copied.tensors].map(([name, { fileType }]) => [name, fileType]))).toEqual({
    a: "BF16",
    b: "F16",
    c: "F32",
  });
  expect((await readModelFolder(copy)).tensors).toEqual(
    new Map([
      ["c", vector(3)],
      ["a", vector(1.5)],
      ["b", vector(2)],
    ]),
  );
});

test("opening a folder finds unreadable tensors in any of its files before one is read", async () => {
  const [first, second] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  await sharded({ a: first, b: second });
  const bytes = await readFile(path.join(folder, second), "latin1");
  await writeFile(path.join(folder, second), bytes.replace('"F32"', '"U32"'), "latin1");
  await expect(openModelFolder(folder)).rejects.toThrow(/tensor "b" is of type U32, which is not supported/);
  await writeFile(path.join(folder, second), bytes.slice(0, -1), "latin1");
  await expect(openModelFolder(folder)).rejects.toThrow(/00002.safetensors is damaged/);
});

test("an index that leaves the folder, or names missing files or tensors, is refused with all its faults", async () => {
  await sharded({
    a: "../secret.safetensors",
    b: "/etc/passwd",
    c: "..\\up.safetensors",
    d: 3,
    e: "model-00003-of-00002.safetensors",
    f: "model-00001-of-00002.safetensors",
    g: "pytorch_model.bin",
  });
  const read = readModelFolder(folder);
  await expect(read).rejects.toThrow(CheckpointError);
  await expect(read).rejects.toThrow(
    new RegExp(
      [
        "7 faults",
        '"a" must lie in .* not in "../secret.safetensors"',
        '"b" must lie in .*',
        '"c" must lie in .*',
        '"d" must lie in .* not in 3',
        "model-00003-of-00002.safetensors is missing",
        '"g" must lie in .*',
        'model-00001-of-00002.safetensors does not hold "f"',
      ].join("\n  - "),
    ),
  );
});

test("a folder with only pickles is refused with the way out; beside safetensors they do not matter", async () => {
  await mkdir(folder);
  await writeFile(path.join(folder, "config.json"), "{}");
  await writeFile(path.join(folder, "pytorch_model.bin"), "");
  await expect(readModelFolder(folder)).rejects.toThrow(/pickles \(pytorch_model.bin\).*safe_serialization=True/);
  await expect(readModelFolder(path.join(folder, "pytorch_model.bin"))).rejects.toThrow("safe_serialization=True");
  await writeSafetensors(path.join(folder, "model.safetensors"), new Map([["a", vector(1)]]));
  expect((await readModelFolder(folder)).tensors.size).toBe(1);
});

test("missing or broken files are named", async () => {
  await expect(readModelFolder(folder)).rejects.toThrow("is no folder");
  await mkdir(folder);
  await expect(readModelFolder(folder)).rejects.toThrow("it holds nothing");
  await writeFile(path.join(folder, "notes.txt"), "");
  await expect(readModelFolder(folder)).rejects.toThrow("it holds notes.txt");
  await writeSafetensors(path.join(folder, "model.safetensors"), new Map());
  await expect(readModelFolder(folder)).rejects.toThrow("config.json is missing");
  await writeFile(path.join(folder, "config.json"), "{");
  await expect(readModelFolder(folder)).rejects.toThrow("config.json is not JSON");
  await writeFile(path.join(folder, "config.json"), "[]");
  await expect(readModelFolder(folder)).rejects.toThrow("must hold a JSON object, not an array");
});
