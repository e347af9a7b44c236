import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sha256 } from "#platform";
import { openGguf } from "../../src/gguf/open-gguf.js";
import { QUANTIZED, type WrittenGgufType } from "../../src/gguf/quantizing.js";
import { WIDENED } from "../../src/gguf/widening.js";
import { writeGguf } from "../../src/gguf/write-gguf.js";
import { readTokenizer } from "../../src/loading/companions.js";
import { trainTokenizer } from "../../src/tokenizers/train-tokenizer.js";
import { exportTarget } from "../../src/verbs/export.js";
import { TEXT } from "../small-model.js";
import { ARCHITECTURES, computeFolder, logitsApart, someRows } from "./folders.js";
import { ask, describePeers, record } from "./peer.js";

/** Long enough for two rows of twelve tokens, and then what tokenizers stumble over. */
const TEXTS = [
  "The quick brown fox jumps over the lazy dog, and then it's 3 o'clock; we'll see.",
  "Grüße aus Köln: Straße, Übermut, naïve Façade. Les élèves ont mangé à midi.",
  "日本語のテキストと中文文本，以及 한국어 텍스트.",
  "Привет, мир! Γειά σου Κόσμε. שלום עולם مرحبا بالعالم हिन्दी में पाठ",
  "  two spaces\n\n\tand tabs\r\n   three   spaces ",
  // No fractions: transformers does not know SmolLM2's splitting, in which each digit of any script stands alone.
  "12345 67.89 1,000,000 3rd 0x1F",
  "😀 👩‍👩‍👧 🇩🇪 e\u0301 \u200b zero width",
  "def f(x):\n    return x ** 2  # comment\n",
  "",
  " ",
  "▁ underscore ▁▁ and <0x41> <unk>",
];

let root = "";
const at = (name: string): string => path.join(root, name);
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), "highrank-gguf-"));
});
afterAll(async () => rm(root, { recursive: true }));

/** A NaN counts as equal to any other: which of them a product gives is the processor's choice. */
function differingNumbers(values: Float32Array, expected: Float32Array): number {
  expect(values.length).toBe(expected.length);
  const [bits, expectedBits] = [values, expected].map(({ buffer }) => new Uint32Array(buffer)) as [
    Uint32Array,
    Uint32Array,
  ];
  let differing = 0;
  for (let i = 0; i < bits.length; i++) {
    const areNaN = Number.isNaN(values[i]) && Number.isNaN(expected[i]);
    if (bits[i] !== expectedBits[i] && !areNaN) differing++;
  }
  return differing;
}

describePeers("gguf-py", () => {
  test("widens blocks of random bytes of each type to the same bits", async () => {
    const types = Object.keys(WIDENED).filter((type) => type !== "F32");
    const values = await ask<Record<string, string>>("gguf_files", "write_blocks", {
      ...{ path: at("blocks.gguf"), types, count: 5000, seed: 1 },
    });
    const { tensors } = await openGguf(at("blocks.gguf"));
    expect([...tensors.keys()]).toEqual(types);
    for (const [type, tensor] of tensors) {
      const expected = new Float32Array((await readFile(values[type]!)).buffer);
      expect([type, differingNumbers(await tensor.read(), expected)]).toEqual([type, 0]);
    }
  });

  test("makes the same bytes of the same numbers, and reads what is written", async () => {
    const rows = 4000;
    const types = Object.keys(QUANTIZED) as WrittenGgufType[];
    await ask("gguf_files", "write_sources", { path: at("source"), rows, seed: 2 });
    const data = new Float32Array((await readFile(at("source"))).buffer);
    const tensor = { dtype: "float32", shape: [rows, 256], data } as const;
    const given = { path: at("made.gguf"), source: at("source") };
    const errors = await writeGguf(given.path, {
      metadata: new Map([["general.architecture", { type: "string", value: "llama" }]]),
      tensors: new Map(types.map((type) => [type, { tensor, type }])),
    });
    const searched = types.filter((type) => type.endsWith("_K"));
    const plain = types.filter((type) => !searched.includes(type));
    const differing = await ask<object>("gguf_files", "differing_bytes", { ...given, types: plain });
    expect(differing).toEqual({ F32: 0, F16: 0, BF16: 0, Q4_0: 0, Q4_1: 0, Q5_0: 0, Q5_1: 0, Q8_0: 0 });
    for (const name of searched) {
      const { squares, lost } = errors.get(name)!;
      const error = await ask<number>("gguf_files", "relative_error", { ...given, name });
      expect(Math.sqrt(lost / squares) / error).toBeCloseTo(1, 4);
    }
  });

  test.each(["smollm2-135m", "gemma3-270m"])("widens every tensor of %s to the same bits", async (name) => {
    const file = await ask<string>("real_models", "gguf_file", { name });
    const expected = await ask<Record<string, unknown>>("gguf_files", "hashes", { path: file });
    const { tensors } = await openGguf(file);
    const found: Record<string, unknown> = {};
    for (const [tensorName, tensor] of tensors) {
      const { buffer } = await tensor.read();
      found[tensorName] = [tensor.type.name, tensor.shape, sha256(new Uint8Array(buffer))];
    }
    expect(found).toEqual(expected);
  });
  test.each(["smollm2-135m", "gemma3-270m"])("computes the same with %s, and takes texts apart alike", async (name) => {
    const file = await ask<string>("real_models", "gguf_file", { name });
    const tokenizer = await readTokenizer(file);
    const ids = await ask<number[][]>("gguf_files", "tokens", { path: file, texts: TEXTS });
    const { before } = tokenizer.surround;
    expect(TEXTS.map((text) => [...before, ...tokenizer.encode(text)])).toEqual(ids);
    const rows = [ids[0]!.slice(0, 12), ids[1]!.slice(0, 12)];
    const loss = await ask<number>("gguf_files", "logits", { path: file, ids: rows, out: at("logits") });
    const theirs = new Float32Array((await readFile(at("logits"))).buffer);
    const ours = await computeFolder(file, rows);
    record(`${name}.gguf`, { theirs: loss, ours: ours.loss });
    expect(Math.abs(ours.loss - loss)).toBeLessThan(1e-4);
    expect(logitsApart(ours.logits, theirs)).toBeLessThan(1e-4);
  });

  // Rows that no window cuts off, and the sizes that transformers takes for granted where it does not read their keys:
  // heads of Qwen 3, positions of GPT-2, the padding token of Phi 3, the scaling of Gemma's scores.
  const WRITTEN: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
    llama: {},
    mistral: { sliding_window: 40 },
    qwen2: { use_sliding_window: false },
    qwen3: { use_sliding_window: false, head_dim: 128 },
    phi3: { sliding_window: 40, vocab_size: 32_064 },
    gemma3_text: { num_hidden_layers: 6, layer_types: undefined, query_pre_attn_scalar: 256, head_dim: 256 },
    gpt2: { n_positions: 1024 },
  };
  test.each(Object.keys(WRITTEN))("%s: transformers computes with the written file as with its own", async (name) => {
    const [folder, file] = [at(name), at(`written-${name}.gguf`)];
    const sizes = { vocab_size: 300, ...(name !== "gpt2" && { hidden_size: 64, intermediate_size: 128 }) };
    const config = { model_type: name, ...ARCHITECTURES[name], ...sizes, ...WRITTEN[name] };
    await ask("model_folders", "write", { folder, config });
    const tokenizer = trainTokenizer(TEXT.split("\n\n"), { vocabSize: 280, maxLength: 64 });
    await writeFile(path.join(folder, "tokenizer.json"), JSON.stringify(tokenizer.toJson()));
    await writeFile(path.join(folder, "tokenizer_config.json"), JSON.stringify(tokenizer.config));
    await exportTarget(folder, { base: null, to: "gguf", dtype: null, type: "f32", out: file });
    const ids = someRows(280, 4, 20);
    const { loss } = await ask<{ loss: number }>("model_folders", "read", { folder, ids });
    const theirs = await ask<number>("gguf_files", "logits", { path: file, ids, out: at("logits") });
    const ours = await computeFolder(file, ids);
    record(`${name}, written as GGUF`, { theirs, ours: ours.loss });
    expect(ours.loss).toBeCloseTo(loss, 4);
    expect(theirs).toBeCloseTo(loss, 4);
    const { before } = tokenizer.surround;
    expect(await ask("gguf_files", "tokens", { path: file, texts: TEXTS })).toEqual(
      TEXTS.map((text) => [...before, ...tokenizer.encode(text)]),
    );
  });
});
