import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { KIND_TEXTS, TOKENIZER_KINDS } from "../../tests/tokenizer-kinds.js";
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
