import { ShapeError } from "../base/errors.js";
import type { Shape } from "../tensor/shape.js";
import {
  broadcastShapes,
  broadcastStrides,
  formatShape,
  normalizeAxes,
  sameShape,
  sizeOf,
  stridesOf,
} from "../tensor/shape.js";
import type { Op, ReferenceNode, Tensor, TensorSpec } from "../tensor/tensor.js";
import { applyOp } from "../tensor/tensor.js";
import { reshape } from "./movement.js";
import { copyStrided } from "./strided.js";
// Sum and broadcast are the gradients of each other.

/** Reductions keep the reduced axes with size 1; `reshape` drops them, so that gradients need no bookkeeping. */
export function inferReduction([x]: readonly TensorSpec[], { axes }: { axes?: unknown }): TensorSpec {
  const reduced = new Set(axes as readonly number[]);
  return { shape: x!.shape.map((size, axis) => (reduced.has(axis) ? 1 : size)), dtype: x!.dtype };
}

/** Calls `visit(outputOffset, inputOffset)` for every input element. */
export function forEachReduced({ shape, inputShapes }: ReferenceNode, visit: (to: number, from: number) => void): void {
  const inputShape = inputShapes[0]!;
  const outStrides = stridesOf(shape).map((stride, axis) => (shape[axis] === 1 ? 0 : stride));
  const inStrides = stridesOf(inputShape);
  const size = sizeOf(inputShape);
  for (let from = 0; from < size; from++) {
    let to = 0;
    for (let axis = 0; axis < inputShape.length; axis++) {
      to += (Math.floor(from / inStrides[axis]!) % inputShape[axis]!) * outStrides[axis]!;
    }
    visit(to, from);
  }
}

export const sumOp: Op = {
  name: "sum",
  infer: inferReduction,
  vjp: (dy, [x]) => [broadcastTo(dy, x!.shape)],
  reference: (y, [x], node) => {
    y.fill(0);
    forEachReduced(node, (to, from) => {
      y[to]! += x![from]!;
    });
  },
};

export interface ReduceOptions {
  /** Axes to reduce, negative from the end; default all. */
  readonly axes?: readonly number[];
  /** Keep reduced axes with size 1. Default false. */
  readonly keepDims?: boolean;
}

/** Sum over axes. */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce(sumOp, x, options);
}

/** Undoes broadcasting: sums `x` down to `shape`. The gradient of a broadcast. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const added = x.rank - shape.length;
  const axes = x.shape.flatMap((size, axis) => (axis < added || shape[axis - added] !== size ? [axis] : []));
  return reshape(sum(x, { axes, keepDims: true }), shape);
}

export function reduce(op: Op, x: Tensor, { axes, keepDims = false }: ReduceOptions): Tensor {
  const all = x.shape.map((_, axis) => axis);
  const reduced = axes === undefined ? all : normalizeAxes(op.name, axes, x.rank);
  const kept = reduced.length === 0 ? x : applyOp(op, [x], { axes: reduced });
  const dropped = new Set(reduced);
  return keepDims
    ? kept
    : reshape(
        kept,
        x.shape.filter((_, axis) => !dropped.has(axis)),
      );
}

export const broadcastOp: Op = {
  name: "broadcast",
  infer: ([x], attributes) => {
    const shape = attributes.shape as Shape;
    if (!sameShape(broadcastShapes("broadcastTo", x!.shape, shape), shape)) {
      throw new ShapeError(`broadcastTo: ${formatShape(x!.shape)} cannot become ${formatShape(shape)}`);
    }
    return { shape, dtype: x!.dtype };
  },
  vjp: (dy, [x]) => [sumTo(dy, x!.shape)],
  reference: (y, [x], { shape, inputShapes }) => copyStrided(y, x!, shape, broadcastStrides(inputShapes[0]!, shape), 0),
};

/** Repeats along new and size-1 axes. */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  return sameShape(x.shape, shape) ? x : applyOp(broadcastOp, [x], { shape });
}
