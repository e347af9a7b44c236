import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { compileGraph } from "../src/compiler/compile.js";
import { CPU_PROFILE } from "../src/compiler/lower-cpu.js";
import type { Lowering, Profile } from "../src/compiler/lowering.js";
import { executionOrder, peakBytes } from "../src/compiler/order.js";
import { bytesPerElement } from "../src/tensor/dtype.js";
import type { Tensor } from "../src/tensor/tensor.js";
import { buildStep, type StepOptions } from "./llama/step.js";

/** Most bytes of intermediate values and gradients alive at once, in the order in which ONNX Runtime will run the step. */
function predictedPeak(options: StepOptions): number {
  const sizes = new Map<string, number>();
  const { outputs } = buildStep({ ...options, includesFrozen: false });
  const { graph } = compileGraph(outputs, measuring(CPU_PROFILE, sizes));
  for (const { name, shape } of graph.outputs) sizes.set(name, 4 * shape.reduce((a, b) => a * b, 1));
  return peakBytes(graph.nodes, executionOrder(graph.nodes), sizes, Object.keys(outputs));
}

/** The profile, noting how large each value is that it gives a name. */
function measuring(profile: Profile, sizes: Map<string, number>): Profile {
  const note = (node: Tensor, name: string): string => {
    sizes.set(name, node.size * bytesPerElement(node.dtype));
    return name;
  };
  const primitives = Object.fromEntries(
    Object.entries(profile.primitives).map(([op, lower]) => {
      const lowering: Lowering = (node, context) => note(node, lower(node, context));
      return [op, lowering];
    }),
  ) as unknown as Profile["primitives"];
  return { primitives, product: (product, node, context) => note(node, profile.product(product, node, context)) };
}

test("checkpointing lowers the peak of six layers to less than a third, in the order that runs", () => {
  const options = { numLayers: 6, batch: 2, time: 64, hiddenSize: 32, intermediateSize: 88, rank: 4, vocabSize: 16 };
  const kept = predictedPeak(options);
  const recomputed = predictedPeak({ ...options, checkpointing: true });
  expect(recomputed / kept).toBeLessThan(0.33);
});

test("with checkpointing each layer more adds its input and nothing else", () => {
  const [batch, time, hiddenSize] = [2, 64, 32];
  const options = { batch, time, hiddenSize, intermediateSize: 88, rank: 4, vocabSize: 16, checkpointing: true };
  const grown = predictedPeak({ ...options, numLayers: 8 }) - predictedPeak({ ...options, numLayers: 4 });
  expect(grown).toBeLessThan(1.5 * 4 * (4 * batch * time * hiddenSize));
});

test("full logits never exist: the peak falls with the chunks, far below the logits", () => {
  const [batch, time, vocabSize] = [4, 64, 8000];
  const options = { numLayers: 1, batch, time, vocabSize, rank: 2, tieWordEmbeddings: false };
  const logits = 4 * batch * time * vocabSize;
  const whole = predictedPeak({ ...options, chunkSize: 256 });
  const chunked = predictedPeak({ ...options, chunkSize: 32 });
  expect(whole).toBeGreaterThan(2 * logits);
  expect(chunked).toBeLessThan(0.5 * logits);
});

/** Bytes by which one step raises the resident memory of a fresh process of the built library. */
function measuredPeak(options: Readonly<Record<string, number | boolean>>): number {
  const script = fileURLToPath(new URL("memory/peak.mjs", import.meta.url));
  return Number(execFileSync(process.execPath, [script, JSON.stringify(options)], { encoding: "utf8" }));
}

describe.skipIf(!existsSync("/proc/self/status"))("the memory of a process that runs a step", () => {
  test("rises by less than half as much with checkpointing", () => {
    const sizes = { vocabSize: 512, hiddenSize: 128, intermediateSize: 344, numLayers: 8, numHeads: 4 };
    const options = { ...sizes, batch: 4, time: 256, chunkSize: 256 };
    const kept = measuredPeak({ ...options, checkpointing: false });
    expect(measuredPeak({ ...options, checkpointing: true }) / kept).toBeLessThan(0.5);
  });

  test("rises by less than half as much, and less than full logits take, when their chunks are an eighth", () => {
    const [batch, time, vocabSize] = [8, 256, 16_000];
    const sizes = { vocabSize, hiddenSize: 64, intermediateSize: 64, numLayers: 1, numHeads: 1 };
    const options = { ...sizes, batch, time, checkpointing: true };
    const chunked = measuredPeak({ ...options, chunkSize: (batch * time) / 8 });
    expect(chunked / measuredPeak({ ...options, chunkSize: batch * time })).toBeLessThan(0.5);
    expect(chunked).toBeLessThan(4 * batch * time * vocabSize);
  });
});
