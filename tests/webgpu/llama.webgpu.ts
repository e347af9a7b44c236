import { describe, expect, test } from "vitest";
import { Program } from "../../src/runtime/program.js";
import { buildStep, type StepOptions } from "../llama/step.js";
import { expectClose } from "../ops/close.js";

/** Of the largest entry of each tensor, against the CPU; both compute in float32. */
const TOLERANCE = 3e-5;

const CASES: readonly (readonly [what: string, options: StepOptions])[] = [
  ["adapters, grouped queries", { rank: 2, numKeyValueHeads: 2 }],
  ["tied head, checkpointing, chunks", { rank: 2, tieWordEmbeddings: true, checkpointing: true, chunkSize: 5 }],
];

describe.each(CASES)("the training step of a small LLaMA on webgpu alone: %s", (_, options) => {
  test("gives the loss and gradients that the CPU gives", async () => {
    const { outputs, feeds } = buildStep(options);
    const cpu = await Program.compile(outputs, { device: "cpu", threads: 2 });
    const expected = await cpu.run(feeds);
    await cpu.release();
    const webgpu = await Program.compile(outputs, { device: "webgpu", threads: 1, forbidFallback: true });
    const results = await webgpu.run(feeds);
    await webgpu.release();
    expect(Object.keys(results)).toEqual(Object.keys(outputs));
    for (const name of Object.keys(outputs)) {
      expectClose(name, results[name]!.data, expected[name]!.data, TOLERANCE);
    }
  });
});
