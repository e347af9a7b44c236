import { ShapeError } from "../base/errors.js";
import { applyOp, type Op, type Tensor } from "../tensor/tensor.js";
import { sum } from "./broadcast.js";
import { mul, sub } from "./elementwise.js";

/** Over the last axis, shifted by the row's maximum so that it cannot overflow. */
export const softmaxOp: Op = {
  name: "softmax",
  infer: ([x]) => {
    if (x!.shape.length === 0) throw new ShapeError("softmax: needs at least one axis, got ()");
    return x!;
  },
  vjp: (dy, _, y) => [mul(y, sub(dy, sum(mul(dy, y), { axes: [-1], keepDims: true })))],
  reference: (y, [x], { shape }) => {
    const width = shape.at(-1)!;
    for (let start = 0; start < y.length; start += width) {
      let largest = -Infinity;
      for (let i = start; i < start + width; i++) largest = Math.max(largest, x![i]!);
      let total = 0;
      for (let i = start; i < start + width; i++) total += Math.exp(x![i]! - largest);
      for (let i = start; i < start + width; i++) y[i] = Math.exp(x![i]! - largest) / total;
    }
  },
};

/** Softmax over the last axis. x: (…, n) → (…, n). */
export function softmax(x: Tensor): Tensor {
  return applyOp(softmaxOp, [x]);
}
