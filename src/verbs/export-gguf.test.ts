import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ConfigError } from "../base/errors.js";
import { readEndIds } from "../formats/generation-config.js";
import { openGguf } from "../formats/gguf/open-gguf.js";
import { writeModelFolder } from "../formats/model-folder.js";
import { toStorage } from "../formats/model-tensors.js";
import { companionFiles, readTokenizer } from "../loading/companions.js";
import { folderSource } from "../loading/folder-source.js";
import { diskParameters } from "../loading/model-source.js";
import { describeModel } from "../models/architectures.js";
import { Rng } from "../tensor/random.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import { trainTokenizer } from "../tokenizers/train-tokenizer.js";
import { exportTarget } from "./export.js";

const TEXTS = ["The 3rd cat sat, didn't it?", "  größer\n\n日本語 <|endoftext|> 12", ""];
const TEMPLATE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}";

let root = "";
let tokenizer: Tokenizer;
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), "highrank-export-gguf-"));
  const texts = Array.from({ length: 40 }, (_, i) => `The ${i % 7}th cat sat on mat number ${i}.`);
  tokenizer = trainTokenizer(texts, { vocabSize: 280 }).withChatTemplate(TEMPLATE);
});
afterAll(async () => rm(root, { recursive: true }));

const SMALL = {
  ...{ hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2 },
  ...{ max_position_embeddings: 64, rms_norm_eps: 1e-5, initializer_range: 0.2 },
};
const LLAMA3 = {
  ...{ rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4 },
  original_max_position_embeddings: 8192,
};
const LONG = { rope_type: "longrope", short_factor: [1, 1.5, 2, 3], long_factor: [2, 3, 4, 8] };

/** A config of each architecture, with all that files say of it. */
const MODELS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  llama: { model_type: "llama", ...SMALL, attention_bias: true, rope_theta: 5e5, rope_scaling: LLAMA3 },
  "tied llama": {
    model_type: "llama",
    ...SMALL,
    tie_word_embeddings: true,
    rope_scaling: { type: "linear", factor: 2 },
  },
  mistral: { model_type: "mistral", ...SMALL, sliding_window: null },
  qwen2: { model_type: "qwen2", ...SMALL, tie_word_embeddings: true },
  qwen3: { model_type: "qwen3", ...SMALL, head_dim: 16 },
  phi3: {
    ...{ model_type: "phi3", ...SMALL, original_max_position_embeddings: 32, sliding_window: 16 },
    rope_scaling: LONG,
  },
  gemma3_text: {
    ...{ model_type: "gemma3_text", ...SMALL, head_dim: 16, query_pre_attn_scalar: 16, sliding_window: 8 },
    ...{ num_hidden_layers: 6, final_logit_softcapping: 30 },
  },
  gpt2: { model_type: "gpt2", n_embd: 32, n_layer: 2, n_head: 4, n_positions: 64 },
  gpt_neox: { model_type: "gpt_neox", ...SMALL, num_key_value_heads: undefined, use_parallel_residual: false },
  "tied gpt_neox": { model_type: "gpt_neox", ...SMALL, num_key_value_heads: undefined, tie_word_embeddings: true },
};

/** Writes a model with random weights, none of which is zero, and the tokenizer. */
async function writeModel(name: string, more: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const folder = path.join(root, name);
  const config = { ...MODELS[name], vocab_size: 288, bos_token_id: 0, eos_token_id: 0, ...more };
  const described = describeModel(config);
  const rng = new Rng(5);
  const tensors = new Map(
    [...diskParameters(described.create(rng))].map(([key, { shape, values }]) => {
      const data = values.map((value) => value + 0.1 * rng.normal());
      return [key, { dtype: "float32", shape, data } as const] as const;
    }),
  );
  const files = new Map([
    ["tokenizer.json", JSON.stringify(tokenizer.toJson())],
    ["tokenizer_config.json", JSON.stringify(tokenizer.config)],
    ["generation_config.json", JSON.stringify({ eos_token_id: [0, 5] })],
  ]);
  await writeModelFolder(folder, { config, tensors: toStorage(tensors, described.storage), files }, { replace: true });
  return folder;
}

const GGUF = { base: null, to: "gguf", dtype: null } as const;

/** Our names for what a config says, without functions, and with numbers as float32. */
function sizesOf(config: Readonly<Record<string, unknown>>): unknown {
  const absent = { attentionBias: false, mlpBias: false };
  const sizes = { ...absent, ...describeModel(config).config, initializerRange: null, endOfTextId: null };
  return JSON.parse(JSON.stringify(sizes, (_, value) => (typeof value === "number" ? Math.fround(value) : value)));
}

describe("a model of each architecture comes back from the file as it was:", () => {
  test.each(Object.keys(MODELS))("%s", async (name) => {
    const folder = await writeModel(name);
    const out = path.join(root, `${name}.gguf`);
    const exported = await exportTarget(folder, { ...GGUF, type: "f32", out });
    expect(exported).toMatchObject({ format: "gguf", file: out, relativeErrors: {} });
    const [before, after] = [await folderSource(folder), await folderSource(out)];
    // The file of GPT-NeoX has a head of its own in any case.
    const isTied = before.config.tie_word_embeddings === true && name !== "tied gpt_neox";
    expect(sizesOf(after.config)).toEqual(sizesOf({ ...before.config, tie_word_embeddings: isTied || undefined }));
    const model = diskParameters(after.build());
    expect(model.size).toBeGreaterThanOrEqual(before.tensors.size);
    for (const [key, tensor] of before.tensors) {
      const [was, is] = [await tensor.read(), await after.readWeight(key)];
      // Gemma's norms are moved by 1 and back.
      const apart = is.reduce((most, value, i) => Math.max(most, Math.abs(value - was[i]!)), 0);
      expect([key, apart]).toEqual([key, name === "gemma3_text" && /norm/.test(key) ? expect.closeTo(0, 6) : 0]);
    }
    const read = await readTokenizer(out);
    expect(TEXTS.map((text) => read.encode(text))).toEqual(TEXTS.map((text) => tokenizer.encode(text)));
    expect(read.config.chat_template).toBe(TEMPLATE);
    expect(await readEndIds(out)).toEqual([0, 5]);
  });
});

describe("types", () => {
  test("of a file of 4 bits: vectors stay, the output projection has more, and odd rows are float16", async () => {
    const folder = await writeModel("tied llama", { intermediate_size: 40 });
    const out = path.join(root, "types.gguf");
    const exported = await exportTarget(folder, { ...GGUF, type: "q4_0", out });
    const { tensors, metadata } = await openGguf(out);
    const typeOf = (name: string): string | undefined => tensors.get(name)?.type.name;
    expect(typeOf("blk.0.attn_norm.weight")).toBe("F32");
    expect(typeOf("blk.0.attn_q.weight")).toBe("Q4_0");
    expect(typeOf("blk.0.ffn_down.weight")).toBe("F16");
    expect(typeOf("token_embd.weight")).toBe("Q8_0");
    expect(metadata.get("general.file_type")).toEqual({ type: "uint32", value: 2 });
    const { relativeErrors } = exported as Extract<typeof exported, { format: "gguf" }>;
    expect(Object.keys(relativeErrors).sort()).toEqual(["F16", "Q4_0", "Q8_0"]);
    expect(relativeErrors.Q4_0).toBeGreaterThan(0.05);
    expect(relativeErrors.Q8_0).toBeLessThan(0.01);
  });

  test("a file reads as float16 where it holds that", async () => {
    const folder = await writeModel("mistral");
    const out = path.join(root, "halves.gguf");
    await exportTarget(folder, { ...GGUF, type: "f16", out });
    const { tensors } = await folderSource(out);
    for (const name of ["q_proj", "v_proj"]) {
      const tensor = tensors.get(`model.layers.0.self_attn.${name}.weight`)!;
      const half = await tensor.readHalf!();
      expect(half?.format).toBe("float16");
      expect(half?.bits.length).toBe((await tensor.read()).length);
    }
  });

  test("rows of 256 are searched for in q6_k", async () => {
    const folder = await writeModel("qwen2", { hidden_size: 256, intermediate_size: 32 });
    const out = path.join(root, "q6_k.gguf");
    await exportTarget(folder, { ...GGUF, type: "q6_k", out });
    const { tensors } = await openGguf(out);
    expect(tensors.get("blk.0.attn_q.weight")!.type.name).toBe("Q6_K");
    expect(tensors.get("blk.0.ffn_down.weight")!.type.name).toBe("Q8_0");
  });
});

describe("what cannot be written is refused by name, and nothing is left of it:", () => {
  const refusal = async (name: string, more: Readonly<Record<string, unknown>>): Promise<string> => {
    const folder = await writeModel(name, more);
    const before = await readdir(root);
    const out = path.join(root, "refused.gguf");
    const error = await exportTarget(folder, { ...GGUF, out }).then(
      () => new Error("it was written"),
      (cause: Error) => cause,
    );
    expect(await readdir(root)).toEqual(before);
    return error.message;
  };
  test.each([
    ["tied llama", { hidden_act: "gelu" }, "the activation must be silu, not gelu"],
    ["tied llama", { rope_scaling: { type: "dynamic", factor: 2 } }, "not dynamic"],
    ["gemma3_text", { query_pre_attn_scalar: 4 }, "query_pre_attn_scalar must be head_dim, 16, not 4"],
    ["gpt2", { scale_attn_by_inverse_layer_idx: true }, "scale_attn_by_inverse_layer_idx must be false"],
  ])("%s with %j", async (name, more, says) => {
    expect(await refusal(name, more)).toContain(says);
  });

  test("a folder for a file, a file that is there, options of other formats", async () => {
    const folder = await writeModel("gpt2");
    const out = path.join(root, "options.gguf");
    const attempt = (options: object) => exportTarget(folder, { ...GGUF, out, ...options } as never);
    await expect(attempt({ out: path.join(root, "folder") })).rejects.toThrow(ConfigError);
    await expect(attempt({ dtype: "float16" })).rejects.toThrow("gguf has type");
    await expect(attempt({ to: "hf", type: "f16" })).rejects.toThrow("type is for to gguf");
    await attempt({});
    await expect(attempt({})).rejects.toThrow("is there already");
  });
});

test("a file has its name, but not that of Phi 3 without the tokens that llama.cpp then demands", async () => {
  const folder = await writeModel("gpt2");
  const nameIn = async (name: string): Promise<unknown> => {
    const out = path.join(root, `${name}.gguf`);
    await exportTarget(folder, { ...GGUF, out });
    return (await openGguf(out)).metadata.get("general.name");
  };
  expect(await nameIn("my model")).toEqual({ type: "string", value: "my model" });
  expect(await nameIn("my Phi-3")).toBe(undefined);
});

test("a GGUF file goes with its model into a folder of its own", async () => {
  const folder = await writeModel("qwen3");
  const [file, out] = [path.join(root, "there.gguf"), path.join(root, "back")];
  await exportTarget(folder, { ...GGUF, type: "q8_0", out: file });
  await exportTarget(file, { base: null, to: "hf", dtype: null, out });
  const [packed, plain] = [await folderSource(file), await folderSource(out)];
  for (const key of packed.tensors.keys()) expect(await plain.readWeight(key)).toEqual(await packed.readWeight(key));
  expect([...(await companionFiles(out)).keys()].sort()).toEqual([...(await companionFiles(file)).keys()].sort());
});
