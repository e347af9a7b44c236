import { compareWithTorch } from "./compare.js";

const CONFIG = {
  model_type: "qwen2",
  vocab_size: 19,
  max_position_embeddings: 64,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  hidden_act: "silu",
  rms_norm_eps: 1e-6,
  rope_theta: 1_000_000,
  use_sliding_window: false,
  sliding_window: 3,
  max_window_layers: 1,
};
const LAYER_TYPES = ["sliding_attention", "full_attention", "sliding_attention"];

compareWithTorch({
  reference: "qwen2",
  targets: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
  cases: [
    ["as published", CONFIG],
    ["windows from a layer on", { ...CONFIG, use_sliding_window: true }],
    ["windows in named layers", { ...CONFIG, use_sliding_window: true, layer_types: LAYER_TYPES }],
    ["scaled positions", { ...CONFIG, rope_scaling: { type: "linear", factor: 4 } }],
    ["a tied head", { ...CONFIG, tie_word_embeddings: true }],
    ["gelu and another epsilon", { ...CONFIG, hidden_act: "gelu", rms_norm_eps: 0.1 }],
  ],
});
