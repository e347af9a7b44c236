import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  GGUF_MODELS,
  GGUF_TEMPLATE,
  ggufTokenizer,
  LLAMA3,
  writeGgufAdapter,
  writeGgufModel,
} from "../../tests/gguf-models.js";
import { addTerms } from "../adapters/low-rank-term.js";
import { ConfigError } from "../base/errors.js";
import { readEndIds } from "../formats/generation-config.js";
import { openGguf } from "../gguf/open-gguf.js";
import { companionFiles, readTokenizer } from "../loading/companions.js";
import { folderSource } from "../loading/folder-source.js";
import { diskParameters } from "../loading/model-source.js";
import { describeModel } from "../models/architectures.js";
import type { HostTensor } from "../tensor/dtype.js";
import { exportTarget } from "./export.js";
import type { ExportedGgufAdapter } from "./export-gguf-adapter.js";

const TEXTS = ["The 3rd cat sat, didn't it?", "  größer\n\n日本語 <|endoftext|> 12", ""];

let root = "";
const tokenizer = ggufTokenizer();
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), "highrank-export-gguf-"));
});
afterAll(async () => rm(root, { recursive: true }));

/** Writes one of the models; returns its folder. */
async function writeModel(name: string, change: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const folder = path.join(root, name);
  await writeGgufModel(folder, name, change);
  return folder;
}

const GGUF = { base: null, to: "gguf", dtype: null } as const;

/** Our names for what a config says, without functions, and with numbers as float32. */
function sizesOf(config: Readonly<Record<string, unknown>>): object {
  const absent = { attentionBias: false, mlpBias: false };
  const sizes = { ...absent, ...describeModel(config).config, initializerRange: null, endOfTextId: null };
  return JSON.parse(JSON.stringify(sizes, (_, value) => (typeof value === "number" ? Math.fround(value) : value)));
}

describe("a model of each architecture comes back from the file as it was:", () => {
  test.each(Object.keys(GGUF_MODELS))("%s", async (name) => {
    const folder = await writeModel(name);
    const out = path.join(root, `${name}.gguf`);
    const exported = await exportTarget(folder, { ...GGUF, type: "f32", out });
    expect(exported).toMatchObject({ format: "gguf", file: out, relativeErrors: {} });
    const [before, after] = [await folderSource(folder), await folderSource(out)];
    // The file of GPT-NeoX has a head of its own in any case.
    const isTied = before.config.tie_word_embeddings === true && name !== "tied gpt_neox";
    // A window becomes the length of the context.
    const shortened = name === "phi3" && { maxSequenceLength: before.config.sliding_window };
    const expected = sizesOf({ ...before.config, tie_word_embeddings: isTied || undefined });
    expect(sizesOf(after.config)).toEqual({ ...expected, ...shortened });
    const model = diskParameters(after.build());
    expect(model.size).toBeGreaterThanOrEqual(before.tensors.size);
    for (const [key, tensor] of before.tensors) {
      const [was, is] = [await tensor.read(), await after.readWeight(key)];
      // Gemma's norms are moved by 1 and back.
      const apart = is.reduce((most, value, i) => Math.max(most, Math.abs(value - was[i]!)), 0);
      expect([key, apart]).toEqual([
        key,
        name.startsWith("gemma3_text") && /norm/.test(key) ? expect.closeTo(0, 6) : 0,
      ]);
    }
    const read = await readTokenizer(out);
    expect(TEXTS.map((text) => read.encode(text))).toEqual(TEXTS.map((text) => tokenizer.encode(text)));
    expect(read.config.chat_template).toBe(GGUF_TEMPLATE);
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

  test("q4_k_m is llama.cpp's mix", async () => {
    const folder = await writeModel("tied llama", { hidden_size: 256, intermediate_size: 320, num_hidden_layers: 16 });
    const out = path.join(root, "mix.gguf");
    await exportTarget(folder, { ...GGUF, type: "q4_k_m", out });
    const { tensors, metadata } = await openGguf(out);
    expect(metadata.get("general.file_type")).toEqual({ type: "uint32", value: 15 });
    const typesOf = (part: string): (string | undefined)[] =>
      Array.from({ length: 16 }, (_, layer) => tensors.get(`blk.${layer}.${part}.weight`)?.type.name);
    const more = [0, 1, 4, 7, 10, 13, 14, 15];
    expect(typesOf("attn_v")).toEqual(Array.from({ length: 16 }, (_, i) => (more.includes(i) ? "Q6_K" : "Q4_K")));
    expect(typesOf("ffn_down")).toEqual(Array.from({ length: 16 }, (_, i) => (more.includes(i) ? "Q8_0" : "Q5_0")));
    expect(new Set(typesOf("attn_q"))).toEqual(new Set(["Q4_K"]));
    expect(tensors.get("token_embd.weight")!.type.name).toBe("Q6_K");
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
    // Their tensors would be left over, and the file not loaded.
    ["qwen3", { attention_bias: true }, "attention_bias must be false"],
    ["qwen2", { rope_scaling: LLAMA3 }, "rope_type must not be llama3 with qwen2"],
    ["qwen3", { rope_scaling: LLAMA3 }, "rope_type must not be llama3 with qwen3"],
    ["gemma3_text", { rope_scaling: LLAMA3 }, "rope_type must not be llama3 with gemma3"],
    ["gpt_neox", { rope_scaling: LLAMA3 }, "rope_type must not be llama3 with gptneox"],
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
    await expect(attempt({})).rejects.toThrow("exists; name a new file");
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

test("what the card of a model says goes with it, from file to file too", async () => {
  const folder = await writeModel("qwen2");
  const [first, second] = [path.join(root, "carded.gguf"), path.join(root, "carded-again.gguf")];
  const card =
    "---\nlicense: apache-2.0\nlicense_name: mine\nlanguage: [en, de]\ntags: [chat]\npipeline_tag: text-generation\n" +
    "base_model: [acme-labs/Small-135m-v0.1, local]\ndatasets: acme/talk\n---\n# Card\n";
  await writeFile(path.join(folder, "README.md"), card);
  await exportTarget(folder, { ...GGUF, type: "f16", out: first });
  await exportTarget(first, { ...GGUF, type: "q8_0", out: second });
  for (const file of [first, second]) {
    const { metadata } = await openGguf(file, { lists: true });
    const value = (key: string): unknown => {
      const found = metadata.get(`general.${key}`);
      return found?.type === "array" ? found.items : found?.value;
    };
    expect([value("license"), value("license.name"), value("license.link")]).toEqual(["apache-2.0", "mine", undefined]);
    expect([value("languages"), value("tags")]).toEqual([
      ["en", "de"],
      ["chat", "text-generation"],
    ]);
    // As gguf-py writes them.
    expect([value("base_model.count"), value("base_model.1.name")]).toEqual([2, "Local"]);
    expect([value("base_model.0.name"), value("base_model.0.organization")]).toEqual(["Small 135m v0.1", "Acme Labs"]);
    expect(value("base_model.0.repo_url")).toBe("https://huggingface.co/acme-labs/Small-135m-v0.1");
    expect([value("dataset.0.name"), value("dataset.0.repo_url")]).toEqual([
      "Talk",
      "https://huggingface.co/datasets/acme/talk",
    ]);
    expect(value("name")).toBe(path.basename(file, ".gguf"));
  }
});

test("a GGUF file goes with its model into a folder of its own", async () => {
  const folder = await writeModel("qwen3");
  const [file, out] = [path.join(root, "there.gguf"), path.join(root, "back")];
  await exportTarget(folder, { ...GGUF, type: "q8_0", out: file });
  await exportTarget(file, { base: null, to: "hf", dtype: null, out });
  const [packed, plain] = [await folderSource(file), await folderSource(out)];
  for (const key of packed.tensors.keys()) expect(await plain.readWeight(key)).toEqual(await packed.readWeight(key));
  await expect(folderSource(root)).rejects.toThrow(/holds its model in a GGUF file; name that, as .*\.gguf$/);
  expect([...(await companionFiles(out)).keys()].sort()).toEqual([...(await companionFiles(file)).keys()].sort());
});

describe("an adapter alone:", () => {
  const attempt = async (name: string, out: string, options: object = {}) =>
    exportTarget(path.join(root, name), { ...GGUF, adapterOnly: true, out: path.join(root, out), ...options });

  test.each(Object.keys(GGUF_MODELS))("%s: alpha / rank times its factors is what merging adds", async (name) => {
    const folder = await writeModel(name);
    await writeGgufAdapter(path.join(root, "adapter", name), folder);
    const exported = await attempt(`adapter/${name}`, `${name}-adapter.gguf`);
    expect(exported).toMatchObject({ format: "gguf-adapter", type: "f32", rank: 4, alpha: 12 });
    const open = async (target: string, out: string) => {
      await exportTarget(target, { ...GGUF, type: "f32", out: path.join(root, out) });
      return (await openGguf(path.join(root, out))).tensors;
    };
    const base = await open(folder, `${name}-base.gguf`);
    const merged = await open(path.join(root, "adapter", name), `${name}-merged.gguf`);
    const { metadata, tensors } = await openGguf(path.join(root, `${name}-adapter.gguf`));
    expect(metadata.get("general.type")).toEqual({ type: "string", value: "adapter" });
    expect(metadata.get("adapter.lora.alpha")).toEqual({ type: "float32", value: 12 });
    const changed = new Set([...tensors.keys()].map((each) => each.replace(/\.lora_[ab]$/, "")));
    expect(tensors.size).toBe(2 * (exported as ExportedGgufAdapter).layers);
    for (const [weight, tensor] of base) {
      const [before, after] = [await tensor.read(), await merged.get(weight)!.read()];
      if (!changed.has(weight)) {
        expect([weight, after]).toEqual([weight, before]);
        continue;
      }
      const [a, b] = [tensors.get(`${weight}.lora_a`)!, tensors.get(`${weight}.lora_b`)!];
      const rank = a.shape[0]!;
      const term = { rank, scaling: 12 / rank, loraA: await a.read(), loraB: await b.read() };
      const sum = await addTerms(before, [term]);
      expect([weight, Math.max(...sum.map((value, i) => Math.abs(value - after[i]!)))]).toEqual([
        weight,
        expect.closeTo(0, 5),
      ]);
    }
  });

  test("what llama.cpp's adapters cannot hold is refused by name", async () => {
    const folder = await writeModel("tied llama");
    const norm = { dtype: "float32", shape: [32], data: new Float32Array(32) } as const;
    const write = (name: string, change: object) => writeGgufAdapter(path.join(root, name), folder, change);
    await write("dora", { useDora: true });
    await expect(attempt("dora", "dora.gguf")).rejects.toThrow(
      "cannot hold the magnitudes of DoRA (model.layers.0.mlp.down_proj, model.layers.0.mlp.gate_proj, " +
        "model.layers.0.mlp.up_proj and 11 more); write the whole model without adapterOnly",
    );
    const table = { dtype: "float32", shape: [288, 32], data: new Float32Array(288 * 32) } as const;
    const modulesToSave = new Map<string, HostTensor>([
      ["model.norm.weight", norm],
      ["lm_head.weight", table],
    ]);
    await write("more", { modulesToSave });
    await expect(attempt("more", "more.gguf")).rejects.toThrow(
      "what was trained in full or is no linear layer (lm_head.weight, model.norm.weight)",
    );
    await expect(attempt("tied llama", "model.gguf")).rejects.toThrow("is a whole model, which has no adapter");
    expect(await readdir(root)).not.toContain("dora.gguf");
  });

  test("options that do not go with it", async () => {
    await writeGgufAdapter(path.join(root, "plain"), await writeModel("qwen2"));
    await expect(attempt("plain", "plain.gguf", { type: "q8_0" })).rejects.toThrow("an adapter is f32, f16, bf16");
    const adapters = [{ adapter: path.join(root, "plain"), weight: 0.5 }];
    await expect(attempt("qwen2", "weighted.gguf", { adapters })).rejects.toThrow("adapters is for whole models");
    await expect(attempt("plain", "folder", { to: "hf" })).rejects.toThrow("adapterOnly is for to gguf");
    await attempt("plain", "plain.gguf", { type: "f16" });
    const { tensors } = await openGguf(path.join(root, "plain.gguf"));
    expect(new Set([...tensors.values()].map(({ type }) => type.name))).toEqual(new Set(["F16"]));
    await expect(folderSource(path.join(root, "plain.gguf"))).rejects.toThrow('general.type is "adapter"');
  });
});
