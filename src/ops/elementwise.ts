import { DTypeError } from "../base/errors.js";
import type { DType } from "../tensor/dtype.js";
import { broadcastShapes, broadcastStrides, type Shape, sameShape, sizeOf } from "../tensor/shape.js";
import { applyOp, type NumericArray, type Op, type ReferenceNode, type Tensor } from "../tensor/tensor.js";
import { sumTo } from "./broadcast.js";
import { asTensor, isConstant, type Operand } from "./constant.js";

/** A one-input op on floats that keeps the shape. */
function unary(name: string, f: (x: number) => number, vjp: NonNullable<Op["vjp"]>): Op {
  return {
    name,
    infer: ([x]) => {
      requireFloat(name, x!.dtype);
      return { shape: x!.shape, dtype: x!.dtype };
    },
    vjp,
    reference: (y, [x]) => {
      for (let i = 0; i < y.length; i++) y[i] = f(x![i]!);
    },
  };
}

/** A two-input op with NumPy broadcasting. Comparisons give bool. */
function binary(
  name: string,
  f: (a: number, b: number) => number,
  vjp?: (dy: Tensor, a: Tensor, b: Tensor, y: Tensor) => [Tensor, Tensor],
): Op {
  const op: Op = {
    name,
    infer: ([a, b]) => {
      if (a!.dtype !== b!.dtype) {
        throw new DTypeError(`${name}: both sides must have the same dtype, got ${a!.dtype} and ${b!.dtype}; use cast`);
      }
      return { shape: broadcastShapes(name, a!.shape, b!.shape), dtype: vjp === undefined ? "bool" : a!.dtype };
    },
    reference: (y, [a, b], node) => {
      broadcastLoop(node, (i, at) => {
        y[i] = f(a![at[0]!]!, b![at[1]!]!);
      });
    },
  };
  if (vjp === undefined) return op;
  return {
    ...op,
    vjp: (dy, [a, b], y) => {
      const [da, db] = vjp(dy, a!, b!, y);
      return [sumTo(da, a!.shape), sumTo(db, b!.shape)];
    },
  };
}

/** Calls `body(i, offsets)` for each output element with the offset into each broadcast input. */
function broadcastLoop(node: ReferenceNode, body: (i: number, offsets: readonly number[]) => void): void {
  const { shape, inputShapes } = node;
  const strides = inputShapes.map((inputShape) => broadcastStrides(inputShape, shape));
  const offsets = strides.map(() => 0);
  const index = shape.map(() => 0);
  const size = sizeOf(shape);
  for (let i = 0; i < size; i++) {
    body(i, offsets);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis]!++;
      for (let k = 0; k < offsets.length; k++) offsets[k]! += strides[k]![axis]!;
      if (index[axis]! < shape[axis]!) break;
      for (let k = 0; k < offsets.length; k++) offsets[k]! -= strides[k]![axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
}

export const addOp: Op = binary(
  "add",
  (a, b) => a + b,
  (dy) => [dy, dy],
);
export const subOp: Op = binary(
  "sub",
  (a, b) => a - b,
  (dy) => [dy, neg(dy)],
);
export const mulOp: Op = binary(
  "mul",
  (a, b) => a * b,
  (dy, a, b) => [mul(dy, b), mul(dy, a)],
);
export const divOp: Op = binary(
  "div",
  (a, b) => a / b,
  (dy, _a, b, y) => [div(dy, b), neg(div(mul(dy, y), b))],
);
export const equalOp: Op = binary("equal", (a, b) => (a === b ? 1 : 0));
export const lessOp: Op = binary("less", (a, b) => (a < b ? 1 : 0));

export const negOp: Op = unary(
  "neg",
  (x) => -x,
  (dy) => [neg(dy)],
);
export const expOp: Op = unary("exp", Math.exp, (dy, _, y) => [mul(dy, y)]);
export const logOp: Op = unary("log", Math.log, (dy, [x]) => [div(dy, x!)]);
export const sqrtOp: Op = unary("sqrt", Math.sqrt, (dy, _, y) => [div(mul(dy, 0.5), y)]);
export const sigmoidOp: Op = unary(
  "sigmoid",
  (x) => 1 / (1 + Math.exp(-x)),
  (dy, _, y) => [mul(dy, mul(y, sub(1, y)))],
);

export const tanhOp: Op = unary("tanh", Math.tanh, (dy, _, y) => [mul(dy, sub(1, mul(y, y)))]);
export const erfOp: Op = unary("erf", referenceErf, (dy, [x]) => [
  mul(dy, mul(exp(neg(mul(x!, x!))), 2 / Math.sqrt(Math.PI))),
]);

/** 2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (1 · 3 · … · (2n+1)): no term cancels another. */
function referenceErf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let [term, total] = [x, x];
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(total); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    total += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * total;
}

/** Chooses `a` where `condition` is true, else `b`; all broadcast. */
export const whereOp: Op = {
  name: "where",
  infer: ([condition, a, b]) => {
    if (condition!.dtype !== "bool") throw new DTypeError(`where: condition must be bool, got ${condition!.dtype}`);
    if (a!.dtype !== b!.dtype)
      throw new DTypeError(`where: branches must have one dtype, got ${a!.dtype} and ${b!.dtype}`);
    const branches = broadcastShapes("where", a!.shape, b!.shape);
    return { shape: broadcastShapes("where", condition!.shape, branches), dtype: a!.dtype };
  },
  vjp: (dy, [condition, a, b]) => [
    undefined,
    sumTo(where(condition!, dy, 0), a!.shape),
    sumTo(where(condition!, 0, dy), b!.shape),
  ],
  reference: (y, [condition, a, b], node) => {
    broadcastLoop(node, (i, at) => {
      y[i] = condition![at[0]!]! ? a![at[1]!]! : b![at[2]!]!;
    });
  },
};

export const castOp: Op = {
  name: "cast",
  infer: ([x], { to }) => ({ shape: x!.shape, dtype: to as DType }),
  vjp: (dy, [x]) => [x!.dtype === "float32" ? dy : undefined],
  reference: (y: NumericArray, [x], { attributes }) => {
    const truncate = attributes.to === "int32" ? Math.trunc : (value: number) => value;
    for (let i = 0; i < y.length; i++) y[i] = attributes.to === "bool" ? Number(x![i] !== 0) : truncate(x![i]!);
  },
};

/** a + b, broadcast. */
export function add(a: Operand, b: Operand): Tensor {
  const [left, right] = operands(a, b);
  if (isConstant(right, 0) && keepsShape(left, right)) return left;
  if (isConstant(left, 0) && keepsShape(right, left)) return right;
  return applyOp(addOp, [left, right]);
}

/** a − b, broadcast. */
export function sub(a: Operand, b: Operand): Tensor {
  return applyOp(subOp, operands(a, b));
}

/** a · b, broadcast. Multiplying by the constant 1 is left out of the graph. */
export function mul(a: Operand, b: Operand): Tensor {
  const [left, right] = operands(a, b);
  if (isConstant(right, 1) && keepsShape(left, right)) return left;
  if (isConstant(left, 1) && keepsShape(right, left)) return right;
  return applyOp(mulOp, [left, right]);
}

/** a / b, broadcast. */
export function div(a: Operand, b: Operand): Tensor {
  return applyOp(divOp, operands(a, b));
}

/** a == b, broadcast → bool. */
export function equal(a: Operand, b: Operand): Tensor {
  return applyOp(equalOp, operands(a, b));
}

/** a < b, broadcast → bool. */
export function less(a: Operand, b: Operand): Tensor {
  return applyOp(lessOp, operands(a, b));
}

export function neg(x: Tensor): Tensor {
  return applyOp(negOp, [x]);
}

export function exp(x: Tensor): Tensor {
  return applyOp(expOp, [x]);
}

/** Natural logarithm. */
export function log(x: Tensor): Tensor {
  return applyOp(logOp, [x]);
}

export function sqrt(x: Tensor): Tensor {
  return applyOp(sqrtOp, [x]);
}

/** σ(x) = 1 / (1 + e^−x). */
export function sigmoid(x: Tensor): Tensor {
  return applyOp(sigmoidOp, [x]);
}

export function tanh(x: Tensor): Tensor {
  return applyOp(tanhOp, [x]);
}

/** The error function: 2/√π times the integral of e^(−t²) from 0 to x. */
export function erf(x: Tensor): Tensor {
  return applyOp(erfOp, [x]);
}

/** SiLU: x · σ(x) (Elfwing et al. 2017, arXiv:1702.03118). */
export function silu(x: Tensor): Tensor {
  return mul(x, sigmoid(x));
}

/** `a` where `condition` (bool) is true, else `b`; all broadcast. */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  return applyOp(whereOp, [condition, ...operands(a, b)]);
}

/** Converts the element type. Float to int truncates; nonzero becomes true. */
export function cast(x: Tensor, to: DType): Tensor {
  return x.dtype === to ? x : applyOp(castOp, [x], { to });
}

function operands(a: Operand, b: Operand): [Tensor, Tensor] {
  const dtype = typeof a === "number" ? (typeof b === "number" ? "float32" : b.dtype) : a.dtype;
  return [asTensor(a, dtype), asTensor(b, dtype)];
}

function keepsShape(kept: Tensor, dropped: Tensor): boolean {
  return sameShape(kept.shape, broadcastShapes("mul", kept.shape, dropped.shape as Shape));
}

function requireFloat(where: string, dtype: DType): void {
  if (dtype !== "float32") throw new DTypeError(`${where}: input must be float32, got ${dtype}; use cast`);
}
