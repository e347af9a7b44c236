import { describeModel } from "../src/models/architectures.js";
import type { GPT2ForCausalLM } from "../src/models/gpt2.js";
import { namedParameters } from "../src/nn/module.js";
import { Rng } from "../src/tensor/random.js";
import { trainBytePairEncoding } from "../src/tokenizers/bpe-trainer.js";
import { BYTE_CHARACTERS } from "../src/tokenizers/byte-level.js";
import { Tokenizer } from "../src/tokenizers/tokenizer.js";

const TOKENIZER = trainBytePairEncoding([], { vocabSize: 257 });

/** A token for each byte, and one for the end of a text. */
export const BYTE_TOKENIZER: Tokenizer = Tokenizer.fromJson(TOKENIZER);

/** The tokens of bytes, which need not be whole characters. */
export function byteIds(bytes: Uint8Array): number[] {
  return Array.from(bytes, (byte) => TOKENIZER.model.vocab[BYTE_CHARACTERS[byte]!]!);
}

export interface Parrot {
  readonly config: Readonly<Record<string, unknown>>;
  readonly model: GPT2ForCausalLM;
}

/** A model that says these bytes and then ends the text, whatever it has read: what comes next depends on the position alone. */
export function parrot(bytes: Uint8Array): Parrot {
  const said = [...byteIds(bytes), BYTE_TOKENIZER.endOfTextId];
  const width = said.length + (said.length % 2);
  const sizes = { vocab_size: 257, n_positions: width, n_embd: width, n_layer: 1, n_head: 1 };
  const config = { model_type: "gpt2", tie_word_embeddings: false, ...sizes };
  const model = describeModel(config).create(new Rng(0)) as GPT2ForCausalLM;
  for (const parameter of namedParameters(model).values()) parameter.assign(new Float32Array(parameter.size));
  model.norm.weight.values.fill(1);
  for (const [position, token] of said.entries()) {
    model.embedPositions.weight.values[position * width + position] = 1;
    model.headWeight.values[token * width + position] = 1;
  }
  return { config, model };
}
