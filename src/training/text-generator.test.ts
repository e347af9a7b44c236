import { expect, test } from "vitest";
import { trainBytePairEncoding } from "../data/bpe-trainer.js";
import { Tokenizer } from "../data/tokenizer.js";
import { LlamaForCausalLM } from "../models/llama.js";
import { llamaConfig } from "../models/llama-config.js";
import { evaluate } from "../runtime/evaluate.js";
import { Rng } from "../tensor/random.js";
import { tensor } from "../tensor/tensor.js";
import { TextGenerator } from "./text-generator.js";

const tokenizer = Tokenizer.fromJson(trainBytePairEncoding([], { vocabSize: 257 }));
const GREEDY = { temperature: 0, topK: null, topP: 1 };

function tinyModel(maxSequenceLength: number): LlamaForCausalLM {
  const sizes = { vocabSize: 257, hiddenSize: 8, intermediateSize: 12, numLayers: 1, numHeads: 2, maxSequenceLength };
  return new LlamaForCausalLM(llamaConfig({ ...sizes, initializerRange: 1 }), new Rng(3));
}

/** Greedy continuation from the logits of the whole text, without windows. */
async function continuation(model: LlamaForCausalLM, prompt: string, length: number): Promise<number[]> {
  const ids = [tokenizer.endOfTextId, ...tokenizer.encode(prompt)];
  for (let i = 0; i < length; i++) {
    const recent = ids.slice(-model.config.maxSequenceLength);
    const [logits] = await evaluate([model.logits(tensor(Int32Array.from(recent), [1, recent.length]))]);
    const last = [...logits!.data.slice(-model.config.vocabSize)];
    ids.push(last.indexOf(Math.max(...last)));
  }
  return ids.slice(-length);
}

test.each([128, 36])(
  "greedy text is that of the full logits, over window borders, for a model of length %i",
  async (longest) => {
    const model = tinyModel(longest);
    const generator = new TextGenerator(model, tokenizer, { device: "cpu", threads: 1 });
    const expected = await continuation(model, "a tree", 40);
    expect(expected).not.toContain(tokenizer.endOfTextId);
    const pieces: string[] = [];
    const options = { ...GREEDY, maxNewTokens: 40, onText: (piece: string) => pieces.push(piece) };
    const { text, tokens, finish } = await generator.generate("a tree", options, new Rng(0));
    expect({ text, tokens, finish }).toEqual({ text: tokenizer.decode(expected), tokens: 40, finish: "length" });
    expect(pieces.join("")).toBe(text);
    await generator.release();
  },
);

test("text ends at the end-of-text token", async () => {
  const model = tinyModel(64);
  // All logits are zero, and of equals the first is taken: the end-of-text token has id 0.
  model.headWeight.values.fill(0);
  const generator = new TextGenerator(model, tokenizer, { device: "cpu", threads: 1 });
  const { text, tokens, finish } = await generator.generate("a", { ...GREEDY, maxNewTokens: 5 }, new Rng(0));
  expect({ text, tokens, finish }).toEqual({ text: "", tokens: 0, finish: "end-of-text" });
  await generator.release();
});
