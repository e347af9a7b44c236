import { expect, test } from "vitest";
import { llamaConfig } from "../models/llama-config.js";
import { estimateMemory, totalBytes } from "./memory.js";

const config = llamaConfig({ vocabSize: 100, hiddenSize: 8, intermediateSize: 20, numLayers: 3, numHeads: 2 });
const settings = { batchSize: 2, sequenceLength: 16, checkpointing: false, lossChunk: 10 };

test("memory is told by part, in bytes", () => {
  const estimate = estimateMemory({ parameters: 1000, trainable: 300, config, settings });
  const layer = 32 * (8 * 8 + 4 * 20 + 2 * 2 * 16);
  expect(estimate).toEqual({
    weights: 4000,
    gradients: 1200,
    optimizer: 2400,
    activations: 4 * (3 * layer + 3 * 10 * 100),
  });
  expect(totalBytes(estimate)).toBe(7600 + estimate.activations);
});

test("checkpointing keeps one vector a layer and the activations of one", () => {
  const input = { parameters: 0, trainable: 0, config, settings: { ...settings, checkpointing: true } };
  const layer = 32 * (8 * 8 + 4 * 20 + 2 * 2 * 16);
  expect(totalBytes(estimateMemory(input))).toBe(4 * (layer + 3 * 32 * 8 + 3 * 10 * 100));
});
