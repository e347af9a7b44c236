import { describe, expect, test } from "vitest";
import { linearLayers } from "../adapters/inject.js";
import { CheckpointError, ModelError } from "../base/errors.js";
import { namedParameters } from "../nn/module.js";
import { Rng } from "../tensor/random.js";
import { describeModel } from "./architectures.js";
import { type ModelPart, modelParts } from "./causal-lm.js";
import type { DecoderConfig } from "./decoder-config.js";

const GATED_LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
const LLAMA = {
  ...{ model_type: "llama", vocab_size: 11, hidden_size: 16, intermediate_size: 24 },
  ...{ num_hidden_layers: 1, num_attention_heads: 2 },
};
const DECODER_PARTS = {
  embeddings: ["model.embed_tokens.weight"],
  head: ["lm_head.weight"],
  norms: ["input_layernorm.weight", "post_attention_layernorm.weight", "model.norm.weight"],
};
const MISTRAL = { ...LLAMA, model_type: "mistral" };
const QWEN2 = { ...LLAMA, model_type: "qwen2", num_key_value_heads: 2 };
const QWEN3 = { ...QWEN2, model_type: "qwen3" };
const PHI3 = { ...LLAMA, model_type: "phi3" };
const NEOX = {
  ...{ model_type: "gpt_neox", vocab_size: 11, hidden_size: 16, intermediate_size: 24 },
  ...{ num_hidden_layers: 1, num_attention_heads: 2, rotary_pct: 0.5 },
};
const GPT2 = { model_type: "gpt2", vocab_size: 11, n_positions: 8, n_embd: 16, n_layer: 1, n_head: 2 };
const GEMMA3 = {
  ...{ model_type: "gemma3_text", vocab_size: 11, hidden_size: 16, intermediate_size: 24 },
  ...{ num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 4 },
};

describe.each([
  [
    "llama",
    { ...LLAMA, attention_bias: true, mlp_bias: true },
    {
      ...DECODER_PARTS,
      biases: GATED_LINEARS.map((name) => `${name}.bias`),
      linear: GATED_LINEARS.map((name) => `${name}.weight`),
    },
  ],
  [
    "mistral",
    { ...MISTRAL, num_key_value_heads: 1 },
    { ...DECODER_PARTS, biases: [], linear: GATED_LINEARS.map((name) => `${name}.weight`) },
  ],
  [
    "qwen2",
    QWEN2,
    {
      ...DECODER_PARTS,
      biases: ["q_proj.bias", "k_proj.bias", "v_proj.bias"],
      linear: GATED_LINEARS.map((name) => `${name}.weight`),
    },
  ],
  [
    "qwen3",
    { ...QWEN3, attention_bias: true },
    {
      ...DECODER_PARTS,
      norms: [...DECODER_PARTS.norms, "q_norm.weight", "k_norm.weight"],
      biases: ["q_proj.bias", "k_proj.bias", "v_proj.bias", "o_proj.bias"],
      linear: GATED_LINEARS.map((name) => `${name}.weight`),
    },
  ],
  [
    "phi3",
    PHI3,
    {
      ...DECODER_PARTS,
      biases: [],
      linear: ["qkv_proj.weight", "o_proj.weight", "gate_up_proj.weight", "down_proj.weight"],
    },
  ],
  [
    "gpt2",
    GPT2,
    {
      embeddings: ["transformer.wte.weight", "transformer.wpe.weight"],
      head: [],
      norms: ["ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias", "ln_f.weight", "ln_f.bias"],
      biases: ["c_attn.bias", "attn.c_proj.bias", "c_fc.bias", "mlp.c_proj.bias"],
      linear: ["c_attn.weight", "attn.c_proj.weight", "c_fc.weight", "mlp.c_proj.weight"],
    },
  ],
  [
    "gpt_neox",
    NEOX,
    {
      embeddings: ["gpt_neox.embed_in.weight"],
      head: ["embed_out.weight"],
      norms: ["input_layernorm", "post_attention_layernorm", "final_layer_norm"].flatMap((name) => [
        `${name}.weight`,
        `${name}.bias`,
      ]),
      biases: ["query_key_value.bias", "dense.bias", "dense_h_to_4h.bias", "dense_4h_to_h.bias"],
      linear: ["query_key_value.weight", "dense.weight", "dense_h_to_4h.weight", "dense_4h_to_h.weight"],
    },
  ],
  [
    "gemma3_text",
    GEMMA3,
    {
      embeddings: ["model.embed_tokens.weight"],
      head: [],
      norms: [
        ...["input_layernorm.weight", "q_norm.weight", "k_norm.weight", "post_attention_layernorm.weight"],
        ...["pre_feedforward_layernorm.weight", "post_feedforward_layernorm.weight", "model.norm.weight"],
      ],
      biases: [],
      linear: GATED_LINEARS.map((name) => `${name}.weight`),
    },
  ],
] as const)("%s", (_, config, expected: Record<ModelPart, readonly string[]>) => {
  const model = describeModel(config).create(new Rng(0));

  test("has every parameter in the part that it belongs to", () => {
    const parts = modelParts(model);
    for (const [path, parameter] of namedParameters(model)) {
      const name = model.checkpointName(path);
      const part = parts.get(parameter)!;
      expect(
        expected[part].some((end) => name.endsWith(end)),
        `${name} is of the ${part}`,
      ).toBe(true);
    }
    expect(parts.size).toBe(Object.values(expected).flat().length);
  });

  test("lets every linear layer have an adapter", () => {
    expect([...linearLayers(model).keys()].map((name) => `${name}.weight`)).toHaveLength(expected.linear.length);
  });
});

describe("a config that asks for something we do not compute is refused by name:", () => {
  test.each([
    [
      "gpt2",
      { ...GPT2, activation_function: "mish" },
      'activation_function is "mish", supported is "gelu", "gelu_new"',
    ],
    ["gpt2", { ...GPT2, add_cross_attention: true }, "add_cross_attention is true, supported is false"],
    ["gpt2", { ...GPT2, is_causal: false }, "is_causal is false, supported is true"],
    ["gpt_neox", { ...NEOX, rope_scaling: { type: "ntk", factor: 2 } }, 'rope_scaling: type is "ntk"'],
    ["gpt_neox", { ...NEOX, rope_parameters: { rope_type: "mrope" } }, 'rope_parameters: rope_type is "mrope"'],
    [
      "gpt_neox",
      { ...NEOX, rope_scaling: { type: "yarn", factor: 2, extrapolation_factor: 2 } },
      "rope_scaling: extrapolation_factor is 2, supported is null",
    ],
    ["gpt_neox", { ...NEOX, rope_scaling: { factor: 2 } }, "rope_scaling: factor is 2, supported is null"],
    ["gpt_neox", { ...NEOX, hidden_act: 3 }, "hidden_act is 3, supported is"],
    ["gemma3_text", { ...GEMMA3, rope_scaling: { rope_type: "ntk" } }, 'rope_scaling: rope_type is "ntk"'],
    ["gemma3_text", { ...GEMMA3, rope_scaling: { type: "linear", factor: 8 } }, "type must be called rope_type"],
    [
      "gemma3_text",
      { ...GEMMA3, rope_parameters: { full_attention: { rope_type: "mrope" } } },
      'rope_parameters: full_attention: rope_type is "mrope"',
    ],
    ["gemma3_text", { ...GEMMA3, attn_logit_softcapping: 50 }, "attn_logit_softcapping is 50, supported is null"],
    ["gemma3_text", { ...GEMMA3, use_bidirectional_attention: true }, "use_bidirectional_attention is true"],
    ["gemma3_text", { ...GEMMA3, layer_types: ["chunked_attention"] }, 'layer_types has "chunked_attention"'],
    ["mistral", { ...MISTRAL, attention_bias: true }, "attention_bias is true, supported is false"],
    [
      "mistral",
      { ...MISTRAL, layer_types: ["full_attention"] },
      'layer_types is ["full_attention"], supported is null',
    ],
    ["mistral", { ...MISTRAL, rope_scaling: { type: "su" } }, 'rope_scaling: type is "su"'],
    ["mistral", { ...MISTRAL, logits_scaling: 8 }, "logits_scaling is 8, supported is 1"],
    ["qwen2", { ...QWEN2, attention_bias: false }, "attention_bias is false, supported is true"],
    ["qwen2", { ...QWEN2, use_mrope: true }, "use_mrope is true, supported is false"],
    ["qwen3", { ...QWEN3, num_experts: 128 }, "num_experts is 128, supported is null"],
    ["phi3", { ...PHI3, rope_scaling: { type: "linear", factor: 2 } }, 'rope_scaling: type is "linear", supported is'],
    ["phi3", { ...PHI3, rope_scaling: { type: "longrope", short_mscale: 1.2 } }, "short_mscale is 1.2, supported is"],
    ["phi3", { ...PHI3, attention_bias: true }, "attention_bias is true, supported is false"],
    ["qwen3_moe", { model_type: "qwen3_moe" }, "mixes experts; that is not computed here"],
    ["mixtral", { model_type: "mixtral" }, "mixes experts; that is not computed here"],
    ["qwen2_5_vl", { model_type: "qwen2_5_vl" }, "reads images too; that is not computed here"],
    ["gemma3", { model_type: "gemma3", text_config: GEMMA3 }, "reads images too (Gemma3ForConditionalGeneration)"],
    ["mamba", { model_type: "mamba" }, 'model_type is "mamba", which is not supported; supported are'],
  ])("%s, %o", (_, config, message) => {
    expect(() => describeModel(config)).toThrow(ModelError);
    expect(() => describeModel(config)).toThrow(message);
  });
});

describe("a config that is damaged is refused, but not as a model that we do not support:", () => {
  test.each([
    ["gpt2", { ...GPT2, n_head: 3 }, "n_embd (16) must be a multiple of n_head (3)"],
    ["gpt2", { ...GPT2, scale_attn_weights: "yes" }, 'scale_attn_weights must be true or false, got "yes"'],
    ["gpt2", { ...GPT2, vocab_size: 2 ** 50 }, "is more than can be addressed"],
    [
      "gpt_neox",
      { ...NEOX, rotary_pct: 0.1 },
      "rotary_pct must turn an even number of the 8 features of a head, got 0",
    ],
    ["gpt_neox", { ...NEOX, vocab_size: undefined }, "vocab_size must be a positive integer, got missing"],
    [
      "gemma3_text",
      { ...GEMMA3, rope_scaling: { rope_type: "linear" } },
      "rope_scaling: factor must be a number above 0",
    ],
    ["gemma3_text", { ...GEMMA3, layer_types: Array(2).fill("full_attention") }, "layer_types must name 1 layers"],
    ["gemma3_text", { ...GEMMA3, final_logit_softcapping: 0 }, "final_logit_softcapping must be a number above 0"],
    ["mistral", MISTRAL, "num_attention_heads (2) must be a multiple of num_key_value_heads (8)"],
    ["mistral", { ...MISTRAL, sliding_window: 0 }, "sliding_window must be a positive integer, got 0"],
    [
      "qwen2",
      { ...QWEN2, layer_types: ["sliding_attention"] },
      "layer_types has sliding_attention, which needs use_sliding_window and a sliding_window",
    ],
    ["qwen2", { ...QWEN2, layer_types: [] }, "layer_types must name 1 layers, got []"],
    ["qwen3", { ...QWEN3, max_window_layers: -1 }, "max_window_layers must be a number of 0 or more, got -1"],
    [
      "phi3",
      { ...PHI3, partial_rotary_factor: 0.4 },
      "partial_rotary_factor must turn an even number of the 8 features of a head, got 3",
    ],
    [
      "phi3",
      { ...PHI3, rope_scaling: { type: "longrope", short_factor: [1, 1], long_factor: [1, 1, 1, 1] } },
      "rope_scaling: short_factor must be 4 numbers above 0, got [1,1]",
    ],
    ["phi3", { ...PHI3, partial_rotary_factor: 2 }, "of the 8 features of a head, got 16"],
    ["phi3", { ...PHI3, intermediate_size: 2 ** 49 - 1, hidden_size: 14 }, "is more than can be addressed"],
  ])("%s, %o", (_, config, message) => {
    expect(() => describeModel(config)).toThrow(CheckpointError);
    expect(() => describeModel(config)).not.toThrow(ModelError);
    expect(() => describeModel(config)).toThrow(message);
  });
});

test("rope_parameters, as newer versions of transformers write them, are read", () => {
  const gemma = describeModel({
    ...GEMMA3,
    rope_parameters: {
      sliding_attention: { rope_type: "default", rope_theta: 123 },
      full_attention: { rope_type: "linear", factor: 4, rope_theta: 456 },
    },
  });
  expect(gemma.config).toMatchObject({
    localRope: { theta: 123 },
    rope: { theta: 456, scaling: { kind: "linear", factor: 4 } },
  });
  const parameters = { rope_type: "default", rope_theta: 7, partial_rotary_factor: 0.75 };
  expect(describeModel({ ...NEOX, rotary_pct: undefined, rope_parameters: parameters }).config).toMatchObject({
    rope: { theta: 7, rotaryDim: 6 },
  });
});

/** The windows of the layers; undefined for those that see all tokens. */
function windows(config: Readonly<Record<string, unknown>>): (number | undefined)[] {
  const { config: read } = describeModel(config) as unknown as { config: DecoderConfig };
  return Array.from({ length: read.numLayers }, (_, layer) => read.window?.(layer));
}

describe("keys that a config leaves out have the defaults of transformers:", () => {
  test("mistral has 8 key heads and a window, unless it says null", () => {
    const sizes = { ...MISTRAL, num_attention_heads: 16, hidden_size: 64 };
    expect(describeModel(sizes).config).toMatchObject({ numKeyValueHeads: 8, headDim: 4, maxSequenceLength: 131_072 });
    expect(describeModel({ ...sizes, num_key_value_heads: null }).config).toMatchObject({ numKeyValueHeads: 16 });
    expect(windows(sizes)).toEqual([4096]);
    expect(windows({ ...sizes, sliding_window: null })).toEqual([undefined]);
  });

  test("phi3 has no window, and all features of its heads turn", () => {
    expect(windows(PHI3)).toEqual([undefined]);
    expect(describeModel(PHI3).config).toMatchObject({ rotaryDim: 8, rmsNormEpsilon: 1e-5, maxSequenceLength: 4096 });
  });

  test("qwen3 has heads of 128 features", () => {
    expect(describeModel(QWEN3).config).toMatchObject({ headDim: 128, attentionBias: false });
    expect(describeModel(QWEN2).config).toMatchObject({ headDim: 8, attentionBias: true, outputBias: false });
  });

  test("qwen2 and qwen3 have a window only if it is switched on, and then from layer 28 on", () => {
    for (const config of [QWEN2, QWEN3]) {
      const sliding = { ...config, num_hidden_layers: 30, use_sliding_window: true };
      expect(new Set(windows({ ...sliding, use_sliding_window: false, sliding_window: 16 }))).toEqual(
        new Set([undefined]),
      );
      expect(new Set(windows({ ...sliding, sliding_window: null }))).toEqual(new Set([undefined]));
      expect(
        windows(sliding)
          .map((window) => window !== undefined)
          .lastIndexOf(false),
      ).toBe(27);
      expect(windows(sliding).slice(28)).toEqual([4096, 4096]);
      expect(windows({ ...sliding, max_window_layers: 29, sliding_window: 7 }).slice(28)).toEqual([undefined, 7]);
    }
  });
});
