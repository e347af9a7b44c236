import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sha256 } from "#platform";
import { GGUF_FILE_TYPES } from "../src/gguf/file-types.js";
import type { GgufTensor } from "../src/gguf/gguf-tensor.js";
import { openGguf } from "../src/gguf/open-gguf.js";
import { readTokenizer } from "../src/loading/companions.js";
import { Tokenizer } from "../src/tokenizers/tokenizer.js";
import { exportTarget } from "../src/verbs/export.js";
import type { ExportedGguf } from "../src/verbs/export-gguf.js";
import { GGUF_MODELS, ggufTokenizer, writeGgufAdapter, writeGgufModel } from "./gguf-models.js";
import { computeFolder } from "./peers/folders.js";
import { ask, peersAvailable } from "./peers/peer.js";
import { type RealTokenizer, realTokenizer } from "./peers/real-tokenizers.js";

/** What llama.cpp says of a file. */
interface Answer {
  readonly tokens: readonly (readonly number[])[];
  /** Of each token after the prompt. */
  readonly logProbabilities: readonly number[];
  /** The likeliest tokens, one after another. */
  readonly next: readonly number[];
}

/** What is asked of a file. */
interface Request {
  readonly file: string;
  /** An adapter for it. */
  readonly lora?: string;
  readonly texts: readonly string[];
  /** The prompt. None is computed without one. */
  readonly ids: readonly number[];
  /** Tokens to go on for. Default: none. */
  readonly following?: number;
}

/** True if llama.cpp is there. It is no dependency, so it has a package of its own. */
function hasLlamaCpp(): boolean {
  const modules = fileURLToPath(new URL("llama-cpp/node_modules", import.meta.url));
  const isInstalled = process.env.CI === "true" || existsSync(modules);
  if (!isInstalled)
    console.warn("SKIPPED: llama.cpp needs npm install --prefix tests/llama-cpp --ignore-scripts --omit=optional");
  return isInstalled;
}

function askLlamaCpp(requests: readonly Request[]): Answer[] {
  const script = fileURLToPath(new URL("llama-cpp/compute.mjs", import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, JSON.stringify(requests)]);
  expect(status, stderr.toString()).toBe(0);
  return JSON.parse(stdout.toString().trim().split("\n").at(-1)!);
}

async function bytesOf(tensor: GgufTensor): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of tensor.chunks()) chunks.push(chunk);
  return sha256(Buffer.concat(chunks));
}

const TEXTS = [
  "The 3th cat sat, didn't it? 12345",
  "größer naïve 日本語 한국어 שלום हिन्दी",
  "  two\n\n\tthree   spaces \r\n ½ ² ٣",
  "😀 👩‍👩‍👧 e\u0301 \u200b",
  "<|endoftext|> def f(x):\n    return x ** 2",
];

describe.runIf(hasLlamaCpp())("llama.cpp", () => {
  const root = mkdtempSync(path.join(tmpdir(), "highrank-llama-cpp-"));
  afterAll(() => rmSync(root, { recursive: true }));
  const tokenizer = ggufTokenizer();
  const ids = tokenizer.encode("The 3th cat sat on mat number 12. The 5th cat");

  /** The file of a model, and the log probabilities that highrank computes with the folder or the file. */
  async function write(name: string, type: ExportedGguf["type"], change = {}): Promise<[string, number[]]> {
    const folder = path.join(root, type === "f32" ? name : `${name} as ${type}`);
    const file = path.join(root, `${name.replace(" ", "-")}-${type}.gguf`);
    await writeGgufModel(folder, name, change);
    await exportTarget(folder, { base: null, to: "gguf", dtype: null, type, out: file });
    const { logits } = await computeFolder(type === "f32" ? folder : file, [ids]);
    const last = [...logits.subarray(-288)];
    const top = Math.max(...last);
    const sum = Math.log(last.reduce((total, logit) => total + Math.exp(logit - top), 0)) + top;
    return [file, last.map((logit) => logit - sum)];
  }

  const apart = (answer: Answer, expected: readonly number[]): number =>
    Math.max(...answer.logProbabilities.map((value, id) => Math.abs(value - expected[id]!)));

  let written: [string, number[]][] = [];
  let answers: Answer[] = [];
  const names = Object.keys(GGUF_MODELS);
  beforeAll(async () => {
    for (const name of names) written.push(await write(name, "f32"));
    answers = askLlamaCpp(written.map(([file]) => ({ file, texts: TEXTS, ids })));
  });

  // It looks GELU up in a table of 16 bits.
  const boundOf = (name: string): number =>
    ["gemma3_text", "gpt2", "gpt_neox"].includes(String(GGUF_MODELS[name]!.model_type)) ? 2e-3 : 2e-5;

  test.each(names)("computes with the file of %s as highrank does with its folder", (name) => {
    const number = names.indexOf(name);
    expect(answers[number]!.logProbabilities).toHaveLength(288);
    expect(apart(answers[number]!, written[number]![1])).toBeLessThan(boundOf(name));
  });

  test("takes texts apart as highrank does", () => {
    // Without what stands in front of texts, which the library adds elsewhere.
    const own = TEXTS.map((text) => tokenizer.encode(text));
    for (const { tokens } of answers) expect(tokens).toEqual(own);
  });

  // It takes marks for no part of a word with GPT-4o's splitting, and composes no characters.
  const REAL: readonly (readonly [name: RealTokenizer, differing: readonly number[]])[] = [
    ...([
      ["deepseek_v3", []],
      ["llama3_1", []],
      ["gpt4o", [1]],
      ["qwen3", [3]],
    ] as const),
  ];
  test.runIf(peersAvailable()).each(REAL)("takes texts apart with %s's real tokenizer", async (name, differing) => {
    const [folder, file] = [path.join(root, `with ${name}`), path.join(root, `with-${name}.gguf`)];
    const files = await realTokenizer(name);
    const real = await Tokenizer.fromFolder(files);
    await writeGgufModel(folder, "mistral", { vocab_size: real.vocabSize, num_hidden_layers: 1 });
    for (const each of ["tokenizer.json", "tokenizer_config.json"]) {
      await copyFile(path.join(files, each), path.join(folder, each));
    }
    await exportTarget(folder, { base: null, to: "gguf", dtype: null, type: "f16", out: file });
    const [answer] = askLlamaCpp([{ file, texts: TEXTS, ids: [] }]);
    const own = TEXTS.map((text) => real.encode(text));
    expect(own.flatMap((ids, i) => (ids.join() === answer!.tokens[i]!.join() ? [] : [i]))).toEqual(differing);
    const back = await readTokenizer(file);
    expect(TEXTS.map((text) => back.encode(text))).toEqual(own);
  });

  const TYPES = ["f16", "bf16", "q8_0", "q6_k", "q5_1", "q5_0", "q5_k_m", "q4_k_m", "q4_1", "q4_0"] as const;

  // It rounds what is multiplied with weights of fewer bits to few bits too: with float16, on processors that multiply
  // those. A wrong file is apart by more than 1.
  test("computes with files of each type as highrank does", async () => {
    const change = { hidden_size: 256, intermediate_size: 512, initializer_range: 0.02 };
    written = [];
    for (const type of TYPES) written.push(await write("qwen3", type, change));
    const computed = askLlamaCpp(written.map(([file]) => ({ file, texts: [], ids })));
    for (const [number, type] of TYPES.entries()) {
      expect(apart(computed[number]!, written[number]![1]), type).toBeLessThan(type === "f16" ? 0.01 : 0.1);
    }
  });

  const WIDE = { num_hidden_layers: 8, hidden_size: 256, intermediate_size: 288, initializer_range: 0.02 };
  const CASES: readonly (readonly [
    name: string,
    types: readonly ExportedGguf["type"][],
    change: Readonly<Record<string, unknown>>,
  ])[] = [
    ["qwen2", TYPES, WIDE],
    ["phi3", ["q4_k_m"], { ...WIDE, rope_scaling: null }],
    ["gemma3_text", ["q4_k_m"], { ...WIDE, head_dim: 64, query_pre_attn_scalar: 64 }],
    ["gpt2", ["q4_k_m"], { n_layer: 8, n_embd: 256 }],
    ["gpt_neox", ["q4_k_m"], WIDE],
  ];
  // On other processors compilers fuse its multiplications with additions.
  const canCompare = peersAvailable() && process.arch === "x64";
  test.runIf(canCompare).each(CASES)("quantizes the file of %s to the same bytes", async (name, types, change) => {
    const at = (type: string): string => path.join(root, `wide-${name}-${type}.gguf`);
    const folder = path.join(root, `wide ${name}`);
    await writeGgufModel(folder, name, change);
    const options = { base: null, to: "gguf", dtype: null } as const;
    await exportTarget(folder, { ...options, type: "f32", out: at("f32") });
    const binaries = fileURLToPath(new URL("llama-cpp/node_modules/@node-llama-cpp", import.meta.url));
    const wanted = Object.fromEntries(types.map((type) => [at(`${type}-theirs`), GGUF_FILE_TYPES[type].number]));
    await ask("llama_cpp", "quantize", { binaries, path: at("f32"), types: wanted });
    for (const type of types) {
      await exportTarget(folder, { ...options, type, out: at(type) });
      const [ours, theirs] = [await openGguf(at(type)), await openGguf(at(`${type}-theirs`))];
      expect(ours.tensors.size).toBe(theirs.tensors.size);
      for (const [tensorName, tensor] of ours.tensors) {
        const other = theirs.tensors.get(tensorName)!;
        expect([tensorName, tensor.type.name]).toEqual([tensorName, other.type.name]);
        expect([tensorName, await bytesOf(tensor)]).toEqual([tensorName, await bytesOf(other)]);
      }
    }
  });

  test("computes with the file of an adapter beside its base as with the merged model", async () => {
    const requests: Request[] = [];
    for (const name of names) {
      const slug = name.replace(" ", "-");
      const at = (end: string): string => path.join(root, `${slug}-${end}`);
      await writeGgufAdapter(at("adapter"), path.join(root, name));
      const options = { base: null, to: "gguf", dtype: null } as const;
      await exportTarget(at("adapter"), { ...options, adapterOnly: true, out: at("adapter.gguf") });
      await exportTarget(at("adapter"), { ...options, type: "f32", out: at("merged.gguf") });
      const asked = { texts: [], ids, following: 20 };
      requests.push(
        { file: at("f32.gguf"), lora: at("adapter.gguf"), ...asked },
        { file: at("merged.gguf"), ...asked },
      );
    }
    const computed = askLlamaCpp(requests);
    for (const [number, name] of names.entries()) {
      const [beside, merged] = [computed[2 * number]!, computed[2 * number + 1]!];
      expect(apart(beside, merged.logProbabilities), name).toBeLessThan(boundOf(name));
      expect([name, beside.next]).toEqual([name, merged.next]);
      expect(apart(beside, answers[number]!.logProbabilities), name).toBeGreaterThan(0.1);
    }
  });
});
