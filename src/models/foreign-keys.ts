import type { ConfigReader } from "./config-reader.js";

/**
 * Keys that change what a model computes in some architecture or some fork of one, each with the value that changes
 * nothing. Models that do not know a key would pass over it in silence.
 */
const NEUTRAL: Readonly<Record<string, unknown>> = {
  is_causal: true,
  use_bidirectional_attention: false,
  per_layer_config: null,
  // Granite, Cohere, MiniCPM and other models with factors of their own.
  embedding_multiplier: 1,
  residual_multiplier: 1,
  attention_multiplier: null,
  logits_scaling: 1,
  logit_scale: 1,
  scale_emb: 1,
  scale_depth: null,
  dim_model_base: null,
  // Gemma.
  query_pre_attn_scalar: null,
  attn_logit_softcapping: null,
  final_logit_softcapping: null,
  // Norms of queries and keys, and what else happens to them.
  use_qk_norm: false,
  qk_layernorm: false,
  clip_qkv: null,
  attn_temperature_tuning: false,
  attention_chunk_size: null,
  no_rope_layers: null,
  no_rope_layer_interval: null,
  alibi: false,
  use_alibi: false,
  // Mixtures of experts.
  num_experts: null,
  num_local_experts: null,
  n_routed_experts: null,
};

/** Refuses by name whatever another architecture would compute; `known` are the keys that this one reads. */
export function refuseForeignKeys(reader: ConfigReader, known: readonly string[] = []): void {
  for (const [key, neutral] of Object.entries(NEUTRAL)) if (!known.includes(key)) reader.only(key, neutral);
}
