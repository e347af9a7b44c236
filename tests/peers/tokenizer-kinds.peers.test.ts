import { expect, test } from "vitest";
import { Rng } from "../../src/tensor/random.js";
import { TokenizerPipeline } from "../../src/tokenizers/pipeline.js";
import { KIND_TEXTS, TOKENIZER_KINDS } from "../tokenizer-kinds.js";
import { strangeTexts } from "../tokenizer-text.js";
import { ask, describePeers } from "./peer.js";

interface Answer {
  readonly ids: readonly number[];
  readonly whole: readonly number[];
  readonly text: string;
  readonly skipped: string;
}

describePeers("each part of a tokenizer.json against the library tokenizers", () => {
  test("the values in tests/golden are the library's (rewrite them with -u)", async () => {
    const lines: string[] = [];
    for (const [name, tokenizer] of Object.entries(TOKENIZER_KINDS)) {
      const answers = await ask<Answer[]>("tokenizer_peers", "encode_json", { tokenizer, texts: KIND_TEXTS });
      lines.push(`${JSON.stringify(name)}: ${JSON.stringify(answers.map(({ whole, text }) => [whole, text]))}`);
    }
    await expect(`{\n${lines.join(",\n")}\n}\n`).toMatchFileSnapshot("../golden/tokenizers.json");
  });

  test.each(Object.entries(TOKENIZER_KINDS))("%s: other texts, and ids drawn at random", async (_, tokenizer) => {
    const pipeline = new TokenizerPipeline(tokenizer);
    const { before, after } = pipeline.surround;
    const texts = strangeTexts(8000, 11);
    const theirs = await ask<Answer[]>("tokenizer_peers", "encode_json", { tokenizer, texts });
    const ours = texts.map((text) => {
      const ids = pipeline.encode(text);
      const decoded = [false, true].map((skip) => pipeline.decode(ids, skip));
      return { ids, whole: [...before, ...ids, ...after], text: decoded[0], skipped: decoded[1] };
    });
    expect(ours).toEqual(theirs);
    const rng = new Rng(3, "ids");
    const ids = Array.from({ length: 50 }, () =>
      Array.from({ length: rng.below(9) }, () => rng.below(pipeline.vocabSize + 1)),
    );
    const decoded = ids.map((each) => [pipeline.decode(each, false), pipeline.decode(each, true)]);
    expect(decoded).toEqual(await ask("tokenizer_peers", "decode_json", { tokenizer, ids }));
  });
});
