import type { Op, Tensor } from "../tensor/tensor.js";
import type { ReduceOptions } from "./broadcast.js";
import { forEachReduced, inferReduction, reduce, sum } from "./broadcast.js";
import { cast, div, equal, mul } from "./elementwise.js";

/** Ties share the gradient equally. */
export const maxOp: Op = {
  name: "max",
  infer: inferReduction,
  vjp: (dy, [x], y) => {
    const hits = cast(equal(x!, y), "float32");
    const axes = x!.shape.flatMap((size, axis) => (size === y.shape[axis] ? [] : [axis]));
    return [mul(hits, div(dy, sum(hits, { axes, keepDims: true })))];
  },
  reference: (y, [x], node) => {
    y.fill(-Infinity);
    forEachReduced(node, (to, from) => {
      y[to] = Math.max(y[to]!, x![from]!);
    });
  },
};

/** Arithmetic mean over axes. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  const total = sum(x, options);
  return mul(total, total.size / x.size);
}

/** Largest element over axes. */
export function max(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce(maxOp, x, options);
}
