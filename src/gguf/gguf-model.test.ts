import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ModelError } from "../base/errors.js";
import { describeModel } from "../models/architectures.js";
import { openGgufModel } from "./gguf-model.js";
import type { GgufValue } from "./types.js";
import { writeGguf } from "./write-gguf.js";

let file = "";
beforeAll(async () => {
  file = path.join(await mkdtemp(path.join(tmpdir(), "highrank-gguf-model-")), "model.gguf");
});
afterAll(async () => rm(path.dirname(file), { recursive: true }));

const uint = (value: number): GgufValue => ({ type: "uint32", value });
const float = (value: number): GgufValue => ({ type: "float32", value });
const bool = (value: boolean): GgufValue => ({ type: "bool", value });
const text = (value: string): GgufValue => ({ type: "string", value });

/** A model with heads of 16 features, and these keys. */
async function open(
  keys: Readonly<Record<string, GgufValue>>,
  factors: Readonly<Record<string, number[]>> = {},
  architecture = "llama",
) {
  const own: Readonly<Record<string, GgufValue>> = {
    context_length: uint(64),
    embedding_length: uint(32),
    block_count: uint(1),
    feed_forward_length: uint(48),
    "attention.head_count": uint(2),
    "attention.layer_norm_rms_epsilon": float(1e-5),
    ...keys,
  };
  const metadata = new Map([["general.architecture", text(architecture)]]);
  for (const [key, value] of Object.entries(own)) metadata.set(`${architecture}.${key}`, value);
  const tensor = (shape: number[], data: Float32Array) => ({
    tensor: { dtype: "float32", shape, data } as const,
    type: "F32" as const,
  });
  const tensors = new Map([["token_embd.weight", tensor([8, 32], new Float32Array(256))]]);
  for (const [name, each] of Object.entries(factors)) tensors.set(name, tensor([each.length], Float32Array.from(each)));
  await writeGguf(file, { metadata, tensors });
  return (await openGgufModel(file)).config;
}

describe("a key that changes what a model computes is refused by name:", () => {
  const cases: [string, GgufValue, unknown][] = [
    ["rope.dimension_count", uint(8), 8],
    ["attention.causal", bool(false), false],
    ["attention.scale", float(0.5), 0.5],
    ["attention.sliding_window", uint(8), 8],
    ["attention.clamp_kqv", float(8), 8],
    ["attention.value_length", uint(8), 8],
    ["attn_logit_softcapping", float(50), 50],
    ["final_logit_softcapping", float(30), 30],
    ["logit_scale", float(2), 2],
    ["residual_scale", float(2), 2],
    ["embedding_scale", float(2), 2],
    ["use_parallel_residual", bool(true), true],
    ["rope.scaling.attn_factor", float(2), 2],
    ["rope.scaling.yarn_beta_fast", float(16), 16],
    ["rope.freq_base_swa", float(100), 100],
    ["rope.dimension_sections", { type: "array", of: "int32", count: 2, items: [4, 4] }, "[4,4]"],
    ["unheard.of", uint(0), 0],
  ];
  test.each(cases)("%s", async (key, value, shown) => {
    const opening = open({ [key]: value });
    await expect(opening).rejects.toThrow(ModelError);
    await expect(opening).rejects.toThrow(`llama.${key} is ${shown}, which is not computed`);
  });

  test("all of them at once", async () => {
    const opening = open({ logit_scale: float(2), "attention.causal": bool(false) });
    await expect(opening).rejects.toThrow("llama.logit_scale is 2, llama.attention.causal is false");
  });
});

test("keys that say what is computed anyway change nothing", async () => {
  const plain = await open({});
  const said = await open({
    vocab_size: uint(8),
    expert_count: uint(0),
    "rope.dimension_count": uint(16),
    "attention.value_length": uint(16),
    "attention.causal": bool(true),
    "attention.scale": float(0.25),
    "attention.sliding_window": uint(64),
    "rope.scaling.original_context_length": uint(32),
    "rope.scaling.attn_factor": float(1),
    logit_scale: float(1),
    use_parallel_residual: bool(false),
  });
  expect(said).toEqual(plain);
});

test("a factor of positions without a type is linear, as in llama.cpp", async () => {
  const scaling = { rope_type: "linear", factor: 4 };
  expect(await open({ "rope.scaling.factor": float(4) })).toMatchObject({ rope_scaling: scaling });
  expect(await open({ "rope.scale_linear": float(4) })).toMatchObject({ rope_scaling: scaling });
  for (const none of [float(0), float(1)])
    expect(await open({ "rope.scaling.factor": none })).not.toHaveProperty("rope_scaling");
  const off = { "rope.scaling.type": text("none"), "rope.scaling.factor": float(4) };
  expect(await open(off)).not.toHaveProperty("rope_scaling");
});

test("longrope without a factor of attention has 1, as in llama.cpp", async () => {
  const factors = {
    "rope_factors_short.weight": [1, 1, 1, 1, 1, 1, 1, 1],
    "rope_factors_long.weight": [2, 2, 2, 2, 2, 2, 2, 2],
  };
  const config = await open({ "rope.scaling.original_context_length": uint(32) }, factors);
  expect(config).toMatchObject({ rope_scaling: { attention_factor: 1 } });
});

test("the layers of Gemma 3 with a window are every sixth but one, or as a number or a list says", async () => {
  const typesWith = async (pattern?: GgufValue): Promise<string> => {
    const window = { "attention.sliding_window": uint(8), block_count: uint(7) };
    const keys = pattern === undefined ? window : { ...window, "attention.sliding_window_pattern": pattern };
    const { layer_types: types } = await open(keys, {}, "gemma3");
    return (types as string[]).map((type) => type[0]).join("");
  };
  const list = (...items: boolean[]): GgufValue => ({ type: "array", of: "bool", count: items.length, items });
  expect(await typesWith()).toBe("sssssfs");
  expect(await typesWith(uint(2))).toBe("sfsfsfs");
  expect(await typesWith(uint(0))).toBe("sssssss");
  expect(await typesWith(list(false, true, true, false, true, true, true))).toBe("fssfsss");
  await expect(typesWith(list(true, false))).rejects.toThrow("has 2 values for 7 layers");
  await expect(typesWith(text("alternating"))).rejects.toThrow("must be a number");
});

test("longrope keeps the length from which its long factors count", async () => {
  const [short, long] = [new Array<number>(8).fill(1), new Array<number>(8).fill(2)];
  const config = await open(
    { "rope.scaling.original_context_length": uint(32), "rope.scaling.attn_factor": float(1.5) },
    { "rope_factors_short.weight": short, "rope_factors_long.weight": long },
  );
  expect(describeModel(config).config).toMatchObject({
    ropeScaling: { kind: "longrope", originalLength: 32, shortFactors: short, longFactors: long, attentionFactor: 1.5 },
  });
});
