import { expect, test } from "vitest";
import { modelParts } from "../models/causal-lm.js";
import { LlamaForCausalLM } from "../models/llama.js";
import { llamaConfig } from "../models/llama-config.js";
import { countElements } from "../nn/module.js";
import { ConfigError } from "../tensor/errors.js";
import { Rng } from "../tensor/random.js";
import { adapterParameters, addAdapters } from "./adapters.js";
import { diskParameters } from "./model-source.js";

const SETTINGS = {
  rank: 4,
  alpha: 4,
  rslora: false,
  dropout: 0,
  adapterInit: "xavier",
  targetModules: ["q_proj", "down_proj"],
  trainModules: ["norms", "head"],
} as const;

function tinyModel(): LlamaForCausalLM {
  const sizes = { vocabSize: 10, hiddenSize: 8, intermediateSize: 12, numLayers: 2, numHeads: 2 };
  return new LlamaForCausalLM(llamaConfig(sizes), new Rng(0));
}

const trainable = (model: LlamaForCausalLM) => [...diskParameters(model)].filter(([, each]) => each.trainable);

test("what is trained are the adapters and the named parts", () => {
  const model = tinyModel();
  // Two layers of rank 4 on 8 → 8 and 12 → 8, norms of two layers and the last, the head.
  const expected = 2 * 4 * (8 + 8 + 12 + 8) + 5 * 8 + 10 * 8;
  addAdapters(model, SETTINGS, new Rng(0));
  expect(countElements(trainable(model).map(([, parameter]) => parameter))).toBe(expected);
});

test("besides adapters only the named parts are trained", () => {
  const model = tinyModel();
  addAdapters(model, SETTINGS, new Rng(0));
  expect(adapterParameters(model).size).toBe(8);
  const parts = modelParts(model);
  const trained = new Set(trainable(model).map(([, parameter]) => parts.get(parameter)));
  expect([...trained].sort()).toEqual(["head", "linear", "norms"]);
  for (const [name, parameter] of trainable(model)) {
    if (parts.get(parameter) === "linear") expect(name).toContain(".adapter.");
  }
});

test("a rank beyond a layer and targets that match nothing are refused by name, and the model stays as it was", () => {
  const model = tinyModel();
  const before = [...diskParameters(model)];
  const add = (change: object) => () => addAdapters(model, { ...SETTINGS, ...change }, new Rng(0));
  expect(add({ rank: 9 })).toThrow(/9 exceeds 4 .*\n.*layers\.0\.self_attn\.q_proj \(8 × 8\) takes at most 8/);
  expect(add({ targetModules: ["k_pro"] })).toThrow(/"k_pro" \(did you mean "k_proj"\?\)/);
  expect(add({ rank: 9 })).toThrow(ConfigError);
  expect([...diskParameters(model)]).toEqual(before);
  expect(trainable(model)).toHaveLength(before.length);
});
