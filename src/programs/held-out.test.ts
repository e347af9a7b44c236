import { expect, test } from "vitest";
import { asRows, type Batch, SeparateSamples } from "../data/packing.js";
import { LlamaForCausalLM } from "../models/llama.js";
import { llamaConfig } from "../models/llama-config.js";
import { Program } from "../runtime/program.js";
import { Rng } from "../tensor/random.js";
import { batchInput } from "./batch-input.js";
import { HeldOutLoss, standardErrorOf } from "./held-out.js";
import { lossOf } from "./training-step.js";

const MACHINE = { lossChunk: 7, device: "cpu", threads: 1 } as const;
const VOCABULARY = 11;
const LENGTHS = [9, 3, 17, 2, 30];

function tinyModel(): LlamaForCausalLM {
  const sizes = { vocabSize: VOCABULARY, hiddenSize: 8, intermediateSize: 12, numLayers: 1, numHeads: 2 };
  return new LlamaForCausalLM(llamaConfig({ ...sizes, initializerRange: 0.3 }), new Rng(4));
}

function samples(): SeparateSamples {
  const rng = new Rng(5, "samples");
  return new SeparateSamples(
    LENGTHS.map((length) => {
      const ids = Int32Array.from({ length }, () => rng.below(VOCABULARY));
      return { ids, labels: ids.map((id, i) => (i < length / 3 ? -100 : id)) };
    }),
  );
}

test("the standard error is that of a ratio of sums over rows", () => {
  // Rows of the same size: the deviation of their means by the root of their number.
  const means = [1, 2, 4, 5];
  const rows = means.map((mean) => ({ nats: mean * 10, tokens: 10 }));
  expect(standardErrorOf(rows)).toBeCloseTo(Math.sqrt(10 / 3) / 2, 12);
  expect(standardErrorOf([...rows, { nats: 0, tokens: 0 }].slice(0, 1))).toBeNull();
  // By hand: the ratio is 2; the residuals are 20 − 2·5 = 10 and 20 − 2·15 = −10.
  const uneven = [
    { nats: 20, tokens: 5 },
    { nats: 20, tokens: 15 },
  ];
  expect(standardErrorOf(uneven)).toBeCloseTo(Math.sqrt(2 * 200) / 20, 12);
});

test("the losses of tokens change no bit of the loss, and the spread is that of single samples", async () => {
  const model = tinyModel();
  const batch = samples().batch([...LENGTHS.keys()], LENGTHS.length);
  const shape = { ...samples().shapeOf(LENGTHS.length), ...MACHINE };
  const input = batchInput(shape, shape.lossChunk);
  const plain = await Program.compile({ loss: lossOf(model, input) }, shape, input.sizes);
  const { feeds, sizes } = input.feed(batch);
  const nats = (await plain.run(feeds, sizes)).loss!.data[0]!;
  await plain.release();

  const heldOut = await HeldOutLoss.compile(model, shape);
  const evaluation = await heldOut.run([batch]);
  expect(evaluation.loss).toBe(nats / evaluation.tokens);
  const rows = [];
  for (const index of LENGTHS.keys()) {
    const { loss, tokens, standardError } = await heldOut.run([samples().batch([index], LENGTHS.length)]);
    expect(standardError).toBeNull();
    rows.push({ nats: loss * tokens, tokens });
  }
  await heldOut.release();
  expect(evaluation.standardError).toBeCloseTo(standardErrorOf(rows)!, 5);
  expect(evaluation.standardError).toBeGreaterThan(0.01);

  // Padded rows have the same spread, also over several batches with empty rows.
  const padded = asRows(batch);
  const sequenceLength = padded.inputIds.length / LENGTHS.length;
  const pair = (from: number, to: number): Batch => {
    const part = (values: Int32Array): Int32Array => values.slice(from * sequenceLength, to * sequenceLength);
    return { inputIds: part(padded.inputIds), labels: part(padded.labels) };
  };
  const empty = { inputIds: new Int32Array(sequenceLength), labels: new Int32Array(sequenceLength).fill(-100) };
  const last = pair(4, 5);
  const withEmpty = {
    inputIds: Int32Array.from([...last.inputIds, ...empty.inputIds]),
    labels: Int32Array.from([...last.labels, ...empty.labels]),
  };
  const inRows = await HeldOutLoss.compile(model, { batchSize: 2, sequenceLength, ...MACHINE });
  const found = await inRows.run([pair(0, 2), pair(2, 4), withEmpty]);
  await inRows.release();
  expect(found.standardError).toBeCloseTo(evaluation.standardError!, 5);
});
