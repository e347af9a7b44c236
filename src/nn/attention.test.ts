import { describe, expect, test } from "vitest";
import { interpret } from "../runtime/reference.js";
import { Rng } from "../tensor/random.js";
import { tensor } from "../tensor/tensor.js";
import { type AttentionShape, causalAttention, causalMask } from "./attention.js";

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
    ["one position", { batch: 3, time: 1, numHeads: 2, numKeyValueHeads: 1, headDim: 2 }],
  ])("is attention head by head: %s", (_, shape) => {
    const rows = shape.batch * shape.time;
    const [width, kvWidth] = [shape.numHeads * shape.headDim, shape.numKeyValueHeads * shape.headDim];
    const [q, k, v] = [random("q", rows, width), random("k", rows, kvWidth), random("v", rows, kvWidth)];
    const tensors = [tensor(q, [rows, width]), tensor(k, [rows, kvWidth]), tensor(v, [rows, kvWidth])] as const;
    const [output] = interpret([causalAttention(...tensors, causalMask(shape), shape)], { precision: "float64" });
    naive(q, k, v, shape).forEach((value, i) => {
      expect(output![i]).toBeCloseTo(value, 10);
    });
  });
});
