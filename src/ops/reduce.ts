import { normalizeAxes, type Shape, sameShape, sizeOf, stridesOf } from "../tensor/shape.js";
import { applyOp, type Op, type ReferenceNode, type Tensor, type TensorSpec } from "../tensor/tensor.js";
import { cast, div, equal, mul } from "./elementwise.js";
import { broadcastTo, reshape } from "./movement.js";

/** Reductions keep the reduced axes with size 1; `reshape` drops them, so that gradients need no bookkeeping. */
function inferReduction([x]: readonly TensorSpec[], { axes }: { axes?: unknown }): TensorSpec {
  const reduced = new Set(axes as readonly number[]);
  return { shape: x!.shape.map((size, axis) => (reduced.has(axis) ? 1 : size)), dtype: x!.dtype };
}

/** Calls `visit(outputOffset, inputOffset)` for every input element. */
function forEachReduced({ shape, inputShapes }: ReferenceNode, visit: (to: number, from: number) => void): void {
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

/** Arithmetic mean over axes. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  const total = sum(x, options);
  return mul(total, total.size / x.size);
}

/** Largest element over axes. */
export function max(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce(maxOp, x, options);
}

/** Undoes broadcasting: sums `x` down to `shape`. The gradient of a broadcast. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const added = x.rank - shape.length;
  const axes = x.shape.flatMap((size, axis) => (axis < added || shape[axis - added] !== size ? [axis] : []));
  return reshape(sum(x, { axes, keepDims: true }), shape);
}

function reduce(op: Op, x: Tensor, { axes, keepDims = false }: ReduceOptions): Tensor {
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
