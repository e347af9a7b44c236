import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { KIND_TEXTS, TOKENIZER_KINDS } from "../../tests/tokenizer-kinds.js";
import { builtModule } from "../platform/node-modules.js";
import { KNOWN_PATTERNS } from "./known-patterns.js";
import { TokenizerPipeline } from "./pipeline.js";

/** Made by the library tokenizers 0.23.3, in tests/peers/tokenizer-kinds.peers.test.ts. */
const GOLDEN: Readonly<Record<string, readonly (readonly [ids: readonly number[], decoded: string])[]>> = JSON.parse(
  readFileSync(new URL("../../tests/golden/tokenizers.json", import.meta.url), "utf8"),
);

test("the golden values are of these kinds", () => {
  expect(Object.keys(GOLDEN)).toEqual(Object.keys(TOKENIZER_KINDS));
});

test.each(Object.entries(TOKENIZER_KINDS))("%s: ids and decoded texts of the library tokenizers", (name, json) => {
  const pipeline = new TokenizerPipeline(json);
  const { before, after } = pipeline.surround;
  const answers = KIND_TEXTS.map((text) => {
    const ids = pipeline.encode(text);
    return [[...before, ...ids, ...after], pipeline.decode(ids, false)];
  });
  expect(answers).toEqual(GOLDEN[name]);
});

test("a part that is not known, and a token whose id is another, are named", () => {
  const json = TOKENIZER_KINDS["as it is"]!;
  const building = (change: object) => () => new TokenizerPipeline({ ...json, ...change });
  expect(building({ normalizer: { type: "Nmt" } })).toThrow(/normalizer must be one of Sequence, NFC, .*, not "Nmt"/);
  expect(building({ pre_tokenizer: { type: "UnicodeScripts" } })).toThrow(/pre_tokenizer must be one of/);
  expect(building({ decoder: { type: "CTC" } })).toThrow(/decoder must be one of/);
  expect(building({ model: { type: "Own" } })).toThrow(/model must be one of BPE, Unigram, WordLevel, WordPiece/);
  expect(building({ post_processor: { type: "Own" } })).toThrow(/post_processor must be one of/);
  const token = { id: 300, content: "<x>", special: true };
  expect(building({ added_tokens: [token] })).toThrow(
    'the id of "<x>" must be 258, the one of the vocabulary or the next, not 300',
  );
  const model = { ...(json.model as object), dropout: 0.1 };
  expect(building({ model })).toThrow("dropout must be null");
});

const VOCAB = { a: 0, b: 1, ab: 2 };
const bytePairs = (vocab: object, merges: unknown[] = []): object => ({ model: { type: "BPE", vocab, merges } });
const unigram = (vocab: unknown[], more: object = {}): object => ({ model: { type: "Unigram", vocab, ...more } });
const bert = { type: "BertProcessing", cls: ["a", 0], sep: ["b", 7] };
const template = {
  type: "TemplateProcessing",
  single: [{ SpecialToken: { id: "<s>" } }, { Sequence: { id: "A" } }],
  special_tokens: { "<s>": { id: "<s>", ids: [9], tokens: ["<s>"] } },
};

test.each<[what: string, json: object, message: string]>([
  ["two tokens with one id", bytePairs({ a: 0, b: 1, ab: 1 }), '"b" and "ab" have the same id, 1'],
  [
    "an added token with the id of another",
    { ...bytePairs({ a: 0, b: 1, ab: 3 }), added_tokens: [{ id: 3, content: "<x>" }] },
    '"ab" and "<x>" have the same id, 3',
  ],
  [
    "an empty added token",
    { ...bytePairs(VOCAB), added_tokens: [{ id: 3, content: "" }] },
    "the added token with id 3 is empty",
  ],
  ["a merge of a token that is not there", bytePairs(VOCAB, [["a", "c"]]), "that the vocabulary lacks"],
  ["a merge to a token that is not there", bytePairs(VOCAB, ["b a"]), "that the vocabulary lacks"],
  ["a merge of one token", bytePairs(VOCAB, ["ab"]), 'a merge must be of two tokens, not "ab"'],
  ["a merge of three tokens", bytePairs(VOCAB, [["a", "b", "ab"]]), "a merge must be of two tokens"],
  ["a merge of numbers", bytePairs(VOCAB, [[0, 1]]), "a merge must be of two tokens, not [0,1]"],
  ["an unknown token beyond the vocabulary", unigram([["a", 0]], { unk_id: 1 }), "unk_id must be the place"],
  ["an unknown token by name", unigram([["a", 0]], { unk_id: "length" }), "unk_id must be the place"],
  ["a token with two scores", unigram([["a", 0, 1]]), "must have pairs of a token and its score"],
  ["an end that is no token", { ...bytePairs(VOCAB), post_processor: bert }, "post_processor puts id 7 around texts"],
  ["a beginning that is none", { ...bytePairs(VOCAB), post_processor: template }, "post_processor puts id 9"],
])("a tokenizer.json that contradicts itself is refused: %s", (_, json, message) => {
  expect(() => new TokenizerPipeline(json as ConstructorParameters<typeof TokenizerPipeline>[0])).toThrow(message);
});

test("a long text takes little more memory than its ids", async () => {
  const module = builtModule(new URL("./pipeline.ts", import.meta.url)).href;
  const json = TOKENIZER_KINDS["byte level"];
  const script = `
    const { workerData, parentPort } = require("node:worker_threads");
    import(workerData.module).then(({ TokenizerPipeline }) => {
      const ids = new TokenizerPipeline(workerData.json).encode("a b, ".repeat(400_000));
      parentPort.postMessage(ids.length);
    });`;
  const limits = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 16 };
  const worker = new Worker(script, { eval: true, workerData: { module, json }, resourceLimits: limits });
  const [count] = await once(worker, "message");
  expect(count).toBeGreaterThan(400_000);
});

const many = <T>(count: number, part: T): T[] => Array.from({ length: count }, () => part);
const doubling = { type: "Replace", pattern: { String: "a" }, content: "aa" };
const zeros = { type: "Replace", pattern: { String: "0" }, content: "00" };
const inBytes = { type: "ByteLevel", use_regex: false };
const split = { type: "Split", pattern: { Regex: "(a|aa)+$" }, behavior: "Isolated" };

test.each<[what: string, json: object, text: string, message: string]>([
  [
    "doubling normalizers",
    { normalizer: { type: "Sequence", normalizers: many(40, doubling) } },
    "a",
    "normalizer makes",
  ],
  [
    "a long replacement",
    { normalizer: { ...doubling, content: "b".repeat(1e5) } },
    "a".repeat(900),
    "normalizer makes",
  ],
  ["a long beginning", { normalizer: { type: "Prepend", prepend: "a".repeat(1e6) } }, "a", "normalizer makes 1000001"],
  [
    "doubling pieces",
    { pre_tokenizer: { type: "Sequence", pretokenizers: many(40, inBytes) } },
    "é",
    "pre_tokenizer makes",
  ],
  ["doubling decoders", { decoder: { type: "Sequence", decoders: many(40, zeros) } }, "a", "decoder makes"],
  [
    "many normalizers",
    { normalizer: { type: "Sequence", normalizers: many(2000, { type: "NFC" }) } },
    "a",
    "normalizer must be of at most 1000 parts",
  ],
  [
    "many splits",
    { pre_tokenizer: { type: "Sequence", pretokenizers: many(2000, split) } },
    "a",
    "pre_tokenizer must be of at most 1000 parts",
  ],
])("work and memory of a text are bounded: %s", (_, parts, text, message) => {
  const json = { ...TOKENIZER_KINDS["as it is"], ...parts };
  const there = (): void => {
    const pipeline = new TokenizerPipeline(json);
    pipeline.decode(pipeline.encode(text).concat(many(9, 98)), false);
  };
  expect(there).toThrow(message);
});

test("known regular expressions run without a time limit, others do not", () => {
  const isForeign = (Regex: string): boolean =>
    new TokenizerPipeline({
      ...TOKENIZER_KINDS["as it is"]!,
      pre_tokenizer: { type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false },
    }).isForeign;
  for (const pattern of Object.values(KNOWN_PATTERNS)) {
    expect(isForeign(pattern)).toBe(false);
    expect(isForeign(`(${pattern})+`)).toBe(true);
  }
});
