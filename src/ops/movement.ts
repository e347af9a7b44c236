import { ShapeError } from "../base/errors.js";
import { formatShape, normalizeAxes, type Shape, sameShape, sizeOf, stridesOf } from "../tensor/shape.js";
import { applyOp, type Op, type Tensor } from "../tensor/tensor.js";
import { copyStrided, forEachOffset } from "./strided.js";

export const reshapeOp: Op = {
  name: "reshape",
  infer: ([x], attributes) => {
    const shape = attributes.shape as Shape;
    if (sizeOf(shape) !== sizeOf(x!.shape)) {
      throw new ShapeError(
        `reshape: ${formatShape(x!.shape)} has ${sizeOf(x!.shape)} elements, ` +
          `${formatShape(shape)} needs ${sizeOf(shape)}`,
      );
    }
    return { shape, dtype: x!.dtype };
  },
  vjp: (dy, [x]) => [reshape(dy, x!.shape)],
  reference: (y, [x]) => y.set(x!),
};

/** `permutation[i]` is the input axis that becomes output axis i. */
export const transposeOp: Op = {
  name: "transpose",
  infer: ([x], { permutation }) => {
    const order = permutation as readonly number[];
    if (order.length !== x!.shape.length || x!.shape.some((_, axis) => !order.includes(axis))) {
      throw new ShapeError(`transpose: permutation [${order}] must name each axis of ${formatShape(x!.shape)} once`);
    }
    return { shape: order.map((axis) => x!.shape[axis]!), dtype: x!.dtype };
  },
  vjp: (dy, _, y) => {
    const order = y.attributes.permutation as readonly number[];
    return [
      transpose(
        dy,
        order.map((_, axis) => order.indexOf(axis)),
      ),
    ];
  },
  reference: (y, [x], { shape, inputShapes, attributes }) => {
    const strides = stridesOf(inputShapes[0]!);
    copyStrided(
      y,
      x!,
      shape,
      (attributes.permutation as readonly number[]).map((axis) => strides[axis]!),
      0,
    );
  },
};

/** Elements start ≤ i < end of one axis. */
export const sliceOp: Op = {
  name: "slice",
  infer: ([x], attributes) => {
    const { axis, start, end } = attributes as { axis: number; start: number; end: number };
    const size = x!.shape[axis]!;
    if (!(start >= 0 && start <= end && end <= size)) {
      throw new ShapeError(
        `slice: must have 0 ≤ start ≤ end ≤ ${size} on axis ${axis}, got start ${start}, end ${end}`,
      );
    }
    return { shape: x!.shape.map((n, i) => (i === axis ? end - start : n)), dtype: x!.dtype };
  },
  vjp: (dy, [x], y) => {
    const { axis, start, end } = y.attributes as { axis: number; start: number; end: number };
    return [pad(dy, axis, start, x!.shape[axis]! - end)];
  },
  reference: (y, [x], { shape, inputShapes, attributes }) => {
    const strides = stridesOf(inputShapes[0]!);
    copyStrided(y, x!, shape, strides, (attributes.start as number) * strides[attributes.axis as number]!);
  },
};

/** Zeros before and after, along one axis. */
export const padOp: Op = {
  name: "pad",
  infer: ([x], { axis, before, after }) => ({
    shape: x!.shape.map((n, i) => (i === axis ? n + (before as number) + (after as number) : n)),
    dtype: x!.dtype,
  }),
  vjp: (dy, [x], y) => {
    const { axis, before } = y.attributes as { axis: number; before: number };
    return [slice(dy, axis, before, before + x!.shape[axis]!)];
  },
  reference: (y, [x], { shape, inputShapes, attributes }) => {
    y.fill(0);
    const strides = stridesOf(shape);
    const offset = (attributes.before as number) * strides[attributes.axis as number]!;
    forEachOffset(inputShapes[0]!, strides, offset, (to, from) => {
      y[to] = x![from]!;
    });
  },
};

/** Joins along one axis. */
export const concatOp: Op = {
  name: "concat",
  infer: (inputs, attributes) => {
    const axis = attributes.axis as number;
    const first = inputs[0]!;
    for (const { shape, dtype } of inputs) {
      const fits = shape.length === first.shape.length && shape.every((n, i) => i === axis || n === first.shape[i]);
      if (!fits || dtype !== first.dtype) {
        const list = inputs.map((input) => `${formatShape(input.shape)} ${input.dtype}`).join(", ");
        throw new ShapeError(`concat: inputs must agree in dtype and on every axis but ${axis}, got ${list}`);
      }
    }
    const total = inputs.reduce((length, { shape }) => length + shape[axis]!, 0);
    return { shape: first.shape.map((n, i) => (i === axis ? total : n)), dtype: first.dtype };
  },
  vjp: (dy, inputs, y) => {
    const axis = y.attributes.axis as number;
    let start = 0;
    return inputs.map((input) => {
      const part = slice(dy, axis, start, start + input.shape[axis]!);
      start += input.shape[axis]!;
      return part;
    });
  },
  reference: (y, inputs, { shape, inputShapes, attributes }) => {
    const axis = attributes.axis as number;
    const strides = stridesOf(shape);
    let offset = 0;
    inputs.forEach((x, k) => {
      forEachOffset(inputShapes[k]!, strides, offset, (to, from) => {
        y[to] = x[from]!;
      });
      offset += inputShapes[k]![axis]! * strides[axis]!;
    });
  },
};

/** The same elements in row-major order under another shape. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  return sameShape(x.shape, shape) ? x : applyOp(reshapeOp, [x], { shape });
}

/** Reorders axes: `permutation[i]` is the input axis that becomes axis i. Default: reverses all axes. */
export function transpose(
  x: Tensor,
  permutation: readonly number[] = x.shape.map((_, axis) => x.rank - 1 - axis),
): Tensor {
  return permutation.every((axis, i) => axis === i) ? x : applyOp(transposeOp, [x], { permutation });
}

/** Elements `start` ≤ i < `end` of `axis`. */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  const [at] = normalizeAxes("slice", [axis], x.rank);
  return start === 0 && end === x.shape[at!] ? x : applyOp(sliceOp, [x], { axis: at!, start, end });
}

/** Adds `before` and `after` zeros along `axis`. */
export function pad(x: Tensor, axis: number, before: number, after: number): Tensor {
  const [at] = normalizeAxes("pad", [axis], x.rank);
  return before === 0 && after === 0 ? x : applyOp(padOp, [x], { axis: at!, before, after });
}

/** Joins tensors along `axis`; all other axes must agree. */
export function concat(tensors: readonly Tensor[], axis: number): Tensor {
  if (tensors.length === 0) throw new ShapeError("concat: needs at least one tensor, got none");
  const [at] = normalizeAxes("concat", [axis], tensors[0]!.rank);
  return tensors.length === 1 ? tensors[0]! : applyOp(concatOp, tensors, { axis: at! });
}

export interface Writable {
  [index: number]: number;
}
