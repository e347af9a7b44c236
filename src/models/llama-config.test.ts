import { describe, expect, test } from "vitest";
import { CheckpointError, ModelError } from "../base/errors.js";
import { gelu } from "../nn/gelu.js";
import { llamaConfig, readLlamaConfig, writeLlamaConfig } from "./llama-config.js";

const SIZES = { vocabSize: 100, hiddenSize: 48, intermediateSize: 64, numLayers: 2, numHeads: 6 };
const JSON_SIZES = {
  vocab_size: 100,
  hidden_size: 48,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 6,
};

describe("llamaConfig", () => {
  test("fills in LLaMA's usual values", () => {
    expect(llamaConfig(SIZES)).toMatchObject({
      numKeyValueHeads: 6,
      headDim: 8,
      rmsNormEpsilon: 1e-6,
      ropeTheta: 10_000,
      tieWordEmbeddings: false,
    });
  });

  test("reports all faults in one error", () => {
    const build = () => llamaConfig({ ...SIZES, numLayers: 0, numHeads: 5, numKeyValueHeads: 2 });
    expect(build).toThrow(CheckpointError);
    expect(build).toThrow(/numLayers must be a positive integer, got 0; headDim .* got 9\.6/);
    expect(build).toThrow(/numHeads \(5\) must be a multiple of numKeyValueHeads \(2\)/);
    expect(() => llamaConfig({ ...SIZES, headDim: 7 })).toThrow(/headDim must be even .* got 7/);
  });
});

describe("config.json", () => {
  test("keeps every setting through writing and reading", () => {
    const config = llamaConfig({
      ...SIZES,
      numKeyValueHeads: 2,
      headDim: 10,
      rmsNormEpsilon: 1e-5,
      ropeTheta: 500_000,
      ropeScaling: { kind: "llama3", factor: 8, originalLength: 8192, seldom: 1, often: 4 },
      activation: gelu,
      attentionBias: true,
      mlpBias: true,
      tieWordEmbeddings: true,
      initializerRange: 0.05,
      maxSequenceLength: 77,
      endOfTextId: 3,
    });
    expect(readLlamaConfig(JSON.parse(JSON.stringify(writeLlamaConfig(config))))).toEqual(config);
  });

  test("keeps linear scaling", () => {
    const config = llamaConfig({ ...SIZES, ropeScaling: { kind: "linear", factor: 2 } });
    expect(readLlamaConfig(JSON.parse(JSON.stringify(writeLlamaConfig(config))))).toEqual(config);
  });

  test("may leave out keys that have a default", () => {
    const { maxSequenceLength, ...config } = readLlamaConfig(JSON_SIZES);
    expect({ ...config, maxSequenceLength: 1024 }).toEqual(llamaConfig(SIZES));
    expect(maxSequenceLength).toBe(2048);
  });

  test("is refused for options that would change numbers, each by name", () => {
    const read = () =>
      readLlamaConfig({
        ...JSON_SIZES,
        vocab_size: "100",
        num_attention_heads: 5,
        hidden_act: "mish",
        mlp_bias: 1,
        sliding_window: 4096,
        num_local_experts: 8,
        rope_scaling: { rope_type: "mrope", factor: 8 },
        partial_rotary_factor: 0.5,
        rope_interleaved: true,
      });
    expect(read).toThrow(ModelError);
    for (const part of [
      'vocab_size must be a positive integer, got "100"',
      "hidden_size (48) must be a multiple of num_attention_heads (5)",
      'hidden_act is "mish", supported is "gelu"',
      "mlp_bias must be true or false, got 1",
      "sliding_window is 4096, supported is null",
      "num_local_experts is 8, supported is null",
      'rope_scaling: rope_type is "mrope", supported is "default", "linear", "llama3", "dynamic", "yarn"',
      "partial_rotary_factor is 0.5, supported is 1",
      "rope_interleaved is true, supported is false",
    ]) {
      expect(read).toThrow(part);
    }
  });

  test.each([
    [{ rope_scaling: { rope_type: "llama3", factor: 8 } }, "rope_scaling: low_freq_factor must be a number above 0"],
    [
      {
        rope_scaling: {
          ...{ rope_type: "llama3", factor: 8, original_max_position_embeddings: 8192 },
          ...{ low_freq_factor: 4, high_freq_factor: 4 },
        },
      },
      "rope_scaling: high_freq_factor (4) must be above low_freq_factor (4)",
    ],
    [
      { rope_scaling: { type: "linear", factor: 8 }, rope_parameters: { rope_type: "linear", factor: 4 } },
      "rope_scaling and rope_parameters differ; keep one of them",
    ],
    [
      { rope_parameters: { full_attention: { rope_type: "default" } } },
      'rope_parameters: full_attention is {"rope_type":"default"}, supported is null',
    ],
    [{ rope_scaling: "linear" }, 'rope_scaling must be an object, got "linear"'],
    [{ head_dim: 7 }, "head_dim must be even for rotary positions, got 7"],
  ])("says what is wrong with %o", (change, message) => {
    expect(() => readLlamaConfig({ ...JSON_SIZES, ...change })).toThrow(message);
  });
});
