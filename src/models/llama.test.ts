import { afterAll, describe, expect, test } from "vitest";
import { injectAdapters } from "../adapters/inject.js";
import { LoRAAdapter } from "../adapters/lora-adapter.js";
import { ConfigError } from "../base/errors.js";
import { countElements, namedParameters } from "../nn/module.js";
import { clearEvaluationCache } from "../runtime/evaluate.js";
import { Rng } from "../tensor/random.js";
import { tensor } from "../tensor/tensor.js";
import { LlamaForCausalLM } from "./llama.js";
import { llamaConfig } from "./llama-config.js";

const SIZES = { vocabSize: 11, hiddenSize: 8, intermediateSize: 12, numLayers: 2, numHeads: 4, numKeyValueHeads: 2 };

function build(overrides: Partial<Parameters<typeof llamaConfig>[0]> = {}): LlamaForCausalLM {
  return new LlamaForCausalLM(llamaConfig({ ...SIZES, initializerRange: 0.3, ...overrides }), new Rng(1));
}

function names(model: LlamaForCausalLM): string[] {
  return [...namedParameters(model).keys()].map((path) => model.checkpointName(path));
}

afterAll(clearEvaluationCache);

describe("LlamaForCausalLM", () => {
  test("names its parameters as Hugging Face does, in the order of the forward pass", () => {
    expect(names(build({ numLayers: 1 }))).toEqual([
      "model.embed_tokens.weight",
      "model.layers.0.input_layernorm.weight",
      "model.layers.0.self_attn.q_proj.weight",
      "model.layers.0.self_attn.k_proj.weight",
      "model.layers.0.self_attn.v_proj.weight",
      "model.layers.0.self_attn.o_proj.weight",
      "model.layers.0.post_attention_layernorm.weight",
      "model.layers.0.mlp.gate_proj.weight",
      "model.layers.0.mlp.up_proj.weight",
      "model.layers.0.mlp.down_proj.weight",
      "model.norm.weight",
      "lm_head.weight",
    ]);
  });

  test("has as many parameters as its sizes say", () => {
    const layer = 2 * 8 * 8 + 2 * 4 * 8 + 3 * 8 * 12 + 2 * 8;
    const parameters = namedParameters(build()).values();
    expect(countElements(parameters)).toBe(2 * 11 * 8 + 2 * layer + 8);
  });

  test("has one table where the head is tied", () => {
    const model = build({ tieWordEmbeddings: true });
    expect(model.headWeight).toBe(model.embedTokens.weight);
    expect(names(model)).not.toContain("lm_head.weight");
  });

  test("is the same for the same seed and differs for another", () => {
    const weights = (seed: number) => {
      const model = new LlamaForCausalLM(llamaConfig(SIZES), new Rng(seed));
      return [...namedParameters(model).values()].map(({ values }) => values);
    };
    expect(weights(5)).toEqual(weights(5));
    expect(weights(5)).not.toEqual(weights(6));
  });

  test("draws every matrix from its own stream with the config's deviation", () => {
    const sizes = { vocabSize: 64, hiddenSize: 64, intermediateSize: 64, numLayers: 2, numHeads: 4 };
    const model = new LlamaForCausalLM(llamaConfig({ ...sizes, initializerRange: 0.02 }), new Rng(3));
    const matrices = [...namedParameters(model).values()].filter(({ rank }) => rank === 2);
    expect(new Set(matrices.map(({ values }) => values[0])).size).toBe(2 + 2 * 7);
    for (const { values } of matrices) {
      const deviation = Math.sqrt(values.reduce((total, value) => total + value * value, 0) / values.length);
      expect(deviation / 0.02).toBeCloseTo(1, 1);
    }
  });

  test("predicts from the past only", async () => {
    const model = build();
    const before = await model.logits(tensor(Int32Array.of(1, 2, 3, 4, 5), [1, 5])).data();
    const after = await model.logits(tensor(Int32Array.of(1, 2, 3, 9, 5), [1, 5])).data();
    expect(after.slice(0, 33)).toEqual(before.slice(0, 33));
    expect(after.slice(33, 44)).not.toEqual(before.slice(33, 44));
    expect(after.slice(44)).not.toEqual(before.slice(44));
  });

  test("reads the rows of a batch separately", async () => {
    const model = build();
    const both = await model.logits(tensor(Int32Array.of(1, 2, 3, 7, 8, 9), [2, 3])).data();
    const second = await model.logits(tensor(Int32Array.of(7, 8, 9), [1, 3])).data();
    second.forEach((value, i) => {
      expect(both[33 + i]).toBeCloseTo(value, 5);
    });
  });

  test("scores a label with −log softmax of the logits before it", async () => {
    const model = build();
    const ids = tensor(Int32Array.of(1, 2, 3), [1, 3]);
    const logits = await model.logits(ids).data();
    const loss = await model.loss(ids, tensor(Int32Array.of(4, -100, 10), [1, 3])).item();
    const score = (position: number, label: number) => {
      const row = Array.from(logits.slice(11 * position, 11 * (position + 1)));
      return Math.log(row.reduce((total, logit) => total + Math.exp(logit), 0)) - row[label]!;
    };
    expect(loss).toBeCloseTo(score(0, 4) + score(2, 10), 4);
  });

  test.each([false, true])("offers no adapter for its head, which the loss reads directly (tied: %s)", (tied) => {
    const createAdapter = (inFeatures: number, outFeatures: number) =>
      new LoRAAdapter(inFeatures, outFeatures, { rank: 1 }, new Rng(0));
    const target = () =>
      injectAdapters(build({ tieWordEmbeddings: tied }), { targetModules: ["lm_head"], createAdapter }, new Rng(0));
    expect(target).toThrow(ConfigError);
    expect(target).toThrow(/"lm_head".* matches no linear layer.*q_proj, k_proj, v_proj, o_proj, gate_proj/);
  });
});
