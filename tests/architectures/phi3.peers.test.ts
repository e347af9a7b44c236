import { compareWithTorch } from "./compare.js";

const CONFIG = {
  model_type: "phi3",
  vocab_size: 19,
  max_position_embeddings: 64,
  hidden_size: 32,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 4,
  hidden_act: "silu",
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  sliding_window: 3,
  attention_bias: false,
};

compareWithTorch({
  reference: "phi3",
  targets: ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"],
  cases: [
    ["as Phi 3 mini", CONFIG],
    ["without a window, of fewer key heads, as Phi 4", { ...CONFIG, sliding_window: null, num_key_value_heads: 2 }],
    ["three quarters of each head turn", { ...CONFIG, partial_rotary_factor: 0.75 }],
    [
      "half of each head turns, as newer versions of transformers write it",
      { ...CONFIG, rope_parameters: { rope_type: "default", rope_theta: 600, partial_rotary_factor: 0.5 } },
    ],
    ["heads of another size", { ...CONFIG, head_dim: 6, num_key_value_heads: 1 }],
    [
      "a tied head, gelu and another epsilon",
      { ...CONFIG, tie_word_embeddings: true, hidden_act: "gelu", rms_norm_eps: 0.1 },
    ],
  ],
});
