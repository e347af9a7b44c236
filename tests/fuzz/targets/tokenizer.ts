import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { Tokenizer } from "../../../src/tokenizers/tokenizer.js";
import { trainTokenizer } from "../../../src/tokenizers/train-tokenizer.js";
import { TEXT } from "../../small-model.js";
import { expectThat, type FuzzTarget } from "../target.js";

/** As llama.cpp's and Hugging Face's models have it: a pattern, byte fallback, a template; merges as texts. */
function sentencePieceLike(): object {
  const vocab: Record<string, number> = { "<unk>": 0, "<s>": 1, "</s>": 2 };
  for (const byte of Array.from({ length: 256 }, (_, i) => i))
    vocab[`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`] = 3 + byte;
  for (const piece of ["▁", "c", "a", "t", "▁c", "at", "▁cat", "s"]) vocab[piece] = Object.keys(vocab).length;
  const special = (id: number, content: string) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "▁" },
        { type: "Replace", pattern: { String: " " }, content: "▁" },
        { type: "Replace", pattern: { String: "s" }, content: "ss" },
      ],
    },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: "\\p{N}{1,3}|▁?[^\\s▁]+" }, behavior: "Isolated", invert: false },
      ],
    },
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [],
      special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: "<unk>",
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      vocab,
      merges: ["▁ c", "a t", "▁c at"],
    },
  };
}

export const tokenizer: FuzzTarget = {
  name: "tokenizer",
  sources: [
    "tokenizers/tokenizer",
    "tokenizers/outside-tokens",
    "tokenizers/added-tokens",
    "tokenizers/byte-pairs",
    "tokenizers/decoders",
    "tokenizers/normalizers",
    "tokenizers/oniguruma",
    "tokenizers/part",
    "tokenizers/pattern",
    "tokenizers/pipeline",
    "tokenizers/post-processors",
    "tokenizers/pre-tokenizers",
    "tokenizers/precompiled",
    "tokenizers/token-model",
    "tokenizers/token-models",
    "tokenizers/unigram",
  ],
  writeSamples: async (folder) => {
    const trained = trainTokenizer(TEXT.split("\n\n"), { vocabSize: 280, maxLength: 32 });
    const samples = {
      trained: [trained.toJson(), trained.config],
      pieces: [
        sentencePieceLike(),
        { eos_token: { content: "</s>", lstrip: false }, clean_up_tokenization_spaces: true },
      ],
    };
    for (const [name, [json, tokenizerConfig]] of Object.entries(samples)) {
      await mkdir(path.join(folder, name), { recursive: true });
      await writeFile(path.join(folder, name, "tokenizer.json"), JSON.stringify(json));
      await writeFile(path.join(folder, name, "tokenizer_config.json"), JSON.stringify(tokenizerConfig));
    }
  },
  run: async (folder) => {
    const read = await Tokenizer.fromFolder(folder);
    const { vocabSize } = read;
    expectThat(
      Number.isSafeInteger(vocabSize) && vocabSize > 0 && vocabSize <= 2 ** 22,
      `the vocabulary has ${vocabSize} tokens`,
    );
    const isId = (id: number): boolean => Number.isSafeInteger(id) && id >= 0 && id < vocabSize;
    expectThat(isId(read.endOfTextId), "the end of text is no token");
    const texts = ["", "The cat sat.\n\n\ttabs é😀 \ud800 12345", `</s><s>cats${"a".repeat(300)}`];
    const encoded = texts.map((text) => read.encode(text));
    const stream = read.encodeDocuments(texts);
    expectThat([...encoded.flat(), ...stream].every(isId), "an id is no token");
    for (const ids of encoded)
      expectThat(typeof read.decode(ids, { skipSpecialTokens: true }) === "string", "no text comes back");
    JSON.stringify([read.toJson(), read.config]);
  },
};
