import { describe, expect, test } from "vitest";
import { linearLayers } from "../adapters/inject.js";
import { namedParameters } from "../nn/module.js";
import { CheckpointError } from "../tensor/errors.js";
import { Rng } from "../tensor/random.js";
import { describeModel } from "./architectures.js";
import { type ModelPart, modelParts } from "./causal-lm.js";

const GATED_LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
const LLAMA = {
  ...{ model_type: "llama", vocab_size: 11, hidden_size: 16, intermediate_size: 24 },
  ...{ num_hidden_layers: 1, num_attention_heads: 2 },
};
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
      embeddings: ["model.embed_tokens.weight"],
      head: ["lm_head.weight"],
      norms: ["input_layernorm.weight", "post_attention_layernorm.weight", "model.norm.weight"],
      biases: GATED_LINEARS.map((name) => `${name}.bias`),
      linear: GATED_LINEARS.map((name) => `${name}.weight`),
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

describe("a config that asks for what we do not compute is refused by name:", () => {
  test.each([
    [
      "gpt2",
      { ...GPT2, activation_function: "mish" },
      'activation_function is "mish", supported is "gelu", "gelu_new"',
    ],
    ["gpt2", { ...GPT2, add_cross_attention: true }, "add_cross_attention is true, supported is false"],
    ["gpt2", { ...GPT2, n_head: 3 }, "n_embd (16) must be a multiple of n_head (3)"],
    ["gpt2", { ...GPT2, scale_attn_weights: "yes" }, 'scale_attn_weights must be true or false, got "yes"'],
    ["gpt2", { ...GPT2, vocab_size: 2 ** 50 }, "is more than can be addressed"],
    ["gpt_neox", { ...NEOX, rope_scaling: { type: "dynamic", factor: 2 } }, 'rope_scaling: type is "dynamic"'],
    ["gpt_neox", { ...NEOX, rope_parameters: { rope_type: "yarn" } }, 'rope_parameters: rope_type is "yarn"'],
    [
      "gpt_neox",
      { ...NEOX, rotary_pct: 0.1 },
      "rotary_pct must turn an even number of the 8 features of a head, got 0",
    ],
    ["gpt_neox", { ...NEOX, hidden_act: 3 }, "hidden_act is 3, supported is"],
    ["gpt_neox", { ...NEOX, vocab_size: undefined }, "vocab_size must be a positive integer, got missing"],
    ["gemma3_text", { ...GEMMA3, rope_scaling: { rope_type: "dynamic" } }, 'rope_scaling: rope_type is "dynamic"'],
    [
      "gemma3_text",
      { ...GEMMA3, rope_scaling: { rope_type: "linear" } },
      "rope_scaling: factor must be a number above 0",
    ],
    [
      "gemma3_text",
      { ...GEMMA3, rope_parameters: { full_attention: { rope_type: "yarn" } } },
      'rope_parameters: full_attention: rope_type is "yarn"',
    ],
    ["gemma3_text", { ...GEMMA3, use_bidirectional_attention: true }, "use_bidirectional_attention is true"],
    ["gemma3_text", { ...GEMMA3, layer_types: ["full_attention", "x"] }, "layer_types must name 1 layers"],
    ["gemma3_text", { ...GEMMA3, layer_types: ["chunked_attention"] }, 'layer_types has "chunked_attention"'],
    ["gemma3_text", { ...GEMMA3, final_logit_softcapping: 0 }, "final_logit_softcapping must be a number above 0"],
    ["gemma3", { model_type: "gemma3", text_config: GEMMA3 }, "reads images too (Gemma3ForConditionalGeneration)"],
    ["mamba", { model_type: "mamba" }, 'model_type is "mamba", which is not supported; supported are'],
  ])("%s, %o", (_, config, message) => {
    expect(() => describeModel(config)).toThrow(CheckpointError);
    expect(() => describeModel(config)).toThrow(message);
  });
});

test("what newer versions of transformers write in rope_parameters is read", () => {
  const gemma = describeModel({
    ...GEMMA3,
    rope_parameters: {
      sliding_attention: { rope_type: "default", rope_theta: 123 },
      full_attention: { rope_type: "linear", factor: 4, rope_theta: 456 },
    },
  });
  expect(gemma.config).toMatchObject({
    localRopeTheta: 123,
    ropeTheta: 456,
    ropeScaling: { kind: "linear", factor: 4 },
  });
  const parameters = { rope_type: "default", rope_theta: 7, partial_rotary_factor: 0.75 };
  expect(describeModel({ ...NEOX, rotary_pct: undefined, rope_parameters: parameters }).config).toMatchObject({
    rope: { theta: 7, rotaryDim: 6 },
  });
});
