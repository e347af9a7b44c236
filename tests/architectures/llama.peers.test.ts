import { compareWithTorch } from "./compare.js";

const CONFIG = {
  model_type: "llama",
  vocab_size: 19,
  max_position_embeddings: 64,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  hidden_act: "silu",
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
};
/** Within the original length the four pairs of a head of 8 turn 19 times, twice, and less than once. */
const LLAMA3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 120 };

compareWithTorch({
  reference: "llama3",
  targets: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
  cases: [
    ["as published", CONFIG],
    ["Llama 3's positions", { ...CONFIG, head_dim: 8, rope_scaling: { rope_type: "llama3", ...LLAMA3 } }],
    [
      "Llama 3's positions, as newer versions of transformers write them",
      { ...CONFIG, head_dim: 8, rope_theta: 5, rope_parameters: { rope_type: "llama3", rope_theta: 600, ...LLAMA3 } },
    ],
    ["linear scaling of positions", { ...CONFIG, rope_scaling: { type: "linear", factor: 4 } }],
    ["other wavelengths", { ...CONFIG, rope_theta: 50 }],
    ["biases in attention", { ...CONFIG, attention_bias: true }],
    ["biases in the MLP", { ...CONFIG, mlp_bias: true }],
    ["heads of another size", { ...CONFIG, head_dim: 6 }],
    ["a tied head", { ...CONFIG, tie_word_embeddings: true }],
    ["gelu", { ...CONFIG, hidden_act: "gelu" }],
    ["a key head for each head and another epsilon", { ...CONFIG, num_key_value_heads: null, rms_norm_eps: 0.1 }],
  ],
});
