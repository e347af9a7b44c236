import { compareWithTorch } from "./compare.js";

const CONFIG = {
  model_type: "gpt2",
  vocab_size: 19,
  n_positions: 12,
  n_embd: 16,
  n_layer: 3,
  n_head: 4,
  activation_function: "gelu_new",
  layer_norm_epsilon: 1e-5,
};

compareWithTorch({
  reference: "gpt2",
  targets: ["c_attn", "c_proj", "c_fc"],
  cases: [
    ["as published", CONFIG],
    ["a head of its own", { ...CONFIG, tie_word_embeddings: false }],
    ["an inner width", { ...CONFIG, n_inner: 24 }],
    ["exact GELU", { ...CONFIG, activation_function: "gelu" }],
    ["SiLU", { ...CONFIG, activation_function: "silu" }],
    ["scores that are not scaled", { ...CONFIG, scale_attn_weights: false }],
    ["scores scaled by layer", { ...CONFIG, scale_attn_by_inverse_layer_idx: true }],
    ["another epsilon", { ...CONFIG, layer_norm_epsilon: 0.1 }],
  ],
});
