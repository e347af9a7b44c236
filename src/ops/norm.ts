import { ShapeError } from "../base/errors.js";
import { formatShape } from "../tensor/shape.js";
import { applyOp, type Op, type Tensor } from "../tensor/tensor.js";
import { sum } from "./broadcast.js";
import { mul, sub } from "./elementwise.js";
import { matmul } from "./matmul.js";
import { reshape } from "./movement.js";

/** x (n, d) · r · weight (d) with r = inverseRms(x): one pass over memory on devices. */
export const rmsNormOp: Op = {
  name: "rmsNorm",
  infer: ([x, weight]) => {
    if (x!.shape.length !== 2 || weight!.shape.length !== 1 || weight!.shape[0] !== x!.shape[1]) {
      throw new ShapeError(
        `rmsNorm: needs (n, d) and a weight of (d), got ${formatShape(x!.shape)} and ${formatShape(weight!.shape)}`,
      );
    }
    return x!;
  },
  vjp: (dy, [x, weight], y) => {
    const epsilon = y.attributes.epsilon as number;
    const dim = x!.shape[1]!;
    const r = inverseRms(x!, epsilon);
    const scaled = mul(dy, weight!);
    const projection = mul(sum(mul(scaled, x!), { axes: [1], keepDims: true }), mul(mul(r, r), 1 / dim));
    const dx = mul(r, sub(scaled, mul(x!, projection)));
    // The sum over rows as a product with r: faster than scaling and then reducing axis 0.
    const dWeight = reshape(matmul(r, mul(dy, x!), { transposeA: true }), [dim]);
    return [dx, dWeight];
  },
  reference: (y, [x, weight], { shape, attributes }) => {
    const [rows, dim] = shape as [number, number];
    for (let i = 0; i < rows; i++) {
      const r = referenceInverseRms(x!, i * dim, dim, attributes.epsilon as number);
      for (let j = 0; j < dim; j++) y[i * dim + j] = x![i * dim + j]! * r * weight![j]!;
    }
  },
};

/** 1 / √(mean(x²) + ε) of each row: (n, d) → (n, 1). */
export const inverseRmsOp: Op = {
  name: "inverseRms",
  infer: ([x]) => {
    if (x!.shape.length !== 2) throw new ShapeError(`inverseRms: needs (n, d), got ${formatShape(x!.shape)}`);
    return { shape: [x!.shape[0]!, 1], dtype: x!.dtype };
  },
  vjp: (dy, [x], r) => [mul(x!, mul(mul(dy, mul(r, mul(r, r))), -1 / x!.shape[1]!))],
  reference: (y, [x], { inputShapes, attributes }) => {
    const dim = inputShapes[0]![1]!;
    for (let i = 0; i < y.length; i++) y[i] = referenceInverseRms(x!, i * dim, dim, attributes.epsilon as number);
  },
};

/**
 * x / √(mean(x²) + ε) · weight over the last axis (Zhang & Sennrich 2019, arXiv:1910.07467). x: (…, d), weight: (d).
 */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon: number): Tensor {
  const dim = x.shape.at(-1) ?? 0;
  return reshape(applyOp(rmsNormOp, [reshape(x, [x.size / Math.max(dim, 1), dim]), weight], { epsilon }), x.shape);
}

/** 1 / √(mean(x²) + ε) of each row. x: (n, d) → (n, 1). */
export function inverseRms(x: Tensor, epsilon: number): Tensor {
  return applyOp(inverseRmsOp, [x], { epsilon });
}

function referenceInverseRms(x: ArrayLike<number>, start: number, dim: number, epsilon: number): number {
  let squares = 0;
  for (let i = start; i < start + dim; i++) squares += x[i]! * x[i]!;
  return 1 / Math.sqrt(squares / dim + epsilon);
}
