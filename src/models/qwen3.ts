import type { Architecture } from "./causal-lm.js";
import { decoderArchitecture } from "./decoder.js";
import { readQwen } from "./qwen2.js";

/** Qwen 3 (Yang et al. 2025, arXiv:2505.09388): norms for the heads of queries and keys in place of Qwen 2's biases. */
export const QWEN3: Architecture = decoderArchitecture("qwen3", (reader) => ({
  ...readQwen(reader, { headDim: 128 }),
  attentionBias: reader.boolean("attention_bias", false),
  headNorm: true,
}));
