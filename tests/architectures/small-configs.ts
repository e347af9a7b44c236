import { diskParameters, hostTensors, writeModel } from "../../src/loading/model-source.js";
import { describeModel } from "../../src/models/architectures.js";
import type { CausalLM } from "../../src/models/causal-lm.js";
import { namedParameters } from "../../src/nn/module.js";
import { Rng } from "../../src/tensor/random.js";
import { trainTokenizer } from "../../src/tokenizers/train-tokenizer.js";
import { TEXT } from "../small-model.js";

const LLAMA = {
  model_type: "llama",
  ...{ vocab_size: 31, hidden_size: 16, intermediate_size: 24, num_hidden_layers: 2, num_attention_heads: 4 },
  ...{ max_position_embeddings: 32, initializer_range: 0.3 },
};

const QWEN2 = {
  ...{ ...LLAMA, model_type: "qwen2", num_hidden_layers: 3, num_key_value_heads: 2, tie_word_embeddings: true },
  ...{ use_sliding_window: true, sliding_window: 3, max_window_layers: 1 },
};

export type SmallConfig =
  | "llama"
  | "llama with shared key heads and a tied head"
  | "llama with stretched positions and biases"
  | "mistral, with a sliding window"
  | "qwen2, with biases and windows in some layers"
  | "qwen3, with normed heads"
  | "phi3, with joined projections and a window"
  | "gpt2, with learned positions and a tied head"
  | "gpt_neox, of whose heads half turn"
  | "gemma3_text, with sliding windows and two kinds of positions";

/** Small models that between them do all that depends on where tokens stand; every architecture is among them. */
export const SMALL_CONFIGS: Readonly<Record<SmallConfig, Readonly<Record<string, unknown>>>> = {
  llama: LLAMA,
  "llama with shared key heads and a tied head": { ...LLAMA, num_key_value_heads: 2, tie_word_embeddings: true },
  "llama with stretched positions and biases": {
    ...{ ...LLAMA, attention_bias: true, mlp_bias: true, head_dim: 8 },
    rope_scaling: {
      ...{ rope_type: "llama3", factor: 8, original_max_position_embeddings: 120 },
      ...{ low_freq_factor: 1, high_freq_factor: 4 },
    },
  },
  "mistral, with a sliding window": { ...LLAMA, model_type: "mistral", num_key_value_heads: 2, sliding_window: 3 },
  "qwen2, with biases and windows in some layers": QWEN2,
  "qwen3, with normed heads": { ...QWEN2, model_type: "qwen3", head_dim: 6, attention_bias: true },
  "phi3, with joined projections and a window": {
    ...{ ...LLAMA, model_type: "phi3", num_key_value_heads: 2, hidden_size: 32 },
    ...{ partial_rotary_factor: 0.75, sliding_window: 3 },
  },
  "gpt2, with learned positions and a tied head": {
    ...{ model_type: "gpt2", vocab_size: 31, n_positions: 32, n_embd: 16, n_layer: 2, n_head: 4 },
    initializer_range: 0.3,
  },
  "gpt_neox, of whose heads half turn": {
    ...LLAMA,
    ...{ model_type: "gpt_neox", rotary_pct: 0.5, use_parallel_residual: true },
  },
  "gemma3_text, with sliding windows and two kinds of positions": {
    ...LLAMA,
    ...{ model_type: "gemma3_text", num_hidden_layers: 3, num_key_value_heads: 2, head_dim: 6 },
    ...{ hidden_activation: "gelu_pytorch_tanh", sliding_window: 3, query_pre_attn_scalar: 6 },
    ...{ rope_theta: 1_000_000, rope_local_base_freq: 10_000 },
    layer_types: ["sliding_attention", "full_attention", "sliding_attention"],
  },
};

/** A random model, its biases and norms away from their start. */
export function smallModel(config: SmallConfig, change: Readonly<Record<string, unknown>> = {}): CausalLM {
  return randomModel({ ...SMALL_CONFIGS[config], ...change });
}

function randomModel(config: Readonly<Record<string, unknown>>): CausalLM {
  const model = describeModel(config).create(new Rng(1));
  for (const [path, parameter] of namedParameters(model)) {
    const rng = new Rng(2, path);
    if (parameter.rank === 1) parameter.assign(parameter.values.map((value) => value + 0.2 * rng.normal()));
  }
  return model;
}

/** A folder with such a model, of the vocabulary of the tokenizer that goes with it. */
export async function writeRandomModel(folder: string, sizes: Readonly<Record<string, unknown>>): Promise<void> {
  const tokenizer = trainTokenizer(TEXT.split("\n\n"), { vocabSize: 280, maxLength: 32 });
  const end = { bos_token_id: tokenizer.endOfTextId, eos_token_id: tokenizer.endOfTextId };
  const config = { ...sizes, vocab_size: tokenizer.vocabSize, ...end };
  await writeModel(folder, {
    config,
    tensors: hostTensors(diskParameters(randomModel(config))),
    files: new Map([
      ["tokenizer.json", JSON.stringify(tokenizer.toJson())],
      ["tokenizer_config.json", JSON.stringify(tokenizer.config)],
    ]),
  });
}
