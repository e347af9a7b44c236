import { describe, expect, test } from "vitest";
import { SMALL_CONFIGS, type SmallConfig } from "../../tests/architectures/small-configs.js";
import { asRows, SeparateSamples } from "../data/packing.js";
import { diskParameters } from "../loading/model-source.js";
import { describeModel } from "../models/architectures.js";
import type { CausalLM } from "../models/causal-lm.js";
import { readGradient } from "../optim/gradient.js";
import { Rng } from "../tensor/random.js";
import { HeldOutLoss } from "./held-out.js";
import { type StepResult, TrainingStep } from "./training-step.js";

const MACHINE = { lossChunk: 7, device: "cpu", threads: 2 } as const;
const VOCABULARY = 31;
const rng = new Rng(6, "samples");

/** A sample of which the first tokens are not scored. */
function sample(length: number): { ids: Int32Array; labels: Int32Array } {
  const ids = Int32Array.from({ length }, () => rng.below(VOCABULARY));
  return { ids, labels: ids.map((id, i) => (i < length / 3 ? -100 : id)) };
}

const modelOf = (config: SmallConfig): CausalLM => describeModel(SMALL_CONFIGS[config]).create(new Rng(4));

function expectSame(found: StepResult, expected: StepResult, model: CausalLM): void {
  expect(Math.abs(found.loss - expected.loss)).toBeLessThan(2e-6 * expected.loss);
  for (const name of diskParameters(model).keys()) {
    const [gradient, own] = [expected, found].map(({ gradients }) => readGradient(gradients.get(name)!));
    const largest = Math.max(...gradient!.map(Math.abs));
    // Adding the same to all scores of a query changes nothing.
    const isKeyBias = /k_proj\.bias|c_attn\.bias|query_key_value\.bias/.test(name);
    if (!isKeyBias) expect(largest, name).toBeGreaterThan(0);
    for (const [i, value] of gradient!.entries()) {
      expect(Math.abs(own![i]! - value), name).toBeLessThan(2e-5 * largest + 1e-7);
    }
  }
}

const SIZES = {
  "of other lengths": [9, 3, 17, 2, 30],
  "of one length, which fill all slots": [9, 9],
  "one of them": [12],
} as const;

describe("samples one after another have the loss and the gradients of padded rows", () => {
  test.each([
    ...(Object.keys(SMALL_CONFIGS) as SmallConfig[]).map((config) => [config, "of other lengths"] as const),
    ["mistral, with a sliding window", "of one length, which fill all slots"] as const,
    ["gpt2, with learned positions and a tied head", "one of them"] as const,
  ])("%s, %s", async (config, kind) => {
    const sizes = SIZES[kind];
    const model = modelOf(config);
    const samples = new SeparateSamples([...sizes, 30, 26].map(sample));
    const batch = samples.batch([...sizes.keys()], sizes.length);
    const rows = asRows(batch);
    const sequenceLength = rows.inputIds.length / sizes.length;
    const parameters = diskParameters(model);
    const padded = { batchSize: sizes.length, sequenceLength, ...MACHINE, checkpointing: false };
    const first = await TrainingStep.compile(model, parameters, padded);
    const shape = { ...samples.shapeOf(sizes.length), ...MACHINE };
    const second = await TrainingStep.compile(model, parameters, { ...shape, checkpointing: sizes.length === 1 });
    const expected = await first.runAll([rows]);
    expectSame(await second.runAll([batch]), expected, model);
    const heldOut = await HeldOutLoss.compile(model, shape);
    expect((await heldOut.run([batch])).loss).toBeCloseTo(expected.loss, 5);
    for (const program of [first, second, heldOut]) await program.release();
  });
});

test("a graph takes batches of any size, one after another, and some that lack samples", async () => {
  const model = modelOf("mistral, with a sliding window");
  const samples = new SeparateSamples([5, 20, 9, 2, 14, 30, 11].map(sample));
  const heldOut = await HeldOutLoss.compile(model, { ...samples.shapeOf(3), ...MACHINE });
  const alone = await HeldOutLoss.compile(model, { ...samples.shapeOf(1), ...MACHINE });
  for (const chosen of [[1, 5, 6], [3], [0, 2], [4, 1, 0]]) {
    const together = await heldOut.run([samples.batch(chosen, 3)]);
    const apart = await alone.run(chosen.map((row) => samples.batch([row], 1)));
    expect(together.tokens).toBe(apart.tokens);
    expect(together.loss).toBeCloseTo(apart.loss, 5);
  }
  await heldOut.release();
  await alone.release();
});
