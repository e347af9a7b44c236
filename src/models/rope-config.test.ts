import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { attentionFactor, type Rope, rotaryFrequencies } from "../nn/rope.js";
import { describeModel } from "./architectures.js";
import { type DecoderConfig, ropeOf } from "./decoder-config.js";
import { llamaConfig, readLlamaConfig, writeLlamaConfig } from "./llama-config.js";

interface Golden {
  readonly config: Readonly<Record<string, unknown>>;
  readonly length: number;
  readonly frequencies: readonly number[];
  readonly attentionFactor: number;
}

const GOLDEN: readonly Golden[] = JSON.parse(
  readFileSync(new URL("../../tests/golden/rope.json", import.meta.url), "utf8"),
);
const SIZES = { vocab_size: 11, intermediate_size: 24, num_hidden_layers: 1 };

/** The rotary positions as attention hands them on: of the features that turn. */
function ropeIn(config: Readonly<Record<string, unknown>>): Rope {
  const rope = ropeOf(describeModel({ ...SIZES, ...config }).config as DecoderConfig);
  return { ...rope, headDim: rope.rotaryDim ?? rope.headDim };
}

describe("frequencies of transformers", () => {
  test("there are some of every type", () => {
    const types = GOLDEN.map(({ config }) => {
      const scaling = (config.rope_scaling ?? config.rope_parameters ?? {}) as Record<string, string>;
      return scaling.rope_type ?? scaling.type ?? "default";
    });
    expect([...new Set(types)].sort()).toEqual(
      ["default", "dynamic", "linear", "llama3", "longrope", "proportional", "yarn"].sort(),
    );
  });

  test.each(GOLDEN)(
    "$config in a text of $length tokens",
    ({ config, length, frequencies, attentionFactor: factor }) => {
      const rope = ropeIn(config);
      const ours = rotaryFrequencies(rope, length);
      expect(ours).toHaveLength(frequencies.length);
      frequencies.forEach((frequency, i) => {
        // transformers computes in float32.
        expect(Math.abs(ours[i]! - frequency)).toBeLessThanOrEqual(3e-6 * frequency);
      });
      expect(attentionFactor(rope)).toBeCloseTo(factor, 12);
    },
  );
});

test("a config is written so that it is read as it was", () => {
  for (const { config } of GOLDEN) {
    if (config.model_type !== "llama") continue;
    const read = readLlamaConfig({ ...SIZES, ...config });
    const again = readLlamaConfig(writeLlamaConfig(llamaConfig(read)));
    expect({ ...again, endOfTextId: null }).toEqual({ ...read, endOfTextId: null, rotaryDim: undefined });
  }
});

test("a model is meant for texts as long as its positions are stretched", () => {
  const lengthOf = (config: Readonly<Record<string, unknown>>): number =>
    describeModel({ ...SIZES, model_type: "llama", hidden_size: 16, num_attention_heads: 2, ...config }).config
      .maxSequenceLength;
  const dynamic = { rope_type: "dynamic", factor: 3 };
  expect(lengthOf({ max_position_embeddings: 100, rope_scaling: dynamic })).toBe(300);
  const yarn = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 100 };
  expect(lengthOf({ max_position_embeddings: 100, rope_scaling: yarn })).toBe(400);
  expect(lengthOf({ max_position_embeddings: 1000, rope_scaling: yarn })).toBe(1000);
  expect(lengthOf({ max_position_embeddings: 100, rope_scaling: { rope_type: "linear", factor: 4 } })).toBe(100);
});
