import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterAll, expect, test } from "vitest";
import { readOnnxHeader } from "../src/formats/onnx-header.js";
import { Rng } from "../src/tensor/random.js";
import { ONNX_DTYPES, type OnnxDtype } from "../src/verbs/export-formats.js";
import { exportOnnx } from "../src/verbs/export-onnx.js";
import { openTarget, unmergedOf } from "../src/verbs/target.js";
import { SMALL_CONFIGS, type SmallConfig, writeRandomModel } from "./architectures/small-configs.js";
import { changeTensors } from "./small-model.js";

const root = mkdtempSync(path.join(tmpdir(), "highrank-onnx-dtypes-"));
afterAll(() => rmSync(root, { recursive: true }));

/** Widths of whole blocks, a key for each architecture that has another name for it. */
const WIDE = { hidden_size: 64, intermediate_size: 96, n_embd: 64 };

/** Change of the logits, at least and at most; random weights lose more than those that have learned. */
const LOST: Readonly<Record<Exclude<OnnxDtype, "float32">, readonly [least: number, most: number]>> = {
  float16: [1e-4, 5e-3],
  fp16: [1e-4, 5e-3],
  q8: [1e-3, 0.1],
  q4: [1e-2, 0.7],
  q4f16: [1e-2, 0.7],
};

const ids = Array.from({ length: 11 }, (_, i) => Math.floor(new Rng(i, "ids").uniform() * 270));

/** Logits of the tokens, given in parts of some lengths, each after the cache of those before. */
async function logitsOf(file: string, parts: readonly number[]): Promise<Float32Array> {
  const session = await InferenceSession.create(file);
  let cache: Record<string, Tensor> = {};
  for (const { name, ...meta } of session.inputMetadata) {
    if (!name.startsWith("past_key_values.")) continue;
    const { shape, type } = meta as { readonly shape: readonly number[]; readonly type: "float32" | "float16" };
    const none = type === "float16" ? new Uint16Array(0) : new Float32Array(0);
    cache[name] = new Tensor(type, none, [1, shape[1]!, 0, shape[3]!]);
  }
  const list = (values: readonly number[]): Tensor =>
    new Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
  const all: number[] = [];
  let past = 0;
  for (const count of parts) {
    const positions = Array.from({ length: count }, (_, i) => past + i);
    const results = await session.run({
      ...{ input_ids: list(ids.slice(past, past + count)), position_ids: list(positions) },
      ...{ attention_mask: list(new Array<number>(past + count).fill(1)), ...cache },
    });
    expect(results.logits!.type).toBe("float32");
    all.push(...(results.logits!.data as Float32Array));
    const present = Object.entries(results).filter(([name]) => name.startsWith("present."));
    cache = Object.fromEntries(
      present.map(([name, value]) => [name.replace("present.", "past_key_values."), value as Tensor]),
    );
    past += count;
  }
  await session.release();
  return Float32Array.from(all);
}

/** The norm of the difference as a share of that of the logits. */
function apart(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  let [apart, all] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    apart += (a[i]! - b[i]!) ** 2;
    all += b[i]! ** 2;
  }
  return Math.sqrt(apart / all);
}

async function exported(name: string, dtypes: readonly OnnxDtype[]) {
  const unmerged = await unmergedOf(await openTarget(path.join(root, name), { base: null }));
  const out = path.join(root, `${name}-${dtypes.join()}`);
  return exportOnnx(unmerged, { out, dtypes });
}

/** Tied and untied heads, biases, joined projections, two tables, and heads of widths that are no blocks. */
const CONFIGS: readonly SmallConfig[] = [
  "llama with shared key heads and a tied head",
  "qwen3, with normed heads",
  "phi3, with joined projections and a window",
  "gpt2, with learned positions and a tied head",
  "gemma3_text, with sliding windows and two kinds of positions",
];

test.each(CONFIGS)("%s: files of every dtype lose what their bits do, at once and after a cache", async (config) => {
  const name = config.replaceAll(/\W+/g, "-");
  await writeRandomModel(path.join(root, name), { ...SMALL_CONFIGS[config], ...WIDE });
  const { folder } = await exported(name, ["float32", "fp16", "q8", "q4", "q4f16"]);
  const half = await exported(name, ["float16"]);
  const file = (dtype: OnnxDtype): string => path.join(folder, `onnx/model${ONNX_DTYPES[dtype].suffix}.onnx`);
  const exact = await logitsOf(file("float32"), [ids.length]);
  for (const [dtype, [least, most]] of Object.entries(LOST)) {
    const model = dtype === "float16" ? path.join(half.folder, half.model) : file(dtype as OnnxDtype);
    const whole = await logitsOf(model, [ids.length]);
    const lost = apart(whole, exact);
    expect(lost, dtype).toBeGreaterThan(least);
    expect(lost, dtype).toBeLessThan(most);
    expect(apart(await logitsOf(model, [1, 6, 1, 3]), whole), dtype).toBeLessThan(2e-3);
  }
});

test("what is held in which type", async () => {
  await writeRandomModel(path.join(root, "held"), {
    ...SMALL_CONFIGS["llama with shared key heads and a tied head"],
    ...WIDE,
  });
  const { folder, models } = await exported("held", ["q4f16", "q4", "q8", "fp16"]);
  expect(models.map(({ model }) => model)).toEqual(
    ["_q4f16", "_q4", "_quantized", "_fp16"].map((suffix) => `onnx/model${suffix}.onnx`),
  );
  const config = JSON.parse(await readFile(path.join(folder, "config.json"), "utf8"));
  expect(config["transformers.js_config"]).toEqual({
    dtype: "q4f16",
    kv_cache_dtype: { q4f16: "float16", fp16: "float16" },
  });
  const headers = await Promise.all(models.map(({ model }) => readOnnxHeader(path.join(folder, model))));
  for (const [i, { dtype }] of models.entries()) {
    const { inputs, outputs, initializers, operators, opsets } = headers[i]!;
    const cache = ONNX_DTYPES[dtype].half ? "FLOAT16" : "FLOAT";
    const caches = [...inputs, ...outputs].filter(({ name }) => /^(past_key_values|present)\./.test(name));
    expect(caches.length).toBe(8);
    for (const each of caches) expect(each.dtype).toBe(cache);
    const stored = new Map(initializers.map(({ name, ...each }) => [name, each]));
    // The table is there once, and so is each matrix.
    expect([...stored.keys()].filter((name) => name.startsWith("model.embed_tokens")).length).toBe(
      dtype === "fp16" ? 1 : 2,
    );
    expect(operators["com.microsoft.MatMulNBits"]).toBe(dtype === "fp16" ? undefined : 2 * 7 + 1);
    expect(opsets).toEqual({ "": 17, ...(dtype !== "fp16" && { "com.microsoft": 1 }) });
    if (dtype === "fp16") continue;
    const bytes = (name: string): number => stored.get(`${name}.codes`)!.shape[2]!;
    expect(bytes("model.embed_tokens.weight")).toBe(32);
    expect(bytes("model.layers.0.mlp.down_proj.weight")).toBe(32);
    expect(bytes("model.layers.1.self_attn.v_proj.weight")).toBe(32);
    expect(bytes("model.layers.1.self_attn.q_proj.weight")).toBe(dtype === "q8" ? 32 : 16);
    expect(stored.get("model.layers.0.mlp.up_proj.weight.scales")).toEqual({
      dtype: cache,
      shape: [96, 2],
    });
  }
});

test("a matrix whose rows are no whole blocks stays float32", async () => {
  await writeRandomModel(path.join(root, "narrow"), SMALL_CONFIGS.llama);
  const { models, folder } = await exported("narrow", ["float32", "q4"]);
  const [exact, rounded] = await Promise.all(models.map(({ model }) => logitsOf(path.join(folder, model), [11])));
  expect(rounded).toEqual(exact);
});

test("two files of one name are refused", async () => {
  await writeRandomModel(path.join(root, "twice"), SMALL_CONFIGS.llama);
  await expect(exported("twice", ["float16", "fp16"])).rejects.toThrow(/are both model_fp16.onnx; choose one/);
});

test("weights that are not finite are refused by name, in codes as in floats", async () => {
  const folder = path.join(root, "infinite");
  await writeRandomModel(folder, { ...SMALL_CONFIGS.llama, ...WIDE });
  const name = "model.layers.1.mlp.up_proj.weight";
  await changeTensors(folder, (tensors) => void tensors.get(name)!.data.fill(Number.NaN, 70, 71));
  for (const dtype of ["q4", "q8", "fp16"] as const) {
    await expect(exported("infinite", [dtype])).rejects.toThrow(`tensor "${name}" would hold NaN`);
  }
});
