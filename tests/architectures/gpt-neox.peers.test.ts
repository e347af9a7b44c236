import { compareWithTorch } from "./compare.js";

const CONFIG = {
  model_type: "gpt_neox",
  vocab_size: 19,
  max_position_embeddings: 12,
  hidden_size: 32,
  intermediate_size: 40,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  hidden_act: "gelu",
  rotary_pct: 0.25,
  rotary_emb_base: 10_000,
  use_parallel_residual: true,
  layer_norm_eps: 1e-5,
};

compareWithTorch({
  reference: "gpt_neox",
  targets: ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"],
  cases: [
    ["as Pythia", CONFIG],
    ["one block after the other", { ...CONFIG, use_parallel_residual: false }],
    ["half of each head turns", { ...CONFIG, rotary_pct: 0.5, rotary_emb_base: 100 }],
    ["all of each head turns", { ...CONFIG, rotary_pct: 1 }],
    ["linear scaling of positions", { ...CONFIG, rotary_pct: 0.5, rope_scaling: { type: "linear", factor: 4 } }],
    ["no biases in attention", { ...CONFIG, attention_bias: false }],
    ["a tied head", { ...CONFIG, tie_word_embeddings: true }],
    ["gelu_new", { ...CONFIG, hidden_act: "gelu_new" }],
    ["another epsilon", { ...CONFIG, layer_norm_eps: 0.1, hidden_act: "gelu_fast" }],
  ],
});
