import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CheckpointError } from "../base/errors.js";
import { loadWordNet } from "../data/builtin-wordnet.js";
import { Rng } from "../tensor/random.js";
import { trainBytePairEncoding } from "./bpe-trainer.js";
import { BYTE_CHARACTERS } from "./byte-level.js";
import { Tokenizer } from "./tokenizer.js";
import { tokenizerConfigJson } from "./tokenizer-json.js";

const ENGLISH = (await loadWordNet()).filter((_, index) => index % 40 === 0);
const JSON_CONTENT = trainBytePairEncoding(ENGLISH, { vocabSize: 2000 });
const tokenizer = Tokenizer.fromJson(JSON_CONTENT, tokenizerConfigJson("<|endoftext|>", 256));

const TEXTS = [
  "",
  "plain text, isn't it ?",
  " two  spaces\ttab\r\nnew line\n\n ",
  "🙂👩‍👩‍👧‍👦🇩🇪 東京 한국어 العربية",
  "e\u0301 a\u0308\u0323 Z\u0351\u036f",
  "\u0000\u0001\u0007\u001b\u007f\u0085\u00a0\u00ad\u2028\ufeff\u200d",
  "\u{10ffff}\u{e000}\ufffe\uffff",
  "before <|endoftext|> after",
  "__proto__ constructor toString 0 1 00",
  "=".repeat(500) + "x".repeat(300),
];

function randomText(rng: Rng): string {
  const codePoint = () => {
    const value = rng.below([0x80, 0x800, 0x10000, 0x110000][rng.below(4)]!);
    return value >= 0xd800 && value < 0xe000 ? 0x20 : value; // half a surrogate pair is not a text
  };
  return Array.from({ length: rng.below(80) }, () => String.fromCodePoint(codePoint())).join("");
}

test("every text decodes to itself", () => {
  const rng = new Rng(1, "tokenizer.test");
  const texts = [...TEXTS, ...Array.from({ length: 500 }, () => randomText(rng))];
  expect(texts.map((text) => tokenizer.decode(tokenizer.encode(text)))).toEqual(texts);
});

test("a lone surrogate becomes U+FFFD", () => {
  expect(tokenizer.decode(tokenizer.encode("a\ud800b"))).toBe("a\ufffdb");
});

test("each of the 256 bytes has a token, and three of them make a euro sign", () => {
  const { vocab } = JSON_CONTENT.model;
  const ids = BYTE_CHARACTERS.map((character) => vocab[character]!);
  expect([...ids].sort((a, b) => a - b)).toEqual(Array.from({ length: 256 }, (_, index) => index + 1));
  expect(tokenizer.decode([ids[0xe2]!, ids[0x82]!, ids[0xac]!])).toBe("€");
  expect(tokenizer.decode([ids[0xe2]!, ids[0x41]!])).toBe("\ufffdA");
});

test("documents encode to the same ids as single texts, each followed by the end of text", () => {
  const rng = new Rng(2, "tokenizer.test");
  const documents = [...TEXTS, ...ENGLISH.slice(0, 500), ...Array.from({ length: 300 }, () => randomText(rng))];
  const expected = documents.flatMap((document) => [...tokenizer.encode(document), tokenizer.endOfTextId]);
  expect([...tokenizer.encodeDocuments(documents)]).toEqual(expected);
});

test("documents encode to the same ids as single texts with another kind of tokenizer too", () => {
  const lowercasing = { ...JSON_CONTENT, normalizer: { type: "Lowercase" } };
  const other = Tokenizer.fromJson(lowercasing);
  expect([...other.encodeDocuments(["ABC def"])]).toEqual([...tokenizer.encode("abc def"), 0]);
});

test("the vocabulary counts special tokens, and decoding can leave them out", () => {
  expect([tokenizer.vocabSize, tokenizer.endOfTextId]).toEqual([2000, 0]);
  const ids = Int32Array.from([...tokenizer.encode("to be ."), 0]);
  expect(tokenizer.decode(ids)).toBe("to be .<|endoftext|>");
  expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe("to be .");
});

test("the end of text is the configured token, which is added if the file lacks it", () => {
  const json = trainBytePairEncoding([], { vocabSize: 258, specialTokens: ["<stop>", "</s>"] });
  expect(Tokenizer.fromJson(json).endOfTextId).toBe(1);
  expect(Tokenizer.fromJson(json, { eos_token: { content: "<stop>" } }).endOfTextId).toBe(0);
  const added = Tokenizer.fromJson(json, { eos_token: "<new>" });
  expect([added.endOfTextId, added.vocabSize, added.storedVocabSize]).toEqual([258, 259, 258]);
  expect(
    () => Tokenizer.fromJson(trainBytePairEncoding([], { vocabSize: 257, specialTokens: ["<x>"] })).endOfTextId,
  ).toThrow(/no token ends a text/);
});

test("a folder with tokenizer files loads, and its faults name the file", async () => {
  const folder = await mkdtemp(join(tmpdir(), "highrank-tokenizer-"));
  try {
    await expect(Tokenizer.fromFolder(folder)).rejects.toThrow(/tokenizer\.json: there is no such file/);
    await writeFile(join(folder, "tokenizer.json"), JSON.stringify(JSON_CONTENT));
    const loaded = await Tokenizer.fromFolder(folder);
    expect(loaded.encode(TEXTS[3]!)).toEqual(tokenizer.encode(TEXTS[3]!));
    expect(loaded.toJson()).toEqual(JSON_CONTENT);
    await writeFile(join(folder, "tokenizer_config.json"), JSON.stringify({ eos_token: "!" }));
    expect((await Tokenizer.fromFolder(join(folder, "tokenizer.json"))).endOfTextId).toBe(1);
    for (const content of ["{", "[]", "{}"]) {
      await writeFile(join(folder, "tokenizer.json"), content);
      const loading = Tokenizer.fromFolder(folder);
      await expect(loading).rejects.toThrow(CheckpointError);
      await expect(loading).rejects.toThrow(join(folder, "tokenizer.json"));
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("tokens that only the config or older files name are found, and written into tokenizer.json", async () => {
  const folder = await mkdtemp(join(tmpdir(), "highrank-tokenizer-"));
  const write = (name: string, content: object) => writeFile(join(folder, name), JSON.stringify(content));
  try {
    await write("tokenizer.json", JSON_CONTENT);
    await write("special_tokens_map.json", { eos_token: { content: "<end>", rstrip: true }, sep_token: "<sep>" });
    await write("added_tokens.json", { "<tool>": 2000 });
    const read = await Tokenizer.fromFolder(folder);
    expect(read.encode("<tool><end>  <sep>")).toEqual([2000, 2001, 2002]);
    expect([read.endOfTextId, read.vocabSize, read.storedVocabSize]).toEqual([2001, 2003, 2001]);
    expect(Tokenizer.fromJson(read.toJson()).encode("<tool><end> <sep>")).toEqual([2000, 2001, 2002]);
    await write("tokenizer_config.json", { added_tokens_decoder: { 2000: { content: "<turn>", special: true } } });
    const decoder = await Tokenizer.fromFolder(folder);
    expect(decoder.encode("<turn>")).toEqual([2000]);
    expect(decoder.encode("<tool>").length).toBeGreaterThan(1);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a prompt begins with what the tokenizer puts in front; an empty one with nothing in front needs a beginning", () => {
  expect(tokenizer.encodePrompt("", null)).toEqual([0]);
  const bare = Tokenizer.fromJson({ ...JSON_CONTENT, post_processor: null }, { eos_token: "<|endoftext|>" });
  expect(bare.encodePrompt("to be", 7)).toEqual(bare.encode("to be"));
  expect(bare.encodePrompt("", 7)).toEqual([7]);
  expect(() => bare.encodePrompt("", null)).toThrow(/the prompt is empty/);
  expect(bare.withoutSurround().encodePrompt("to be", null)).toEqual([0, ...bare.encode("to be")]);
});

test("spaces before punctuation stay in byte-pair encoding, whatever the config says", () => {
  const cleaning = Tokenizer.fromJson(JSON_CONTENT, { clean_up_tokenization_spaces: true });
  expect(cleaning.decode(cleaning.encode("well , so ."))).toBe("well , so .");
});
