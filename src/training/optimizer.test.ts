import { expect, test } from "vitest";
import { Parameter } from "../nn/module.js";
import { createOptimizer } from "./optimizer.js";

const SETTINGS = { lr: 1e-3, adapterLr: 2e-3, weightDecay: 0.1, beta1: 0.9, beta2: 0.99, eps: 1e-8 };
const one = () => new Parameter(Float32Array.of(1), [1]);

test("norms are not decayed, adapters have their own rate, and what stays trained keeps its state", async () => {
  const names = ["model.embed_tokens.weight", "model.norm.weight", "model.layers.0.input_layernorm.weight"];
  const weights = new Map([...names, "model.layers.0.mlp.up_proj.weight"].map((name) => [name, one()]));
  const before = createOptimizer(weights, new Map(), SETTINGS);
  const gradients = new Map([...weights.keys()].map((name) => [name, Float32Array.of(0)]));
  await before.step(gradients, { lrMultiplier: 1 });
  const values = [...weights.values()].map((parameter) => parameter.values[0]);
  expect(values).toEqual([Math.fround(1 - 1e-4), 1, 1, Math.fround(1 - 1e-4)]);

  const adapters = new Map([["model.layers.0.mlp.up_proj.adapter.loraA", one()]]);
  const trained = new Map([...names.map((name) => [name, weights.get(name)!] as const), ...adapters]);
  const after = createOptimizer(trained, adapters, SETTINGS, before.state);
  expect(after.groups.map(({ lr, weightDecay, parameters }) => [lr, weightDecay, parameters.size])).toEqual([
    [1e-3, 0.1, 1],
    [1e-3, 0, 2],
    [2e-3, 0.1, 1],
  ]);
  expect([...after.state].map(([name, { step }]) => [name, step])).toEqual([
    ["model.embed_tokens.weight", 1],
    ["model.norm.weight", 1],
    ["model.layers.0.input_layernorm.weight", 1],
    ["model.layers.0.mlp.up_proj.adapter.loraA", 0],
  ]);
});
