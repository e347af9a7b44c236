import { describe, expect, test } from "vitest";
import { CheckpointError } from "../tensor/errors.js";
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
  test("fills in what LLaMA usually has", () => {
    expect(llamaConfig(SIZES)).toMatchObject({
      numKeyValueHeads: 6,
      headDim: 8,
      rmsNormEpsilon: 1e-6,
      ropeTheta: 10_000,
      tieWordEmbeddings: false,
    });
  });

  test("reports all that does not fit in one error", () => {
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
      tieWordEmbeddings: true,
      initializerRange: 0.05,
      maxSequenceLength: 77,
      endOfTextId: 3,
    });
    expect(readLlamaConfig(JSON.parse(JSON.stringify(writeLlamaConfig(config))))).toEqual(config);
  });

  test("may leave out what has a default", () => {
    const { maxSequenceLength, ...config } = readLlamaConfig(JSON_SIZES);
    expect({ ...config, maxSequenceLength: 1024 }).toEqual(llamaConfig(SIZES));
    expect(maxSequenceLength).toBe(2048);
  });

  test("is refused by name for what would change numbers", () => {
    const read = () =>
      readLlamaConfig({
        ...JSON_SIZES,
        vocab_size: "100",
        hidden_act: "gelu",
        attention_bias: true,
        rope_scaling: { rope_type: "llama3", factor: 8 },
      });
    expect(read).toThrow(CheckpointError);
    for (const part of [
      'hidden_act is "gelu", supported is "silu"',
      "attention_bias is true, supported is false",
      'rope type is "llama3"',
      'vocab_size must be a number, got "100"',
    ]) {
      expect(read).toThrow(part);
    }
  });
});
