import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CheckpointError, ConfigError } from "../base/errors.js";
import { Tokenizer, type TokenizerConfig } from "../tokenizers/tokenizer.js";
import { trainTokenizer } from "../tokenizers/train-tokenizer.js";
import { readGgufTokenizer } from "./gguf-tokenizer.js";
import { namedSplitting, splittingNamed } from "./pre-tokenizers.js";
import type { GgufItem, GgufValue, GgufValueType } from "./types.js";
import { writeGguf } from "./write-gguf.js";
import { ggufTokenizerNotices, ggufTokenizerOf } from "./written-tokenizer.js";

const TEXTS = [
  "The cat's 3rd mat, we'll see 12345 ½!",
  "  two\n\n\tthree   spaces \r\n",
  "größer Ünïcode 日本語 😀 e\u0301",
  "<s> a <tool> b",
  "",
];

let file = "";
let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-gguf-tokenizer-"));
  file = path.join(folder, "tokenizer.gguf");
});
afterAll(async () => rm(folder, { recursive: true }));

async function readBack(metadata: ReadonlyMap<string, GgufValue>): Promise<Tokenizer> {
  await writeGguf(file, { metadata, tensors: new Map() });
  const { tokenizerJson, tokenizerConfig } = await readGgufTokenizer(file);
  return Tokenizer.fromJson(tokenizerJson, tokenizerConfig);
}

const encodings = (tokenizer: Tokenizer): number[][] => TEXTS.map((text) => tokenizer.encode(text));
const plain = trainTokenizer([...TEXTS, "the cat sat on the mat"], { vocabSize: 290 });

/** A tokenizer of our own that takes texts apart in another way. */
function splitAs(name: string): Tokenizer {
  const { normalizer, preTokenizer, ignoreMerges } = splittingNamed("", name);
  const json = plain.toJson() as { model: object; added_tokens: object[] };
  return Tokenizer.fromJson(
    { ...json, normalizer, pre_tokenizer: preTokenizer, model: { ...json.model, ignore_merges: ignoreMerges } },
    plain.config,
  );
}

describe("byte-level BPE", () => {
  test.each([
    ...["gpt-2", "smollm", "llama-bpe", "dbrx", "qwen2", "gpt-4o", "tekken", "seed-coder"],
    ...["deepseek-llm", "deepseek-coder", "deepseek-v3"],
  ])("that splits as %s comes back", async (name) => {
    const tokenizer = splitAs(name);
    const metadata = ggufTokenizerOf(tokenizer, tokenizer.vocabSize + 3, [0, 7]);
    expect(metadata.get("tokenizer.ggml.pre")).toEqual({ type: "string", value: name });
    expect(metadata.get("tokenizer.ggml.eot_token_id")).toEqual({ type: "uint32", value: 7 });
    const back = await readBack(metadata);
    expect(encodings(back)).toEqual(encodings(tokenizer));
    expect(back.surround).toEqual(tokenizer.surround);
    expect(back.config.eos_token).toBe(plain.config.eos_token);
  });

  test("has the name of a splitting that is written in other words", () => {
    const { preTokenizer } = splittingNamed("", "gpt-4o");
    const [split, bytes] = preTokenizer.pretokenizers as [object, object];
    const isolated = { type: "Sequence", pretokenizers: [{ ...split, behavior: "Removed", invert: true }, bytes] };
    expect(namedSplitting({ type: "Sequence", normalizers: [] }, isolated, false)).toBe("gpt-4o");
    const partial = { type: "Split", pattern: { Regex: "a" }, behavior: "Removed", invert: true };
    expect(namedSplitting(null, { type: "Sequence", pretokenizers: [partial, bytes] }, false)).toBe(undefined);
  });

  test("kinds of tokens: control, user-defined, and rows that no text has", async () => {
    const json = plain.toJson() as { added_tokens: object[] };
    const more = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false };
    const added = [...json.added_tokens, { ...more, id: plain.vocabSize, content: "<tool>" }];
    const tokenizer = Tokenizer.fromJson({ ...json, added_tokens: added }, plain.config);
    const metadata = ggufTokenizerOf(tokenizer, plain.vocabSize + 2, []);
    const items = (key: string): readonly GgufItem[] | undefined =>
      (metadata.get(`tokenizer.ggml.${key}`) as Extract<GgufValue, { type: "array" }>).items;
    expect(items("token_type")!.at(0)).toBe(3);
    expect(items("token_type")!.slice(-2)).toEqual([4, 5]);
    expect(items("tokens")!.at(-1)).toBe(`[PAD${plain.vocabSize + 1}]`);
    expect(encodings(await readBack(metadata))).toEqual(encodings(tokenizer));
  });

  test("with templates of several names keeps them", async () => {
    const templates = [
      { name: "default", template: "{{ 1 }}" },
      { name: "tool_use", template: "{{ 2 }}" },
    ];
    const config: TokenizerConfig = { ...plain.config, chat_template: templates };
    const tokenizer = Tokenizer.fromJson(plain.toJson(), config);
    const back = await readBack(ggufTokenizerOf(tokenizer, 300, []));
    expect(back.config.chat_template).toEqual(templates);
  });
});

const list = (of: GgufValueType, items: readonly GgufItem[]): GgufValue => ({
  type: "array",
  of,
  count: items.length,
  items,
});
const text = (value: string): GgufValue => ({ type: "string", value });

/** SentencePiece of some pieces, with a token for each byte. */
function pieces(more: Readonly<Record<string, GgufValue>> = {}): Map<string, GgufValue> {
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
  const words = ["▁", "a", "b", "ab", "▁a", "▁ab", "▁▁", "ba"];
  const tokens = ["<unk>", "<s>", "</s>", ...bytes, ...words];
  const kinds = [2, 3, 3, ...bytes.map(() => 6), ...words.map(() => 1)];
  const scores = [0, 0, 0, ...bytes.map(() => 0), -9, -9, -9, -2, -3, -1, -4, -5];
  return new Map(
    Object.entries({
      "tokenizer.ggml.model": text("llama"),
      "tokenizer.ggml.tokens": list("string", tokens),
      "tokenizer.ggml.token_type": list("int32", kinds),
      "tokenizer.ggml.scores": list("float32", scores),
      "tokenizer.ggml.bos_token_id": { type: "uint32", value: 1 },
      "tokenizer.ggml.eos_token_id": { type: "uint32", value: 2 },
      ...more,
    }),
  );
}

describe("SentencePiece", () => {
  const shown = async (metadata: ReadonlyMap<string, GgufValue>, given: string): Promise<string[]> => {
    const tokenizer = await readBack(metadata);
    return tokenizer.encode(given).map((id) => {
      const { items } = metadata.get("tokenizer.ggml.tokens") as Extract<GgufValue, { type: "array" }>;
      return items![id] as string;
    });
  };

  test("makes the tokens of the highest score, after a space, with bytes for the rest", async () => {
    expect(await shown(pieces(), "ab ab")).toEqual(["▁ab", "▁ab"]);
    expect(await shown(pieces(), "ba")).toEqual(["▁", "ba"]);
    expect(await shown(pieces(), "aé")).toEqual(["▁a", "<0xC3>", "<0xA9>"]);
    expect((await readBack(pieces())).surround).toEqual({ before: [1], after: [] });
    const back = await readBack(pieces());
    expect(back.decode(back.encode("ab é  b"))).toBe("ab é  b");
  });

  test("without a space in front, or a token, where the file says so", async () => {
    const metadata = pieces({
      "tokenizer.ggml.add_space_prefix": { type: "bool", value: false },
      "tokenizer.ggml.add_bos_token": { type: "bool", value: false },
      "tokenizer.ggml.add_eos_token": { type: "bool", value: true },
    });
    expect(await shown(metadata, "ab ab")).toEqual(["ab", "▁ab"]);
    expect((await readBack(metadata)).surround).toEqual({ before: [], after: [2] });
  });

  test("of Gemma merges in the order of its tokens, and spells its spaces", async () => {
    const metadata = pieces({ "general.architecture": text("gemma3") });
    const { items } = metadata.get("tokenizer.ggml.tokens") as Extract<GgufValue, { type: "array" }>;
    metadata.set(
      "tokenizer.ggml.tokens",
      list(
        "string",
        items!.map((token) => (token === "▁▁" ? "  " : token)),
      ),
    );
    expect(await shown(metadata, "ba  b")).toEqual(["▁", "ba", "  ", "b"]);
  });

  test("is written with scores that make the same tokens", async () => {
    const tokenizer = await readBack(pieces());
    const written = ggufTokenizerOf(tokenizer, 267, []);
    expect(written.get("tokenizer.ggml.model")).toEqual(text("llama"));
    const back = await readBack(written);
    for (const given of ["ab ab", "ba", " aé bb", "abab baba"])
      expect(back.encode(given)).toEqual(tokenizer.encode(given));
    expect(back.surround).toEqual(tokenizer.surround);
  });

  const prepend = { type: "Prepend", prepend: "▁" };
  const replace = { type: "Replace", pattern: { String: " " }, content: "▁" };
  const sequence = (...normalizers: object[]): object => ({ type: "Sequence", normalizers });
  const metaspace = (more: object): object => ({ type: "Metaspace", replacement: "▁", split: false, ...more });
  const written = async (normalizer: object | null, preTokenizer: object | null) => {
    const own = await readBack(pieces());
    const json = { ...(own.toJson() as object), normalizer, pre_tokenizer: preTokenizer };
    const tokenizer = Tokenizer.fromJson(json, own.config);
    return { tokenizer, metadata: ggufTokenizerOf(tokenizer, 267, []) };
  };

  test.each([
    [sequence(prepend, replace), null, true],
    [replace, null, false],
    [
      sequence(replace),
      { type: "Split", pattern: { String: " " }, behavior: "MergedWithPrevious", invert: false },
      false,
    ],
    [null, metaspace({ prepend_scheme: "first" }), true],
    [null, metaspace({ prepend_scheme: "always" }), true],
    [null, metaspace({ prepend_scheme: "never" }), false],
  ])("spaces written by %j and %j", async (normalizer, preTokenizer, prefixed) => {
    const { tokenizer, metadata } = await written(normalizer, preTokenizer);
    expect(metadata.get("tokenizer.ggml.add_space_prefix")).toEqual({ type: "bool", value: prefixed });
    const back = await readBack(metadata);
    for (const given of ["ab ab", "ba", "aé bb", "abab  baba"])
      expect(back.encode(given)).toEqual(tokenizer.encode(given));
  });

  test.each([
    [null, null],
    [null, metaspace({ prepend_scheme: "first", split: true })],
    [null, metaspace({ prepend_scheme: "first", replacement: "_" })],
    [null, { type: "Whitespace" }],
    [sequence({ type: "NFKC" }, prepend, replace), null],
    [sequence({ type: "Lowercase" }, prepend, replace), null],
    [sequence({ type: "Strip", strip_left: true, strip_right: true }, prepend, replace), null],
    [sequence({ type: "Prepend", prepend: "x" }, replace), null],
    [sequence(prepend, replace), { type: "Digits", individual_digits: true }],
  ])("what else is done to a text is refused: %j and %j", async (normalizer, preTokenizer) => {
    await expect(written(normalizer, preTokenizer)).rejects.toThrow(/writes each space as ▁ and does nothing else/);
  });

  test("what a file does not say is told", async () => {
    const own = await readBack(pieces());
    const json = own.toJson() as { added_tokens: object[] };
    const added_tokens = json.added_tokens.map((token, at) => (at === 1 ? { ...token, rstrip: true } : token));
    const noticesOf = (change: object) => ggufTokenizerNotices(Tokenizer.fromJson({ ...json, ...change }, own.config));
    expect(noticesOf({ added_tokens })).toEqual([expect.stringContaining('"<s>" may be found')]);
    const spaces = { normalizer: null, pre_tokenizer: metaspace({ prepend_scheme: "first" }) };
    expect(noticesOf(spaces)).toEqual([expect.stringContaining("a space in front of each text")]);
    expect([...noticesOf({}), ...ggufTokenizerNotices(plain)]).toEqual([]);
  });
});

describe("a tokenizer is refused", () => {
  const cases: [string, Readonly<Record<string, GgufValue>>, string][] = [
    ["of another kind", { "tokenizer.ggml.model": text("bert") }, 'tokenizer.ggml.model is "bert"'],
    ["without scores", { "tokenizer.ggml.scores": list("float32", [1]) }, "scores has 1 values for 267 tokens"],
    ["with kinds missing", { "tokenizer.ggml.token_type": list("int32", [1]) }, "token_type has 1 values for 267"],
    ["of numbers", { "tokenizer.ggml.tokens": list("int32", [1]) }, "tokens must be a list of texts"],
    [
      "that splits unknown",
      { "tokenizer.ggml.model": text("gpt2"), "tokenizer.ggml.pre": text("x") },
      'pre is "x", and',
    ],
    [
      "without merges",
      { "tokenizer.ggml.model": text("gpt2"), "tokenizer.ggml.pre": text("gpt-2") },
      "merges is missing",
    ],
  ];
  test.each(cases)("%s", async (_, more, says) => {
    const reading = readBack(pieces(more));
    await expect(reading).rejects.toThrow(CheckpointError);
    await expect(reading).rejects.toThrow(says);
  });

  test("on writing, where llama.cpp has none like it", () => {
    const json = plain.toJson() as object;
    const written =
      (change: object, rows = 300) =>
      () =>
        ggufTokenizerOf(Tokenizer.fromJson({ ...json, ...change }, plain.config), rows, []);
    expect(written({ pre_tokenizer: { type: "Whitespace" } })).toThrow(/no way of taking texts apart/);
    expect(written({}, 100)).toThrow(/the model has 100 rows/);
    expect(written({}, 100)).toThrow(ConfigError);
  });
});
