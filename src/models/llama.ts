import type { Rng } from "../tensor/random.js";
import type { Architecture } from "./causal-lm.js";
import { DECODER_STORAGE, Decoder, type LlamaBlocks, llamaBlocks } from "./decoder.js";
import { type LlamaConfig, readLlamaConfig } from "./llama-config.js";

/** A LLaMA language model: embeddings, layers, final norm and an output projection, tied to the embeddings or not. */
export class LlamaForCausalLM extends Decoder<LlamaConfig, LlamaBlocks> {
  /** Random weights: normal with the config's initializerRange; norms at one, biases at zero. */
  constructor(config: LlamaConfig, rng: Rng) {
    super(config, rng, llamaBlocks);
  }
}

/** LLaMA 1 to 3. */
export const LLAMA: Architecture = {
  modelType: "llama",
  describe(json) {
    const config = readLlamaConfig(json);
    return { config, storage: DECODER_STORAGE, create: (rng) => new LlamaForCausalLM(config, rng) };
  },
};
