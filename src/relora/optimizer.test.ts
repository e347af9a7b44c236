import { expect, test } from "vitest";
import { adapterParameters } from "../adapters/inject.js";
import { diskParameters } from "../loading/model-source.js";
import { LlamaForCausalLM } from "../models/llama.js";
import { llamaConfig } from "../models/llama-config.js";
import type { Parameter } from "../nn/module.js";
import { Rng } from "../tensor/random.js";
import { createOptimizer } from "./optimizer.js";
import { addAdapters } from "./settings-adapters.js";

const SETTINGS = { lr: 1e-3, adapterLr: 2e-3, loraPlusRatio: 1, weightDecay: 0.1, beta1: 0.9, beta2: 0.99, eps: 1e-8 };
const ADAPTERS = {
  rank: 1,
  alpha: 1,
  rslora: false,
  dropout: 0,
  adapterInit: "xavier",
  excludeModules: [],
  layersToTransform: [],
  rankPattern: [],
  alphaPattern: [],
  adapterKind: "lora",
  bias: "none",
  targetModules: ["up_proj"],
  trainModules: ["embeddings", "norms"],
} as const;

test("norms are not decayed, adapters have their own rate, and what stays trained keeps its state", async () => {
  const sizes = { vocabSize: 4, hiddenSize: 4, intermediateSize: 4, numLayers: 1, numHeads: 1 };
  const model = new LlamaForCausalLM(llamaConfig(sizes), new Rng(0));
  const named = (names: readonly string[]): Map<string, Parameter> =>
    new Map(names.map((name) => [name, diskParameters(model).get(name)!] as const));
  const kept = ["model.embed_tokens.weight", "model.layers.0.input_layernorm.weight", "model.norm.weight"];
  const weights = named([...kept, "model.layers.0.mlp.up_proj.weight"]);
  for (const { values } of weights.values()) values.fill(1);
  const before = createOptimizer(model, weights, SETTINGS);
  const gradients = new Map([...weights].map(([name, { size }]) => [name, new Float32Array(size)]));
  await before.step(gradients, { lrMultiplier: 1 });
  const values = [...weights.values()].map((parameter) => parameter.values[0]);
  expect(values).toEqual([Math.fround(1 - 1e-4), 1, 1, Math.fround(1 - 1e-4)]);

  addAdapters(model, ADAPTERS, new Rng(0));
  const trained = named([...kept, "model.layers.0.mlp.up_proj.adapter.loraA"]);
  const after = createOptimizer(model, trained, SETTINGS, before.state);
  expect(after.groups.map(({ lr, weightDecay, parameters }) => [lr, weightDecay, parameters.size])).toEqual([
    [1e-3, 0.1, 1],
    [1e-3, 0, 2],
    [2e-3, 0.1, 1],
    [2e-3, 0.1, 0],
    [2e-3, 0, 0],
  ]);
  expect(before.learningRates(0.5)).toEqual({ weights: 5e-4 });
  expect(after.learningRates(0.5)).toEqual({ weights: 5e-4, adapters: 1e-3 });
  expect([...after.state].map(([name, { step }]) => [name, step])).toEqual([
    ["model.embed_tokens.weight", 1],
    ["model.layers.0.input_layernorm.weight", 1],
    ["model.norm.weight", 1],
    ["model.layers.0.mlp.up_proj.adapter.loraA", 0],
  ]);
});

test("with LoRA+ B and the magnitudes have a multiple of A's rate, and magnitudes no decay", async () => {
  const sizes = { vocabSize: 4, hiddenSize: 4, intermediateSize: 4, numLayers: 1, numHeads: 1 };
  const model = new LlamaForCausalLM(llamaConfig(sizes), new Rng(0));
  addAdapters(model, { ...ADAPTERS, adapterKind: "dora", trainModules: [] }, new Rng(1));
  const parameters = adapterParameters(model);
  expect([...parameters.keys()].map((name) => name.split(".").at(-1))).toEqual(["loraA", "loraB", "magnitude"]);
  for (const { values } of parameters.values()) values.fill(1);
  const optimizer = createOptimizer(model, parameters, { ...SETTINGS, loraPlusRatio: 16 });
  // AdamW's first update is the learning rate, whatever the gradient.
  const gradients = new Map([...parameters].map(([name, { size }]) => [name, new Float32Array(size).fill(3)]));
  optimizer.step(gradients, { lrMultiplier: 0.5 });
  const [a, b, magnitude] = [...parameters.values()].map(({ values }) => values[0]!);
  expect(a).toBeCloseTo(1 - 1e-3 * (1 + 0.1), 6);
  expect(b).toBeCloseTo(1 - 16e-3 * (1 + 0.1), 6);
  expect(magnitude).toBeCloseTo(1 - 16e-3, 6);
  expect(optimizer.learningRates(1)).toEqual({ adapters: 2e-3, adapterOutputs: 16 * 2e-3 });
});
