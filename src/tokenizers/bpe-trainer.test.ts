import { expect, test } from "vitest";
import { ConfigError } from "../base/errors.js";
import { Rng } from "../tensor/random.js";
import { trainBytePairEncoding } from "./bpe-trainer.js";
import { BYTE_CHARACTERS } from "./byte-level.js";

// Merges of tokenizers 0.23.2 (Python): BpeTrainer(vocab_size=284, special_tokens=["<|endoftext|>"], min_frequency=2,
// initial_alphabet=ByteLevel.alphabet()) over ByteLevel(add_prefix_space=False) pre-tokens of the same documents.
const DOCUMENTS = [
  "the theory of the thing: it's there, isn't it?",
  "aaaa aaa aa a\n\n\tbananas & ananas",
  "naïve café déjà vu — 東京 東京 🙂🙂",
  "1234 12345 the end's the end",
];
const MERGES =
  "t h|a a|Ġ th|n a|Ġth e|Ġ i|' s|1 2|3 4|a na|e n|± ä|º ¬|Ã ©|æ Ŀ|ð Ł|" +
  "Ġ aa|Ġ en|Ġ æĿ|Ļ Ĥ|na s|Ġi t|12 34|ana nas|±ä º¬|ðŁ ĻĤ|Ġen d";

test("merges and ids are those of Hugging Face's own trainer", () => {
  const { model, added_tokens } = trainBytePairEncoding(DOCUMENTS, { vocabSize: 284 });
  expect(model.merges.map(([left, right]) => `${left} ${right}`).join("|")).toBe(MERGES);
  expect(added_tokens.map(({ id, content }) => [id, content])).toEqual([[0, "<|endoftext|>"]]);
  expect([model.vocab["!"], model.vocab.Ġ, model.vocab.Ń]).toEqual([1, 221, 256]);
  expect(model.vocab[MERGES.split("|")[0]!.replace(" ", "")]).toBe(257);
});

test("counts kept while merging lead to the same merges as counting anew each time", () => {
  for (let seed = 0; seed < 20; seed++) {
    const rng = new Rng(seed, "bpe-trainer.test");
    const word = () => Array.from({ length: 1 + rng.below(9) }, () => "abc"[rng.below(3)]).join("");
    const words = Array.from({ length: 30 }, word);
    const trained = trainBytePairEncoding(words, { vocabSize: 257 + 60 });
    expect(trained.model.merges).toEqual(mergesByRecounting(words, 60));
  }
});

/** Byte-pair encoding of ASCII words by definition: count all pairs, merge the most frequent one, repeat. */
function mergesByRecounting(words: string[], newTokens: number): string[][] {
  const ids = new Map([...BYTE_CHARACTERS].sort().map((token, index) => [token, index + 1]));
  let sequences = words.map((word) => [...word]);
  const merges: string[][] = [];
  while (ids.size < 256 + newTokens) {
    const counts = new Map<string, number>();
    for (const sequence of sequences) {
      for (let i = 1; i < sequence.length; i++) {
        const key = `${sequence[i - 1]} ${sequence[i]}`;
        counts.set(key, (counts.get(key) ?? 0) + 1);
      }
    }
    const idsOf = (key: string) => key.split(" ").map((token) => ids.get(token)!) as [number, number];
    const best = [...counts].sort(([a, countA], [b, countB]) => {
      const [leftA, rightA] = idsOf(a);
      const [leftB, rightB] = idsOf(b);
      return countB - countA || leftA - leftB || rightA - rightB;
    })[0];
    if (best === undefined || best[1] < 2) break;
    const [left, right] = best[0].split(" ") as [string, string];
    if (!merges.some((merge) => merge[0] === left && merge[1] === right)) merges.push([left, right]);
    if (!ids.has(left + right)) ids.set(left + right, ids.size + 1);
    sequences = sequences.map((sequence) => {
      const merged: string[] = [];
      for (let i = 0; i < sequence.length; i++) {
        const matches = sequence[i] === left && sequence[i + 1] === right;
        merged.push(matches ? left + right : sequence[i]!);
        if (matches) i++;
      }
      return merged;
    });
  }
  return merges;
}

test("the order of documents does not matter", () => {
  const forward = trainBytePairEncoding(DOCUMENTS, { vocabSize: 300 });
  expect(trainBytePairEncoding([...DOCUMENTS].reverse(), { vocabSize: 300 })).toEqual(forward);
});

test("a sample takes documents from the whole range", () => {
  const documents = Array.from({ length: 100 }, (_, i) => (i < 50 ? "first half" : "later part"));
  const { model } = trainBytePairEncoding(documents, { vocabSize: 300, sampleBytes: 100, minFrequency: 5 });
  expect(model.vocab).toHaveProperty("first");
  expect(model.vocab).toHaveProperty("later");
  const tooRare = trainBytePairEncoding(documents, { vocabSize: 300, sampleBytes: 100, minFrequency: 6 });
  expect(tooRare.model.merges).toEqual([]);
});

test("options out of range are refused together", () => {
  const train = () => trainBytePairEncoding([], { vocabSize: 256, minFrequency: 0 });
  expect(train).toThrow(ConfigError);
  expect(train).toThrow(
    /vocabSize must be an integer of at least 257 .*got 256; minFrequency must be at least 1, got 0/,
  );
  expect(() => trainBytePairEncoding([], { vocabSize: 300, specialTokens: ["<a>", "<a>"] })).toThrow(/specialTokens/);
});
