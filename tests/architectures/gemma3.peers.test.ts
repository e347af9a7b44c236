import { compareWithTorch } from "./compare.js";

const CONFIG = {
  model_type: "gemma3_text",
  vocab_size: 19,
  max_position_embeddings: 12,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 6,
  query_pre_attn_scalar: 6,
  hidden_activation: "gelu_pytorch_tanh",
  sliding_window: 3,
  layer_types: ["sliding_attention", "full_attention", "sliding_attention"],
  rope_theta: 1_000_000,
  rope_local_base_freq: 10_000,
  rms_norm_eps: 1e-6,
};
/** Within the original length the three pairs of a head of 6 turn 19 times, and less than once. */
const LLAMA3 = { factor: 8, low_freq_factor: 0.1, high_freq_factor: 4, original_max_position_embeddings: 120 };

compareWithTorch({
  reference: "gemma3",
  targets: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
  cases: [
    ["as published", CONFIG],
    ["a pattern of layers", { ...CONFIG, layer_types: null, sliding_window_pattern: 3 }],
    ["linear scaling of positions", { ...CONFIG, rope_scaling: { rope_type: "linear", factor: 8 } }],
    ["Llama 3's scaling of positions", { ...CONFIG, rope_scaling: { rope_type: "llama3", ...LLAMA3 } }],
    ["other wavelengths", { ...CONFIG, rope_theta: 100, rope_local_base_freq: 50 }],
    ["another scale of scores", { ...CONFIG, query_pre_attn_scalar: 20 }],
    ["capped logits", { ...CONFIG, final_logit_softcapping: 2 }],
    ["biases in attention", { ...CONFIG, attention_bias: true }],
    ["a head of its own", { ...CONFIG, tie_word_embeddings: false }],
    ["one key head and another epsilon", { ...CONFIG, num_key_value_heads: 1, rms_norm_eps: 0.1 }],
  ],
});
