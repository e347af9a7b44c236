import { describe, expect, test } from "vitest";
import { grad } from "../autograd/grad.js";
import { compileGraph, PROFILES } from "../compiler/compile.js";
import { executionOrder } from "../compiler/order.js";
import { sum } from "../ops/broadcast.js";
import { mul } from "../ops/elementwise.js";
import { interpret } from "../runtime/reference.js";
import { Rng } from "../tensor/random.js";
import { placeholder, type Tensor, tensor } from "../tensor/tensor.js";
import { type AttentionShape, attendTo, MASKED, splitHeads } from "./attention.js";
import { causalAttention, causalBlocks } from "./causal-attention.js";

function random(purpose: string, rows: number, width: number): Float32Array {
  const rng = new Rng(9, purpose);
  return Float32Array.from({ length: rows * width }, () => 2 * rng.normal());
}

/** One query head at a time, one position at a time. */
function naive(q: Float32Array, k: Float32Array, v: Float32Array, shape: AttentionShape): number[] {
  const { batch, time, numHeads, numKeyValueHeads, headDim, scale = 1 / Math.sqrt(headDim) } = shape;
  const { softcap = Number.POSITIVE_INFINITY, window = time } = shape;
  const cap = (score: number): number =>
    softcap < Number.POSITIVE_INFINITY ? softcap * Math.tanh(score / softcap) : score;
  const [width, kvWidth] = [numHeads * headDim, numKeyValueHeads * headDim];
  const output = new Array<number>(batch * time * width).fill(0);
  for (let b = 0; b < batch; b++) {
    for (let head = 0; head < numHeads; head++) {
      const group = Math.floor(head / (numHeads / numKeyValueHeads));
      for (let t = 0; t < time; t++) {
        const at = (b * time + t) * width + head * headDim;
        const keyAt = (s: number) => (b * time + s) * kvWidth + group * headDim;
        const scores = Array.from({ length: t + 1 }, (_, s) => {
          let score = 0;
          for (let d = 0; d < headDim; d++) score += q[at + d]! * k[keyAt(s) + d]!;
          return s > t - window ? Math.exp(cap(score * scale)) : 0;
        });
        const total = scores.reduce((sum, score) => sum + score, 0);
        scores.forEach((score, s) => {
          for (let d = 0; d < headDim; d++) output[at + d]! += (score / total) * v[keyAt(s) + d]!;
        });
      }
    }
  }
  return output;
}

describe("causalAttention", () => {
  test.each([
    ["every head its own keys", { batch: 2, time: 5, numHeads: 3, numKeyValueHeads: 3, headDim: 4 }],
    ["two heads a key", { batch: 2, time: 5, numHeads: 4, numKeyValueHeads: 2, headDim: 2 }],
    ["one key for all", { batch: 1, time: 6, numHeads: 4, numKeyValueHeads: 1, headDim: 4 }],
    ["a window of two", { batch: 2, time: 6, numHeads: 4, numKeyValueHeads: 2, headDim: 2, window: 2 }],
    ["a window longer than the text", { batch: 1, time: 3, numHeads: 2, numKeyValueHeads: 2, headDim: 2, window: 5 }],
    [
      "a scale and a soft cap",
      { batch: 1, time: 5, numHeads: 2, numKeyValueHeads: 1, headDim: 4, scale: 0.7, softcap: 2 },
    ],
    ["several blocks", { batch: 2, time: 75, numHeads: 4, numKeyValueHeads: 2, headDim: 2 }],
    ["blocks that skip keys", { batch: 1, time: 130, numHeads: 2, numKeyValueHeads: 1, headDim: 2, window: 20 }],
    ["a window of one", { batch: 1, time: 70, numHeads: 2, numKeyValueHeads: 2, headDim: 2, window: 1 }],
    ["one position", { batch: 3, time: 1, numHeads: 2, numKeyValueHeads: 1, headDim: 2 }],
  ])("is attention head by head: %s", (_, shape: AttentionShape) => {
    const rows = shape.batch * shape.time;
    const [width, kvWidth] = [shape.numHeads * shape.headDim, shape.numKeyValueHeads * shape.headDim];
    const [q, k, v] = [random("q", rows, width), random("k", rows, kvWidth), random("v", rows, kvWidth)];
    const tensors = [tensor(q, [rows, width]), tensor(k, [rows, kvWidth]), tensor(v, [rows, kvWidth])] as const;
    const [output] = interpret([causalAttention(...tensors, causalBlocks(shape.time, shape.window), shape)], {
      precision: "float64",
    });
    naive(q, k, v, shape).forEach((value, i) => {
      expect(output![i]).toBeCloseTo(value, 10);
    });
  });
});

/** The mask of all pairs at once, for heads below one another. */
function wholeMask({ time, numHeads, numKeyValueHeads, window = time }: AttentionShape): Tensor {
  const rows = (numHeads / numKeyValueHeads) * time;
  const mask = Float32Array.from({ length: rows * time }, (_, i) => {
    const [query, key] = [Math.floor(i / time) % time, i % time];
    return key > query || key <= query - window ? MASKED : 0;
  });
  return tensor(mask, [rows, time]);
}

describe("its gradients", () => {
  test.each([
    ["one block", { batch: 2, time: 9, numHeads: 4, numKeyValueHeads: 2, headDim: 3 }],
    ["blocks, the last one short", { batch: 2, time: 75, numHeads: 4, numKeyValueHeads: 2, headDim: 2 }],
    ["a window within a block", { batch: 1, time: 130, numHeads: 3, numKeyValueHeads: 1, headDim: 2, window: 20 }],
    ["a window over blocks", { batch: 1, time: 130, numHeads: 2, numKeyValueHeads: 2, headDim: 2, window: 50 }],
    ["a window of one", { batch: 1, time: 70, numHeads: 2, numKeyValueHeads: 2, headDim: 2, window: 1 }],
    ["a soft cap", { batch: 1, time: 70, numHeads: 2, numKeyValueHeads: 1, headDim: 4, scale: 0.7, softcap: 2 }],
    ["blocks that share their keys", { batch: 1, time: 2100, numHeads: 1, numKeyValueHeads: 1, headDim: 1 }],
  ])("are those of the whole square: %s", (_, shape: AttentionShape) => {
    const rows = shape.batch * shape.time;
    const [width, kvWidth] = [shape.numHeads * shape.headDim, shape.numKeyValueHeads * shape.headDim];
    const [q, k, v] = [
      tensor(random("q", rows, width), [rows, width]),
      tensor(random("k", rows, kvWidth), [rows, kvWidth]),
      tensor(random("v", rows, kvWidth), [rows, kvWidth]),
    ] as const;
    const weights = tensor(random("weights", rows, width), [rows, width]);
    const gradients = (output: Tensor): Tensor[] => grad(sum(mul(output, weights)), [q, k, v]);
    const [key, value] = [splitHeads(k, shape), splitHeads(v, shape)];
    const whole = gradients(attendTo(q, key, value, wholeMask(shape), shape));
    const blocks = gradients(causalAttention(q, k, v, causalBlocks(shape.time, shape.window), shape));
    const results = interpret([...blocks, ...whole], { precision: "float64" });
    for (const [i, mine] of results.slice(0, 3).entries()) {
      const theirs = results[i + 3]!;
      expect(mine.every((one, at) => Math.abs(one - theirs[at]!) < 1e-9)).toBe(true);
    }
    expect(results[2]!.some((one) => Math.abs(one) > 0.1)).toBe(true);
  });

  test("the probabilities of one block exist at a time", () => {
    const shape = { batch: 1, time: 128, numHeads: 1, numKeyValueHeads: 1, headDim: 2 };
    const inputs = ["q", "k", "v"].map((name) => placeholder(name, [128, 2])) as [Tensor, Tensor, Tensor];
    const output = causalAttention(...inputs, causalBlocks(128), shape);
    const [dq, dk, dv] = grad(sum(mul(output, output)), inputs);
    const { nodes } = compileGraph({ dq: dq!, dk: dk!, dv: dv! }, PROFILES.cpu).graph;
    const ran = executionOrder(nodes).map((index) => nodes[index]!);
    const softmaxes = ran.flatMap(({ opType }, at) => (opType === "Softmax" ? [at] : []));
    expect(softmaxes).toHaveLength(8);
    softmaxes.forEach((at, i) => {
      const lastRead = ran.findLastIndex(({ inputs }) => inputs.includes(ran[at]!.outputs[0]!));
      expect(lastRead).toBeLessThan(softmaxes[i + 1] ?? ran.length);
    });
  });
});

test("a window leaves the keys before it out, and no row is one long block", () => {
  const blocks = causalBlocks(2048, 300);
  expect(blocks.length).toBe(8);
  expect(blocks.at(-1)).toMatchObject({ start: 1792, end: 2048, firstKey: 1493 });
  expect(causalBlocks(4096)).toHaveLength(8);
  expect(new Set(causalBlocks(4096).map(({ endKey }) => endKey))).toEqual(new Set([1024, 2048, 3072, 4096]));
  expect(causalBlocks(2048).every(({ end, endKey }) => end === endKey)).toBe(true);
  expect(causalBlocks(24)).toHaveLength(1);
  expect(causalBlocks(128)).toHaveLength(4);
});
