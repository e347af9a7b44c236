import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MERGE_POLICIES } from "../src/adapters/merge-policies.js";
import { CheckpointError, ConfigError } from "../src/base/errors.js";
import { resolveSettings } from "../src/config/resolve.js";
import type { Settings } from "../src/config/settings.js";
import { openSafetensors, readSafetensors } from "../src/files/safetensors.js";
import { openModelFolder, readModelFolder, writeModelFolder } from "../src/formats/model-folder.js";
import { readCheckpoint } from "../src/runs/checkpoint.js";
import type { HostTensor } from "../src/tensor/dtype.js";
import { train } from "../src/training/train.js";
import { evaluateTarget } from "../src/verbs/evaluate.js";
import type { MergeOptions } from "../src/verbs/merge.js";
import { mergeTarget } from "../src/verbs/merge.js";
import { quantizeModel } from "../src/verbs/quantize.js";
import { runCommand } from "./run-command.js";
import { changeTensors, TEXT, writeSmallModel } from "./small-model.js";

const MAIN = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

let folder = "";
const at = (name: string): string => path.join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-merge-"));
  await writeFile(at("a.txt"), TEXT);
  await writeSmallModel(at("float"));
  await writeSmallModel(at("bfloat16"), { fileType: "BF16" });
  await quantizeModel(at("float"), {
    out: at("packed"),
    quantizer: { format: "nf4", blockSize: 64, doubleQuant: true },
  });
});
afterAll(() => rm(folder, { recursive: true }));

/** Five cycles of rank 4, so that their ranks add up to more than the 16 that the layers have; stopped in the fifth, or not. */
async function run(name: string, change: Partial<Settings>, { stopped = false } = {}): Promise<string> {
  const flags = {
    ...{ model: at("float"), data: at("a.txt"), method: "relora", rank: 4, batchSize: 2, sequenceLength: 16 },
    ...{ maxSteps: 10, reloraEvery: 2, adapterLr: 2e-2, evalTokens: 100, sampleTokens: 0, threads: 1 },
    ...{ trainModules: ["norms"], out: at(name) },
    ...change,
  };
  let steps = 0;
  await train(resolveSettings({ flags: flags as Partial<Settings> }), {
    stopRequested: () => stopped && ++steps === 9,
  });
  return at(name);
}

function merge(target: string, out: string, options: Partial<MergeOptions> = {}) {
  return mergeTarget(target, { out: at(out), base: null, dtype: null, verify: false, ...options });
}

async function tensorsOf(model: string): Promise<Map<string, HostTensor>> {
  return (await readSafetensors(path.join(model, "model.safetensors"))).tensors;
}

async function largestDifference(one: string, other: string): Promise<number> {
  const [a, b] = [await tensorsOf(one), await tensorsOf(other)];
  expect([...a.keys()].sort()).toEqual([...b.keys()].sort());
  let largest = 0;
  for (const [name, { data }] of a) {
    for (const [i, value] of data.entries()) largest = Math.max(largest, Math.abs(value - b.get(name)!.data[i]!));
  }
  return largest;
}

async function lossOf(target: string, base: string | null = null): Promise<number> {
  const options = { data: at("a.txt"), batchSize: 2, sequenceLength: 16, maxTokens: null, base, adapter: true };
  return (await evaluateTarget(target, { ...options, device: "cpu", threads: 1 })).loss;
}

describe.each([null, ...MERGE_POLICIES])("with the merge policy %s (null: float32 weights)", (mergePolicy) => {
  const change = mergePolicy === null ? {} : ({ quantize: "nf4", mergePolicy } as const);

  test("a finished run is merged into the model that the run saved", async () => {
    const out = await run(`finished-${mergePolicy}`, change);
    const { quantizer, dtype } = await merge(out, `merged-${mergePolicy}`);
    expect(quantizer).toBe(mergePolicy && "nf4 in blocks of 64");
    expect(dtype).toBe("float32");
    expect(await largestDifference(at(`merged-${mergePolicy}`), path.join(out, "model"))).toBeLessThan(1e-6);
    expect(await largestDifference(at(`merged-${mergePolicy}`), path.join(out, "base"))).toBeGreaterThan(1e-3);
  });

  test("a stopped run is merged as its last checkpoint has it", async () => {
    const out = await run(`stopped-${mergePolicy}`, change, { stopped: true });
    expect(await readdir(out)).not.toContain("model");
    const { verification } = await merge(out, `stopped-merged-${mergePolicy}`, { verify: true });
    expect(verification!.tokens).toBe(32);
    expect(verification!.largestChange).toBeLessThan(1e-5);
    expect(verification!.largestLogit).toBeGreaterThan(0.1);
    const base = (await tensorsOf(path.join(out, "base"))).get("model.layers.1.mlp.down_proj.weight")!;
    const merged = (await tensorsOf(at(`stopped-merged-${mergePolicy}`))).get("model.layers.1.mlp.down_proj.weight")!;
    const exact = await sumOfUpdates(out, "model.layers.1.mlp.down_proj", base);
    const difference = Math.max(...merged.data.map((value, i) => Math.abs(value - exact[i]!)));
    // Three policies lose something of the first four cycles.
    if (mergePolicy === "requantize" || mergePolicy === "stochastic" || mergePolicy === "error-feedback") {
      expect(difference).toBeGreaterThan(1e-3);
    } else {
      expect(difference).toBeLessThan(1e-5);
    }
    const { tensorFiles } = await readCheckpoint(out, "last");
    const norm = "model.layers.0.input_layernorm.weight";
    expect((await tensorsOf(at(`stopped-merged-${mergePolicy}`))).get(norm)).toEqual(tensorFiles.trainable!.get(norm));
  });
});

/** base + Σ scaling · B · A over the logged cycles, and what the adapter in the checkpoint has learned since it started. */
async function sumOfUpdates(out: string, layer: string, { data, shape }: HostTensor): Promise<Float64Array> {
  const sum = Float64Array.from(data);
  const [rows, columns] = shape as [number, number];
  const add = (scaling: number, b: ArrayLike<number>, a: ArrayLike<number>): void => {
    const rank = a.length / columns;
    for (let i = 0; i < rows * columns; i++) {
      const [row, column] = [Math.floor(i / columns), i % columns];
      for (let k = 0; k < rank; k++) sum[i]! += scaling * b[row * rank + k]! * a[k * columns + column]!;
    }
  };
  for (const cycle of [1, 2, 3, 4]) {
    const { tensors, metadata } = await readSafetensors(path.join(out, `deltas/cycle-00000${cycle}.safetensors`));
    const half = (letter: string) => tensors.get(`base_model.model.${layer}.lora_${letter}.weight`)!.data;
    add(Number(metadata.scaling), half("B"), half("A"));
  }
  const { tensorFiles } = await readCheckpoint(out, "last");
  const settings = JSON.parse(await readFile(path.join(out, "config.resolved.json"), "utf8"));
  const scaling = settings.alpha / settings.rank;
  const trained = (factor: string) => tensorFiles.trainable!.get(`${layer}.adapter.${factor}`)!.data;
  add(scaling, trained("loraB"), trained("loraA"));
  const start = (factor: string) => tensorFiles.adapter_start?.get(`${layer}.${factor}`)?.data;
  if (start("loraA") !== undefined) add(-scaling, start("loraB")!, start("loraA")!);
  return sum;
}

test("an adapter of more ranks than its layers have is merged into its base, and evaluates as the merged folder does", async () => {
  const adapter = path.join(at("finished-null"), "adapter");
  expect(JSON.parse(await readFile(path.join(adapter, "adapter_config.json"), "utf8")).r).toBe(20);
  const { verification } = await merge(adapter, "from-adapter", { verify: true });
  expect(verification!.relativeChange).toBeLessThan(1e-5);
  expect(await largestDifference(at("from-adapter"), path.join(at("finished-null"), "model"))).toBeLessThan(1e-6);
  expect(Math.abs((await lossOf(at("from-adapter"))) - (await lossOf(adapter)))).toBeLessThan(1e-5);
});

test("an adapter trained on a packed base is merged in float32, without a sign of the quantization", async () => {
  const out = await run("on-packed", { model: at("packed"), method: "lora" });
  const adapter = path.join(out, "adapter");
  const { quantizer, verification } = await merge(adapter, "from-packed", { base: at("packed"), verify: true });
  expect(quantizer).toBe("nf4 in blocks of 64, double quantization");
  expect(verification!.largestChange).toBeLessThan(1e-5);
  expect(Math.abs((await lossOf(at("from-packed"))) - (await lossOf(adapter, at("packed"))))).toBeLessThan(1e-5);
  const config = JSON.parse(await readFile(at("from-packed/config.json"), "utf8"));
  expect(config).toMatchObject({ torch_dtype: "float32", model_type: "llama" });
  expect(config).not.toHaveProperty("quantization_config");
  expect(new Set((await tensorsOf(at("from-packed"))).keys())).toEqual(new Set((await tensorsOf(at("float"))).keys()));
  expect((await readdir(at("from-packed"))).sort()).toEqual([
    ...["README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"],
  ]);
});

test("a quantized folder becomes floats that evaluate as it does", async () => {
  const { dtype, parameters } = await merge(at("packed"), "unpacked");
  expect(dtype).toBe("float32");
  expect(parameters).toBe([...(await tensorsOf(at("float"))).values()].reduce((sum, { data }) => sum + data.length, 0));
  expect(Math.abs((await lossOf(at("unpacked"))) - (await lossOf(at("packed"))))).toBeLessThan(1e-5);
});

test("the dtype is that of the base unless another is asked for; what stays as it is keeps its bytes", async () => {
  const typesOf = async (model: string) => {
    const { tensors } = await openSafetensors(path.join(model, "model.safetensors"));
    return new Set([...tensors.values()].map(({ fileType }) => fileType));
  };
  expect(await merge(at("bfloat16"), "same")).toMatchObject({ dtype: "bfloat16" });
  const bytes = (model: string) => readFile(path.join(model, "model.safetensors"));
  expect((await bytes(at("same"))).equals(await bytes(at("bfloat16")))).toBe(true);
  await merge(at("bfloat16"), "wider", { dtype: "float32" });
  expect(await typesOf(at("wider"))).toEqual(new Set(["F32"]));
  expect(await largestDifference(at("wider"), at("bfloat16"))).toBe(0);
  const { verification } = await merge(at("float"), "narrower", { dtype: "float16", verify: true });
  expect(await typesOf(at("narrower"))).toEqual(new Set(["F16"]));
  expect(JSON.parse(await readFile(at("narrower/config.json"), "utf8")).torch_dtype).toBe("float16");
  expect(verification!.relativeChange).toBeGreaterThan(1e-5);
  expect(verification!.relativeChange).toBeLessThan(1e-2);
  await changeTensors(at("same"), (tensors) => tensors.get("model.norm.weight")!.data.fill(2));
  expect(await merge(at("same"), "mixed")).toMatchObject({ dtype: "float32" });
});

test("a model in shards is merged into shards that are no larger, with an index", async () => {
  const { tensors: stored, ...content } = await openModelFolder(at("bfloat16"));
  const companions = new Map([["tokenizer.json", content.tokenizerJson!]]);
  await writeModelFolder(at("shards"), { ...content, tensors: stored, shardBytes: 5000, files: companions });
  const sizesOf = async (name: string): Promise<number[]> => {
    const shards = (await readdir(at(name))).filter((file) => file.endsWith(".safetensors"));
    return Promise.all(shards.map(async (file) => (await stat(path.join(at(name), file))).size));
  };
  const largest = Math.max(...(await sizesOf("shards")));
  const same = await merge(at("shards"), "same-shards");
  expect(same).toMatchObject({ dtype: "bfloat16", files: (await sizesOf("same-shards")).length });
  expect(same.files).toBeGreaterThan(1);
  expect(Math.max(...(await sizesOf("same-shards")))).toBeLessThan(1.2 * largest);
  expect((await readModelFolder(at("same-shards"))).tensors).toEqual((await readModelFolder(at("shards"))).tensors);
  const { files, fileBytes, verification } = await merge(at("shards"), "wide-shards", {
    dtype: "float32",
    verify: true,
  });
  expect(files).toBeGreaterThan(same.files);
  expect(fileBytes).toBeGreaterThan(1.8 * same.fileBytes);
  expect(verification).toMatchObject({ largestChange: 0, relativeChange: 0 });
  const { metadata, weight_map } = JSON.parse(await readFile(at("wide-shards/model.safetensors.index.json"), "utf8"));
  const names = [...stored.keys()].sort();
  expect(Object.keys(weight_map)).toEqual(names);
  const floats = [...stored.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  expect(metadata).toEqual({ total_size: 4 * floats });
});

test("a tied head that files hold as well stays what the embeddings are, and is not added where they do not", async () => {
  const tie = async (name: string, { withHead }: { withHead: boolean }): Promise<string> => {
    const { config, tensors: stored, tokenizerJson } = await readModelFolder(at("float"));
    const tensors = new Map(stored);
    if (withHead) tensors.set("lm_head.weight", tensors.get("model.embed_tokens.weight")!);
    else tensors.delete("lm_head.weight");
    const files = new Map([["tokenizer.json", tokenizerJson!]]);
    await writeModelFolder(at(name), { config: { ...config, tie_word_embeddings: true }, tensors, files });
    return at(name);
  };
  for (const withHead of [true, false]) {
    const name = withHead ? "with-head" : "without-head";
    const model = await tie(name, { withHead });
    const out = await run(`tied-${name}`, { model, trainModules: ["embeddings"] });
    const { verification } = await merge(out, `merged-${name}`, { verify: true });
    expect(verification!.relativeChange).toBeLessThan(1e-5);
    const tensors = await tensorsOf(at(`merged-${name}`));
    expect(tensors.has("lm_head.weight")).toBe((await tensorsOf(path.join(out, "base"))).has("lm_head.weight"));
    const table = tensors.get("model.embed_tokens.weight")!.data;
    expect(table).not.toEqual((await tensorsOf(model)).get("model.embed_tokens.weight")!.data);
    if (tensors.has("lm_head.weight")) expect(tensors.get("lm_head.weight")!.data).toEqual(table);
  }
});

test("a value that float16 cannot hold names its tensor and leaves nothing behind", async () => {
  await merge(at("float"), "large");
  await changeTensors(at("large"), (tensors) =>
    tensors.get("model.layers.0.mlp.up_proj.weight")!.data.fill(7e4, 9, 10),
  );
  const merging = merge(at("large"), "too-large", { dtype: "float16" });
  await expect(merging).rejects.toThrow(CheckpointError);
  await expect(merging).rejects.toThrow(/up_proj\.weight" holds 70000, which F16 cannot hold.*bfloat16/);
  expect((await readdir(folder)).filter((name) => name.includes("too-large"))).toEqual([]);
});

test("what holds something is not written over, and a base is for adapters alone", async () => {
  await expect(merge(at("float"), "packed")).rejects.toThrow(/packed is not empty, and nothing in it is replaced/);
  const merging = merge(at("float"), "nowhere", { base: at("float") });
  await expect(merging).rejects.toThrow(ConfigError);
  await expect(merging).rejects.toThrow(/base is for PEFT adapters/);
});

test("the command says what it wrote and what verifying compared, within 80 columns", async () => {
  const cwd = folder;
  const text = await runCommand(["merge", "stopped-requantize", "--out", "said", "--verify"], { cwd });
  expect(text).toMatchObject({ code: 0, stderr: "" });
  expect(text.stdout).toMatch(/^merged {4}13\.\dK parameters in float32, \d+\.\d KiB\n/);
  expect(text.stdout).toMatch(/verified {2}logits of 32 random tokens against those of base \+ updates:\n/);
  expect(text.stdout).toMatch(/ {10}largest change \S+, relative to the largest logit \d\S+\n/);
  expect(text.stdout).toContain("The weights compared are exact, in float32;");
  expect(text.stdout).toMatch(/\nwrote {5}said\n\nNext: highrank generate said --prompt .*\n$/);
  const help = await runCommand(["merge", "--help"], { cwd, env: { COLUMNS: "80" } });
  for (const line of `${text.stdout}\n${help.stdout}`.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
  const json = await runCommand(["merge", "float", "--out", "as-json", "--dtype", "bfloat16", "--json"], { cwd });
  expect(JSON.parse(json.stdout)).toMatchObject({ modelFolder: "as-json", dtype: "bfloat16", verification: null });
});

test.each([
  ["merge", "big", "--out", "half"],
  ["quantize", "big", "--to", "nf4", "--block-size", "16", "--out", "half"],
  ["export", "big", "--to", "hf", "--out", "half"],
  ["export", "big", "--to", "gguf", "--type", "f32", "--out", "half.gguf"],
])("an interrupt of %s %s %s %s leaves nothing beside --out", async (...args) => {
  if (!(await readdir(folder)).includes("big")) await writeSmallModel(at("big"), { numLayers: 150 });
  const before = (await readdir(folder)).sort();
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: folder });
  const ended = new Promise((resolve) => child.on("close", resolve));
  const isWriting = () => readdirSync(folder).some((name) => name.startsWith(".half."));
  while (child.exitCode === null && !isWriting()) await new Promise((resolve) => setTimeout(resolve, 1));
  child.kill("SIGINT");
  expect(await ended).toBe(130);
  expect((await readdir(folder)).sort()).toEqual(before);
});
