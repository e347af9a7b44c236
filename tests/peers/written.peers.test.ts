import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { resolveSettings } from "../../src/config/resolve.js";
import type { Settings } from "../../src/config/settings.js";
import { createQuantizer } from "../../src/quant/quantizer.js";
import { Tokenizer } from "../../src/tokenizers/tokenizer.js";
import { trainTokenizer } from "../../src/tokenizers/train-tokenizer.js";
import { train } from "../../src/training/train.js";
import { evaluateTarget } from "../../src/verbs/evaluate.js";
import { exportTarget } from "../../src/verbs/export.js";
import { quantizeModel } from "../../src/verbs/quantize.js";
import { TEXT } from "../small-model.js";
import { ARCHITECTURES, logitsApart, type Read, readLogits, someRows } from "./folders.js";
import { ask, describePeers } from "./peer.js";

let root = "";
const at = (...names: string[]): string => path.join(root, ...names);
const ROWS = someRows(280, 4, 20);
const TEXTS = ["The 3rd cat<turn> sat", "é on <s>mat 7"];
const TEMPLATE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}{% endfor %}";
const TOKENIZER_FILES = ["chat_template.jinja", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"];
const HF = { base: null, to: "hf", dtype: null } as const;
const PEFT = { base: null, to: "peft", dtype: null } as const;

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), "highrank-written-"));
  await mkdir(at("data"));
  const lines = (rows: readonly (readonly number[])[]): string =>
    rows.map((input_ids) => JSON.stringify({ input_ids })).join("\n");
  await writeFile(at("data/train.jsonl"), lines(ROWS));
  await writeFile(at("data/validation.jsonl"), lines(ROWS.slice(0, 2)));
});
afterAll(async () => rm(root, { recursive: true }));

async function ourLoss(target: string, base: string | null = null): Promise<number> {
  const limits = { batchSize: 4, sequenceLength: null, maxTokens: null } as const;
  const machine = { device: "cpu", threads: 1, adapter: true } as const;
  return (await evaluateTarget(target, { base, data: at("data/train.jsonl"), ...limits, ...machine })).loss;
}

const readModel = (folder: string): Promise<Read> => ask<Read>("model_folders", "read", { folder, ids: ROWS });
const WHOLE = { missing: [], unexpected: [], mismatched: [], warnings: [] };

const NO_DROPOUT = { embd_pdrop: 0, resid_pdrop: 0, attn_pdrop: 0 };

/** A random model of each architecture, of sizes that 4-bit kernels take, with a tokenizer. */
async function writeBase(type: string, change: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const folder = at(`${type}-${Object.keys(change).join("-")}`);
  const sizes =
    type === "gpt2"
      ? { n_embd: 64, vocab_size: 300, ...NO_DROPOUT }
      : { hidden_size: 64, intermediate_size: 128, vocab_size: 300 };
  const config = { model_type: type, ...ARCHITECTURES[type], ...sizes, ...change };
  await ask("model_folders", "write", { folder, config });
  const tokenizer = trainTokenizer(TEXT.split("\n\n"), { vocabSize: 280, maxLength: 64 });
  const files = {
    "tokenizer.json": tokenizer.toJson(),
    "tokenizer_config.json": { ...tokenizer.config, additional_special_tokens: ["<turn>"] },
    "special_tokens_map.json": { additional_special_tokens: ["<turn>"] },
  };
  for (const [name, content] of Object.entries(files))
    await writeFile(path.join(folder, name), JSON.stringify(content));
  await writeFile(path.join(folder, "chat_template.jinja"), TEMPLATE);
  return folder;
}

async function run(name: string, model: string, flags: Partial<Settings>): Promise<string> {
  const sizes = { maxSteps: 4, batchSize: 4, sequenceLength: 32, sampleTokens: 0, threads: 1, rank: 4, lr: 2e-2 };
  const out = at(name);
  await train(resolveSettings({ flags: { model, data: at("data"), ...sizes, warmupSteps: 0, out, ...flags } }));
  return out;
}

/** An exported adapter has the loss of its run in PEFT, and the tokenizer of the base beside it. */
async function expectInPeft(adapter: string, base: string, loss: number): Promise<void> {
  const read = await ask<object>("peft_adapters", "read_adapter", { base, adapter, rows: ROWS });
  expect(read).toEqual({ loss: expect.closeTo(loss, 4.7), missing: [], unexpected: [], warnings: [] });
  expect(await readdir(adapter)).toEqual(
    ["README.md", "adapter_config.json", "adapter_model.safetensors", ...TOKENIZER_FILES].sort(),
  );
  for (const file of TOKENIZER_FILES) {
    expect(await readFile(path.join(adapter, file)), file).toEqual(await readFile(path.join(base, file)));
  }
  const tokenizer = await Tokenizer.fromFolder(adapter);
  const ids = await ask("model_folders", "encode", { folder: adapter, texts: TEXTS });
  expect(ids).toEqual(TEXTS.map((text) => tokenizer.encodePrompt(text, null)));
}

const RUNS: Readonly<Record<string, Partial<Settings>>> = {
  lora: { method: "lora" },
  "relora beside norms": { method: "relora", reloraEvery: 2, restartWarmupSteps: 0, trainModules: ["norms"] },
  "relora beside the head": { method: "relora", reloraEvery: 2, restartWarmupSteps: 0, trainModules: ["head"] },
  "relora beside the table": { method: "relora", reloraEvery: 2, restartWarmupSteps: 0, trainModules: ["embeddings"] },
  dora: { method: "lora", adapterKind: "dora" },
  core: { method: "lora", adapterKind: "core" },
  "lora of rank patterns": {
    method: "lora",
    rankPattern: ["q_proj=2"],
    rslora: true,
    targetModules: ["q_proj", "up_proj"],
  },
  "qlora on nf4": { method: "lora", quantize: "nf4", doubleQuant: true },
  "relora on int8": { method: "relora", quantize: "int8", reloraEvery: 2, restartWarmupSteps: 0 },
};

describePeers("transformers and PEFT read what is exported", () => {
  test.each([
    ...Object.keys(ARCHITECTURES).map((type) => [type, "relora beside norms", {}] as const),
    ...Object.keys(RUNS).map((kind) => ["llama", kind, { attention_bias: true }] as const),
    ["llama", "lora", { tie_word_embeddings: true }] as const,
    ["llama", "relora beside the table", { tie_word_embeddings: true }] as const,
    ["gpt2", "relora beside the table", { n_positions: 32 }] as const,
    ["gpt_neox", "relora beside the head", { rotary_pct: 0.5 }] as const,
    ["gpt_neox", "relora beside the table", { tie_word_embeddings: true }] as const,
  ])("of %s, %s, %j", async (type, kind, change) => {
    const name = `${type} ${kind} ${Object.keys(change)}`;
    const folder = await run(name, await writeBase(type, change), RUNS[kind]!);
    const loss = await ourLoss(at(name));
    await exportTarget(folder, { ...HF, out: at(`${name} as-hf`) });
    expect(await readModel(at(`${name} as-hf`))).toEqual({ loss: expect.closeTo(loss, 4.7), ...WHOLE });
    const dtype = type === "gemma3_text" || kind === "dora" ? "bfloat16" : "float16";
    await exportTarget(folder, { ...HF, dtype, out: at(`${name} ${dtype}`) });
    const rounded = await ourLoss(at(`${name} ${dtype}`));
    expect(await readModel(at(`${name} ${dtype}`))).toEqual({ loss: expect.closeTo(rounded, 4.7), ...WHOLE });
    expect(Math.abs(rounded - loss)).toBeLessThan(0.1);
    await exportTarget(folder, { ...PEFT, out: at(`${name} as-peft`) });
    await expectInPeft(at(`${name} as-peft`), path.join(folder, "base"), loss);
  });

  test("of an adapter", async () => {
    const folder = await run("once", await writeBase("qwen2"), RUNS.lora!);
    const base = path.join(folder, "base");
    await exportTarget(folder, { ...PEFT, out: at("first") });
    await exportTarget(at("first"), { ...PEFT, base, out: at("second") });
    await expectInPeft(at("second"), base, await ourLoss(folder));
    await exportTarget(at("second"), { ...HF, base, out: at("third") });
    expect(await readModel(at("third"))).toEqual({ loss: expect.closeTo(await ourLoss(folder), 4.7), ...WHOLE });
  });

  test("of full training", async () => {
    const folder = await run("full", await writeBase("llama", { head_dim: 32 }), { method: "full" });
    const loss = await ourLoss(folder);
    await exportTarget(folder, { ...HF, out: at("full-hf") });
    expect(await readModel(at("full-hf"))).toEqual({ loss: expect.closeTo(loss, 4.7), ...WHOLE });
    for (const written of [path.join(folder, "model"), path.join(folder, "base")]) {
      expect(await readModel(written)).toMatchObject(WHOLE);
    }
  });
});

/** Logits of a row of tokens by an exported file alone. */
async function onnxLogits(folder: string, ids: readonly number[]): Promise<Float32Array> {
  const session = await InferenceSession.create(path.join(folder, "onnx/model.onnx"));
  const list = (values: readonly number[]) => new Tensor("int64", BigInt64Array.from(values, BigInt), [1, ids.length]);
  const feeds: Record<string, Tensor> = {
    input_ids: list(ids),
    attention_mask: list(ids.map(() => 1)),
    position_ids: list(ids.map((_, i) => i)),
  };
  for (const { name, ...meta } of session.inputMetadata) {
    const { shape } = meta as { readonly shape: readonly number[] };
    if (name in feeds) continue;
    feeds[name] = new Tensor("float32", new Float32Array(0), [1, shape[1]!, 0, shape[3]!]);
  }
  const { logits } = await session.run(feeds);
  await session.release();
  return logits!.data as Float32Array;
}

const FACTORS = { short_factor: [1, 1.1, 1.3, 1.6], long_factor: [1.5, 2, 4, 8] };
describePeers("ONNX Runtime computes what transformers computes", () => {
  test.each([
    ["llama", "linear", { factor: 3 }],
    ["llama", "llama3", { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 12 }],
    ["llama", "yarn", { factor: 4, original_max_position_embeddings: 12 }],
    ["llama", "longrope", { original_max_position_embeddings: 12, ...FACTORS }],
    ["phi3", "longrope", { original_max_position_embeddings: 12, ...FACTORS }],
    ["llama", "dynamic", { factor: 3 }],
    ["qwen2", "dynamic", { factor: 2 }],
    ["llama", "proportional", { partial_rotary_factor: 0.5, factor: 2 }],
  ])("of %s with positions %s, in short and long texts", async (type, rope_type, scaling) => {
    const folder = at(`${type} ${rope_type}`);
    const { original_max_position_embeddings } = scaling as { original_max_position_embeddings?: number };
    const lengths = {
      ...(rope_type === "dynamic" && { max_position_embeddings: 12 }),
      ...(type === "phi3" && { original_max_position_embeddings }),
    };
    const rope_parameters = { rope_theta: 700, rope_type, ...scaling };
    const config = { model_type: type, ...ARCHITECTURES[type], ...lengths, rope_parameters };
    await ask("model_folders", "write", { folder, config });
    await exportTarget(folder, { base: null, to: "onnx", dtype: null, out: `${folder} exported` });
    for (const length of [5, 12, 13, 24]) {
      const [row] = someRows(61, 1, length);
      await ask<Read>("model_folders", "read", { folder, ids: [row], logits: `${folder}.logits` });
      const theirs = (await readLogits(`${folder}.logits`)).get("logits")!;
      expect(logitsApart(await onnxLogits(`${folder} exported`, row!), theirs)).toBeLessThan(2e-5);
    }
  });
});

const FORMATS = {
  nf4: { load_in_4bit: true, bnb_4bit_quant_type: "nf4" },
  "nf4, scales too": { load_in_4bit: true, bnb_4bit_quant_type: "nf4", bnb_4bit_use_double_quant: true },
  fp4: { load_in_4bit: true, bnb_4bit_quant_type: "fp4" },
  int8: { load_in_8bit: true },
} as const;

interface Compared {
  readonly missing: readonly string[];
  readonly kinds: Readonly<
    Record<string, { tensors: number; different: number; elements: number; apart: number; most: number }>
  >;
}

describePeers("bitsandbytes reads what is quantized", () => {
  test.each(
    Object.keys(ARCHITECTURES).flatMap((type) => Object.keys(FORMATS).map((format) => [type, format] as const)),
  )("of %s in %s", { timeout: 300_000 }, async (type, format) => {
    // Heads in which 4-bit kernels find whole blocks.
    const base = await writeBase(type, ["qwen3", "gemma3_text"].includes(type) ? { head_dim: 16 } : {});
    const [ours, theirs] = [`${base} ${format} ours`, `${base} ${format} theirs`];
    const options = FORMATS[format as keyof typeof FORMATS];
    const doubleQuant = "bnb_4bit_use_double_quant" in options;
    const kind = /^\w+/.exec(format)![0] as "nf4";
    await quantizeModel(base, { out: ours, quantizer: createQuantizer(kind, kind === "nf4" ? { doubleQuant } : {}) });
    await ask("quantized", "write", { model: base, out: theirs, options });
    const { missing, kinds } = await ask<Compared>("quantized", "compare", { ours, theirs });
    expect(missing).toEqual([]);
    for (const [what, { different, elements, apart, most }] of Object.entries(kinds)) {
      // The exceptions that docs/quantization.md names.
      if (what === "nested codes") expect(apart / elements).toBeLessThan(0.01);
      else if (what === "nested_absmax") expect(most).toBeLessThan(5e-7);
      else if (kind !== ("int8" as string) || what !== "weight") expect([what, different]).toEqual([what, 0]);
      else expect([apart < 5e-4 * elements, most <= 1]).toEqual([true, true]);
    }
    expect(await readModel(ours)).toMatchObject(WHOLE);
    const given = { model: ours, rows: ROWS, out: `${ours} logits`, dequantize: format === "int8" };
    // Its integer products round activations, too: there, the weights are compared.
    expect(Math.abs((await ourLoss(ours)) - (await ask<number>("quantized", "logits", given)))).toBeLessThan(2e-5);
  });
});
