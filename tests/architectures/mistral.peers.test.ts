import { compareWithTorch } from "./compare.js";

const CONFIG = {
  model_type: "mistral",
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
  sliding_window: 3,
};

compareWithTorch({
  reference: "mistral",
  targets: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
  cases: [
    ["with a window", CONFIG],
    ["without one", { ...CONFIG, sliding_window: null }],
    ["heads of another size, as Mistral NeMo", { ...CONFIG, head_dim: 6, sliding_window: null, rope_theta: 1_000_000 }],
    ["scaled positions", { ...CONFIG, rope_scaling: { type: "linear", factor: 4 } }],
    [
      "a tied head, gelu and another epsilon",
      { ...CONFIG, tie_word_embeddings: true, hidden_act: "gelu", rms_norm_eps: 0.1 },
    ],
  ],
});
