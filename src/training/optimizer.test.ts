import { expect, test } from "vitest";
import { LlamaForCausalLM } from "../models/llama.js";
import { llamaConfig } from "../models/llama-config.js";
import type { Parameter } from "../nn/module.js";
import { Rng } from "../tensor/random.js";
import { addAdapters } from "./adapters.js";
import { diskParameters } from "./model-source.js";
import { createOptimizer } from "./optimizer.js";

const SETTINGS = { lr: 1e-3, adapterLr: 2e-3, weightDecay: 0.1, beta1: 0.9, beta2: 0.99, eps: 1e-8 };
const ADAPTERS = {
  rank: 1,
  alpha: 1,
  rslora: false,
  dropout: 0,
  adapterInit: "xavier",
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
  ]);
  expect([...after.state].map(([name, { step }]) => [name, step])).toEqual([
    ["model.embed_tokens.weight", 1],
    ["model.layers.0.input_layernorm.weight", 1],
    ["model.norm.weight", 1],
    ["model.layers.0.mlp.up_proj.adapter.loraA", 0],
  ]);
});
