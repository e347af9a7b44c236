import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { CheckpointError } from "../../src/base/errors.js";
import {
  ARCHITECTURES,
  type Computed,
  computeFolder,
  configOf,
  logitsApart,
  type Read,
  readLogits,
  SMALL,
  someRows,
} from "./folders.js";
import { ask, describePeers } from "./peer.js";

const root = mkdtempSync(path.join(tmpdir(), "highrank-config-keys-"));
afterAll(() => rmSync(root, { recursive: true }));

type Config = Readonly<Record<string, unknown>>;

const ROWS = someRows(SMALL.vocab_size, 2, 12);
/** Of the largest logit. */
const TOLERANCE = 2e-5;

/** Keys that say nothing of the numbers, and those of which a change is a change of everything. */
const LEFT_ALONE = ["model_type", "architectures", "transformers_version", "_name_or_path", "id2label", "label2id"];

const ACTIVATIONS = [
  ...["silu", "swish", "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_python", "gelu_10", "quick_gelu"],
  ...["gelu_accurate", "relu", "relu2", "mish", "linear", "sigmoid", "tanh", "laplace"],
];

const LONG = { short_factor: [1.1, 1.2, 1.3, 1.4], long_factor: [2, 3, 4, 5] };
const YARN = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 16 };
const LLAMA3 = { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
const POSITIONS: readonly Config[] = [
  { rope_type: "linear", factor: 2 },
  { type: "linear", factor: 2 },
  { type: "linear", factor: 2, rope_type: "default" },
  { rope_type: "linear", factor: 2, rope_theta: 500 },
  { rope_type: "linear", factor: 2, partial_rotary_factor: 0.5 },
  { rope_type: "dynamic", factor: 2 },
  { rope_type: "yarn", factor: 2 },
  YARN,
  { ...YARN, truncate: false, original_max_position_embeddings: 900 },
  { ...YARN, beta_fast: 8, beta_slow: 2, original_max_position_embeddings: 900 },
  { ...YARN, attention_factor: 1.3 },
  { ...YARN, mscale: 0.7, mscale_all_dim: 1.2 },
  { ...YARN, mscale: 0.7 },
  { ...YARN, factor: null },
  { ...YARN, finetuned: true },
  { ...YARN, extrapolation_factor: 2 },
  { ...LLAMA3, original_max_position_embeddings: 16 },
  LLAMA3,
  { rope_type: "longrope", ...LONG, original_max_position_embeddings: 16 },
  { rope_type: "longrope", ...LONG, original_max_position_embeddings: 8 },
  { type: "longrope", ...LONG },
  { rope_type: "longrope", ...LONG, original_max_position_embeddings: 8, factor: 32 },
  { rope_type: "longrope", ...LONG, original_max_position_embeddings: 8, attention_factor: 1.3 },
  { type: "su", ...LONG },
  { type: "yarn", ...LONG },
  { type: "longrope", ...LONG, short_mscale: 1.2, long_mscale: 1.4 },
  { rope_type: "longrope", short_factor: [1.1, 1.2], long_factor: [2, 3], partial_rotary_factor: 0.5 },
  { rope_type: "proportional", partial_rotary_factor: 0.5 },
  { rope_type: "proportional", partial_rotary_factor: 0.5, factor: 2 },
  { rope_type: "mrope", mrope_section: [1, 1, 2] },
  { rope_type: "default", mrope_section: [1, 1, 2] },
  { rope_type: "axial" },
  { type: "ntk", factor: 2 },
  { rope_type: "default", partial_rotary_factor: 0.5 },
  { rope_type: "default", partial_rotary_factor: 0.7 },
  { factor: 2 },
  {},
];
const BY_LAYER: readonly Config[] = [
  { full_attention: { rope_type: "linear", factor: 2, rope_theta: 300 }, sliding_attention: { rope_theta: 40 } },
  { full_attention: { ...YARN, truncate: false }, sliding_attention: { rope_type: "dynamic", factor: 2 } },
  {
    full_attention: { rope_type: "longrope", ...LONG, original_max_position_embeddings: 8 },
    sliding_attention: { rope_type: "linear", factor: 3 },
  },
  { full_attention: { rope_theta: 90 }, sliding_attention: null },
];

/** Values for keys that configs of any architecture may hold, known to it or not. */
const ANYWHERE: Readonly<Record<string, readonly unknown[]>> = {
  rope_scaling: POSITIONS,
  rope_parameters: [...POSITIONS.map((each) => ({ rope_theta: 10_000, ...each })), ...BY_LAYER],
  rope_theta: [500],
  rotary_emb_base: [500],
  rotary_pct: [0.5],
  rope_local_base_freq: [77],
  rope_interleaved: [true],
  partial_rotary_factor: [0.5, 0.7],
  original_max_position_embeddings: [8],
  ...{ embedding_multiplier: [2], attention_multiplier: [2], residual_multiplier: [2], logits_scaling: [2] },
  ...{ logit_scale: [2], final_logit_softcapping: [3.5], attn_logit_softcapping: [3.5], query_pre_attn_scalar: [3] },
  ...{ use_qk_norm: [true], qk_layernorm: [true], clip_qkv: [0.1], scale_emb: [2], scale_depth: [1.4] },
  ...{ sliding_window: [3], sliding_window_pattern: [2, 1], _sliding_window_pattern: [2] },
  layer_types: [
    ["full_attention", "sliding_attention"],
    ["attention", "attention"],
    ["chunked_attention", "full_attention"],
  ],
  ...{ attention_bias: [true, false], mlp_bias: [true, false], bias: [true], head_dim: [8, 16, 4] },
  ...{ norm_eps: [0.5], layer_norm_eps: [0.5], rms_norm_eps: [0.5], layer_norm_epsilon: [0.5] },
  ...{ hidden_size: [32, 64], num_hidden_layers: [1, 2], num_attention_heads: [2], num_key_value_heads: [1, 4] },
  ...{ intermediate_size: [48], max_position_embeddings: [8, 128] },
  ...{ n_embd: [64], n_layer: [1], n_head: [2], n_positions: [8], n_ctx: [8], n_inner: [48] },
  per_layer_config: [{ 0: { rms_norm_eps: 0.5 } }, { 0: { num_key_value_heads: 4 } }, { 1: { sliding_window: 2 } }],
  ...{ is_causal: [false], is_decoder: [false, true], use_bidirectional_attention: [true] },
  ...{ hidden_act: ["relu"], hidden_activation: ["silu"], activation_function: ["silu"] },
  ...{ torch_dtype: ["bfloat16"], dtype: ["bfloat16", "float16"], pretraining_tp: [2], chunk_size_feed_forward: [4] },
  ...{ use_parallel_residual: [false], scale_attn_weights: [false], scale_attn_by_inverse_layer_idx: [true] },
  ...{ attn_implementation: ["eager"], tie_last_hidden_states: [true], tie_word_embeddings: [true, false] },
  ...{ attention_chunk_size: [4], no_rope_layers: [[0, 1]], attn_temperature_tuning: [true], alibi: [true] },
  ...{ num_experts: [2], num_local_experts: [2], use_mrope: [true], attention_dropout: [0.5], attn_pdrop: [0.5] },
};

/** Configs that differ from one, by what is changed: each key left out, null, and of other values of its kind. */
function variantsOf(config: Config, fields: Config): Map<string, Config> {
  const variants = new Map<string, Config>();
  const add = (change: Config): void => {
    variants.set(JSON.stringify(change), { ...config, ...change });
  };
  for (const key of new Set([...Object.keys(config), ...Object.keys(fields)])) {
    if (LEFT_ALONE.includes(key)) continue;
    const { [key]: value, ...rest } = config;
    if (key in config) variants.set(`without ${key}`, rest);
    for (const other of [null, ...valuesLike(key, value)]) add({ [key]: other });
  }
  for (const [key, values] of Object.entries(ANYWHERE)) for (const value of values) add({ [key]: value });
  // Positions in a config that says nothing else of them.
  const { rope_parameters: _, ...rest } = config;
  const isByLayer = config.model_type === "gemma3_text";
  for (const scaling of POSITIONS) {
    for (const key of ["rope_scaling", "rope_parameters"]) {
      const value = isByLayer && key === "rope_parameters" ? { full_attention: scaling } : scaling;
      const alone = { rope_theta: 700, [key]: value };
      variants.set(`alone: ${JSON.stringify(alone)}`, { ...rest, ...alone });
      // Shorter than the rows.
      variants.set(`short: ${JSON.stringify(alone)}`, { ...rest, ...alone, max_position_embeddings: 8 });
    }
  }
  return variants;
}

function valuesLike(key: string, value: unknown): unknown[] {
  if (/^(hidden_act|hidden_activation|activation_function)$/.test(key)) return ACTIVATIONS;
  if (typeof value === "boolean") return [!value];
  if (typeof value === "number")
    return Number.isInteger(value) ? [value + 1, value * 2, 1, 0] : [value * 1.5, value + 0.5];
  if (typeof value === "string") return ["other"];
  if (Array.isArray(value)) return [[...value].reverse(), [], value.map(() => value[0])];
  return value === null || value === undefined ? [true, 2, 0.5] : [];
}

describePeers("a key of config.json changes what transformers changes, or is refused by name", () => {
  test.each(Object.keys(ARCHITECTURES))("%s", { timeout: 600_000 }, async (type) => {
    const folder = path.join(root, type);
    await ask("model_folders", "write", { folder, config: { model_type: type, ...ARCHITECTURES[type] } });
    const fields = await ask<Config>("model_folders", "config_fields", { model_type: type });
    const variants = [...variantsOf(configOf(folder), fields)];
    const file = path.join(root, `${type}.logits`);
    const answers = await ask<(Read & { readonly error?: string })[]>("model_folders", "read_variants", {
      ...{ folder, variants: variants.map(([, config]) => config), ids: ROWS, logits: file },
    });
    const theirs = await readLogits(file);
    const counts = { equal: 0, refused: 0 };
    const wrong: string[] = [];
    for (const [number, [what]] of variants.entries()) {
      const ours = await computedOrRefused(path.join(folder, String(number)));
      // What transformers refuses itself is nobody's number.
      const { error, missing } = answers[number]!;
      if (ours === null) counts.refused++;
      else if (error !== undefined) continue;
      else if (missing.length > 0) wrong.push(`${what}: transformers has no ${missing[0]}, we compute`);
      else if (logitsApart(ours.logits, theirs.get(String(number))!) < TOLERANCE) counts.equal++;
      else wrong.push(`${what}: transformers ${answers[number]!.loss}, here ${ours.loss}`);
    }
    expect(wrong).toEqual([]);
    expect(counts.equal).toBeGreaterThan(150);
    expect(counts.refused).toBeGreaterThan(50);
  });
});

/** Null for a folder that is refused by an error of ours. */
async function computedOrRefused(folder: string): Promise<Computed | null> {
  try {
    return await computeFolder(folder, ROWS);
  } catch (cause) {
    if (cause instanceof CheckpointError) return null;
    throw cause;
  }
}
