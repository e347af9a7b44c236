import { DTypeError, ShapeError } from "../base/errors.js";
import { broadcastShapes, broadcastStrides, formatShape, sizeOf } from "../tensor/shape.js";
import { applyOp, type Op, type Tensor } from "../tensor/tensor.js";
import { sumTo } from "./broadcast.js";

export interface MatmulOptions {
  /** Read the last two axes of `a` swapped. */
  readonly transposeA?: boolean;
  /** Read the last two axes of `b` swapped, as in y = x Wᵀ for a weight of shape (out, in). */
  readonly transposeB?: boolean;
}

export const matmulOp: Op = {
  name: "matmul",
  infer: ([a, b], { transposeA, transposeB }) => {
    if (a!.dtype !== "float32" || b!.dtype !== "float32") {
      throw new DTypeError(`matmul: both sides must be float32, got ${a!.dtype} and ${b!.dtype}`);
    }
    if (a!.shape.length < 2 || b!.shape.length < 2) {
      throw new ShapeError(
        `matmul: both sides need at least 2 axes, ` +
          `got ${formatShape(a!.shape)} and ${formatShape(b!.shape)}; use reshape`,
      );
    }
    const [rows, inner] = matrixOf(a!.shape, transposeA as boolean);
    const [innerB, columns] = matrixOf(b!.shape, transposeB as boolean);
    if (inner !== innerB) {
      const flags = `${transposeA ? ", left transposed" : ""}${transposeB ? ", right transposed" : ""}`;
      throw new ShapeError(
        `matmul: inner dimensions differ: left is ${formatShape(a!.shape)}, right is ${formatShape(b!.shape)}${flags}`,
      );
    }
    const batch = broadcastShapes("matmul", a!.shape.slice(0, -2), b!.shape.slice(0, -2));
    return { shape: [...batch, rows, columns], dtype: "float32" };
  },
  vjp: (dy, [a, b], y) => {
    const { transposeA, transposeB } = y.attributes as { transposeA: boolean; transposeB: boolean };
    const da = transposeA
      ? matmul(b!, dy, { transposeA: transposeB, transposeB: true })
      : matmul(dy, b!, { transposeB: !transposeB });
    const db = transposeB
      ? matmul(dy, a!, { transposeA: true, transposeB: transposeA })
      : matmul(a!, dy, { transposeA: !transposeA });
    return [sumTo(da, a!.shape), sumTo(db, b!.shape)];
  },
  reference: (y, [a, b], { shape, inputShapes, attributes }) => {
    const batch = shape.slice(0, -2);
    const [rows, inner] = matrixOf(inputShapes[0]!, attributes.transposeA as boolean);
    const columns = shape.at(-1)!;
    const [aRow, aInner] = attributes.transposeA ? [1, rows] : [inner, 1];
    const [bInner, bColumn] = attributes.transposeB ? [1, inner] : [columns, 1];
    const aBatch = broadcastStrides(inputShapes[0]!.slice(0, -2), batch).map((stride) => stride * rows * inner);
    const bBatch = broadcastStrides(inputShapes[1]!.slice(0, -2), batch).map((stride) => stride * inner * columns);
    for (let matrix = 0; matrix < sizeOf(batch); matrix++) {
      let [aAt, bAt, rest] = [0, 0, matrix];
      for (let axis = batch.length - 1; axis >= 0; axis--) {
        const index = rest % batch[axis]!;
        rest = Math.floor(rest / batch[axis]!);
        aAt += index * aBatch[axis]!;
        bAt += index * bBatch[axis]!;
      }
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < columns; j++) {
          let total = 0;
          for (let k = 0; k < inner; k++)
            total += a![aAt + i * aRow + k * aInner]! * b![bAt + k * bInner + j * bColumn]!;
          y[(matrix * rows + i) * columns + j] = total;
        }
      }
    }
  },
};

/** Matrix product over the last two axes, batched and broadcast over the others: (…, m, k) · (…, k, n) → (…, m, n). */
export function matmul(a: Tensor, b: Tensor, { transposeA = false, transposeB = false }: MatmulOptions = {}): Tensor {
  return applyOp(matmulOp, [a, b], { transposeA, transposeB });
}

/** (rows, columns) of the last two axes as they are read. */
function matrixOf(shape: readonly number[], transposed: boolean): [number, number] {
  const [rows, columns] = [shape.at(-2)!, shape.at(-1)!];
  return transposed ? [columns, rows] : [rows, columns];
}
