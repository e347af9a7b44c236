import { expect, test } from "vitest";
import { LlamaForCausalLM } from "../models/llama.js";
import { llamaConfig } from "../models/llama-config.js";
import { Rng } from "../tensor/random.js";
import { estimateMemory, totalBytes } from "./memory.js";

const config = llamaConfig({ vocabSize: 100, hiddenSize: 8, intermediateSize: 20, numLayers: 3, numHeads: 2 });
const model = new LlamaForCausalLM(config, new Rng(0));
const settings = { batchSize: 2, sequenceLength: 16, checkpointing: false, lossChunk: 10 };
const layer = 32 * (8 * 8 + 4 * 20 + 2 * 2 * 16);
const logits = 3 * 10 * 100;
const phase = { model, parameters: 1000, adapterParameters: 100, trainableParameters: 300, baseBytes: 2500 };

test("memory is told by part, in bytes", () => {
  const estimate = estimateMemory([phase], config, settings);
  expect(estimate).toMatchObject({ base: 2500, adapters: 400, gradients: 1200, optimizer: 2400 });
  expect(estimate.activations).toBe(4 * (3 * layer + logits));
  expect(totalBytes(estimate)).toBe(6500 + estimate.activations);
});

test("checkpointing keeps one vector a layer and the activations of one", () => {
  const estimate = estimateMemory([phase], config, { ...settings, checkpointing: true });
  expect(estimate.activations).toBe(4 * (layer + 3 * 32 * 8 + logits));
});

test("of several phases the one that needs most counts", () => {
  const lean = { ...phase, trainableParameters: 10 };
  expect(estimateMemory([phase, lean], config, settings)).toEqual(estimateMemory([phase], config, settings));
  expect(estimateMemory([lean, phase], config, settings)).toEqual(estimateMemory([phase], config, settings));
});
