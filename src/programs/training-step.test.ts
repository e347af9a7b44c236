import { expect, test } from "vitest";
import type { Batch } from "../data/packing.js";
import { diskParameters } from "../loading/model-source.js";
import { LlamaForCausalLM } from "../models/llama.js";
import { llamaConfig } from "../models/llama-config.js";
import { readGradient } from "../optim/gradient.js";
import { Rng } from "../tensor/random.js";
import { HeldOutLoss } from "./held-out.js";
import { TrainingStep } from "./training-step.js";

const SHAPE = { sequenceLength: 6, lossChunk: 5, device: "cpu", threads: 1 } as const;
const VOCABULARY = 11;

function tinyModel(): LlamaForCausalLM {
  const sizes = { vocabSize: VOCABULARY, hiddenSize: 8, intermediateSize: 12, numLayers: 1, numHeads: 2 };
  return new LlamaForCausalLM(llamaConfig({ ...sizes, initializerRange: 0.3 }), new Rng(4));
}

function randomBatch(rows: number): Batch {
  const rng = new Rng(5, "batch");
  const draw = () => Int32Array.from({ length: rows * SHAPE.sequenceLength }, () => rng.below(VOCABULARY));
  return { inputIds: draw(), labels: draw() };
}

function rowsOf({ inputIds, labels }: Batch, from: number, to: number): Batch {
  const [start, end] = [from * SHAPE.sequenceLength, to * SHAPE.sequenceLength];
  return { inputIds: inputIds.slice(start, end), labels: labels.slice(start, end) };
}

test("micro-batches give the loss and gradients of one batch, though they hold unequal numbers of scored tokens", async () => {
  const model = tinyModel();
  const parameters = diskParameters(model);
  const batch = randomBatch(4);
  batch.labels.fill(-100, 2, 11); // nearly all of the first micro-batch
  const whole = await TrainingStep.compile(model, parameters, { ...SHAPE, batchSize: 4, checkpointing: false });
  const half = await TrainingStep.compile(model, parameters, { ...SHAPE, batchSize: 2, checkpointing: true });
  const expected = await whole.runAll([batch]);
  const seen: number[] = [];
  const found = await half.runAll([rowsOf(batch, 0, 2), rowsOf(batch, 2, 4)], (i) => seen.push(i));
  expect(seen).toEqual([0, 1]);
  expect(found.loss).toBeCloseTo(expected.loss, 5);
  expect([...found.gradients.keys()]).toEqual([...parameters.keys()]);
  for (const name of parameters.keys()) {
    const gradient = readGradient(expected.gradients.get(name)!);
    const summed = readGradient(found.gradients.get(name)!);
    const largest = Math.max(...gradient.map(Math.abs));
    expect(largest, name).toBeGreaterThan(0);
    for (const [i, value] of gradient.entries()) {
      expect(Math.abs(summed[i]! - value), name).toBeLessThan(1e-5 * largest);
    }
  }
  await whole.release();
  await half.release();
});

test("with a zero head every token costs the logarithm of the vocabulary, and what is not scored does not count", async () => {
  const model = tinyModel();
  model.headWeight.values.fill(0);
  const heldOut = await HeldOutLoss.compile(model, { ...SHAPE, batchSize: 2 });
  const batch = randomBatch(2);
  batch.labels.fill(-100, 3, 12);
  const { loss, perplexity, tokens } = await heldOut.run([randomBatch(2), batch]);
  expect(tokens).toBe(15);
  expect(loss).toBeCloseTo(Math.log(VOCABULARY), 5);
  expect(perplexity).toBeCloseTo(VOCABULARY, 4);
  await heldOut.release();
});
