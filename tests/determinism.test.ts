import { expect, test } from "vitest";
import { Program } from "../src/runtime/program.js";
import type { TypedArray } from "../src/tensor/dtype.js";
import { buildStep } from "./llama/step.js";

/** Large enough for ONNX Runtime to share one product among threads. */
const SIZES = { batch: 2, time: 96, hiddenSize: 64, intermediateSize: 176, vocabSize: 503, numKeyValueHeads: 2 };
const CHOICES = { rank: 8, checkpointing: true, chunkSize: 64 };

test("a training step is bit-equal over runs, sessions and numbers of threads", async () => {
  const all: Record<string, TypedArray>[] = [];
  for (const threads of [1, 2, 3, 2]) {
    const { outputs, feeds } = buildStep({ ...SIZES, ...CHOICES });
    const program = await Program.compile(outputs, { device: "cpu", threads });
    for (let run = 0; run < 3; run++) {
      const results = await program.run(feeds);
      all.push(Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, data])));
    }
    await program.release();
  }
  expect(all).toHaveLength(12);
  expect(Object.keys(all[0]!).length).toBeGreaterThan(30);
  for (const other of all.slice(1)) {
    for (const [name, data] of Object.entries(all[0]!)) expect(other[name]!, name).toEqual(data);
  }
});

test("a training step is bit-equal with and without checkpointing", async () => {
  const [plain, recomputed] = await Promise.all(
    [false, true].map(async (checkpointing) => {
      const { outputs, feeds } = buildStep({ ...SIZES, ...CHOICES, checkpointing });
      const program = await Program.compile(outputs, { device: "cpu", threads: 2 });
      const results = await program.run(feeds);
      await program.release();
      return results;
    }),
  );
  expect(recomputed).toEqual(plain);
});
