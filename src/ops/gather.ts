import { DTypeError, ShapeError } from "../tensor/errors.js";
import { formatShape } from "../tensor/shape.js";
import { applyOp, type Op, type Tensor, type TensorSpec } from "../tensor/tensor.js";
import { constant } from "./constant.js";
import { broadcastTo, reshape } from "./movement.js";

/** Rows of a table: table (n, d), indices (m) int32 → (m, d). */
export const gatherRowsOp: Op = {
  name: "gatherRows",
  infer: ([table, indices]) => {
    requireIndices("gatherRows", table!, indices!);
    return { shape: [indices!.shape[0]!, table!.shape[1]!], dtype: table!.dtype };
  },
  vjp: (dy, [table, indices]) => [scatterAddRows(broadcastTo(constant(0), table!.shape), indices!, dy), undefined],
  reference: (y, [table, indices], { shape }) => {
    const [rows, width] = shape as [number, number];
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < width; j++) y[i * width + j] = table![indices![i]! * width + j]!;
    }
  },
};

/** base (n, d) with rows (m, d) added at indices (m); equal indices add up. */
export const scatterAddRowsOp: Op = {
  name: "scatterAddRows",
  infer: ([base, indices, rows]) => {
    requireIndices("scatterAddRows", base!, indices!);
    if (rows!.shape.length !== 2 || rows!.shape[0] !== indices!.shape[0] || rows!.shape[1] !== base!.shape[1]) {
      throw new ShapeError(
        `scatterAddRows: rows must be (${indices!.shape[0]}, ${base!.shape[1]}), got ${formatShape(rows!.shape)}`,
      );
    }
    return { shape: base!.shape, dtype: base!.dtype };
  },
  vjp: (dy, [, indices]) => [dy, undefined, gatherRows(dy, indices!)],
  reference: (y, [base, indices, rows], { inputShapes }) => {
    const [count, width] = inputShapes[2] as [number, number];
    y.set(base!);
    for (let i = 0; i < count; i++) {
      for (let j = 0; j < width; j++) y[indices![i]! * width + j]! += rows![i * width + j]!;
    }
  },
};

/** One element of each row: x (m, n), indices (m) int32 → (m, 1). */
export const takePerRowOp: Op = {
  name: "takePerRow",
  infer: ([x, indices]) => {
    requireIndices("takePerRow", x!, indices!);
    if (x!.shape[0] !== indices!.shape[0]) {
      throw new ShapeError(`takePerRow: needs one index a row, got ${indices!.shape[0]} for ${x!.shape[0]} rows`);
    }
    return { shape: [x!.shape[0]!, 1], dtype: x!.dtype };
  },
  vjp: (dy, [x, indices]) => {
    const [rows, columns] = x!.shape as [number, number];
    return [putPerRow(dy, indices!, rows, columns), undefined];
  },
  reference: (y, [x, indices], { inputShapes }) => {
    const columns = inputShapes[0]![1]!;
    for (let i = 0; i < y.length; i++) y[i] = x![i * columns + indices![i]!]!;
  },
};

/** Zeros (m, columns) with one value a row: values (m, 1) at column indices (m). */
export const putPerRowOp: Op = {
  name: "putPerRow",
  infer: ([values, indices], { columns }) => {
    requireIndices("putPerRow", values!, indices!);
    return { shape: [values!.shape[0]!, columns as number], dtype: values!.dtype };
  },
  vjp: (dy, [, indices]) => [takePerRow(dy, indices!), undefined],
  reference: (y, [values, indices], { shape }) => {
    y.fill(0);
    for (let i = 0; i < shape[0]!; i++) y[i * shape[1]! + indices![i]!] = values![i]!;
  },
};

/** Rows of `table` (n, d) at `indices` (any shape, int32, 0 ≤ i < n) → (…indices.shape, d). The embedding lookup. */
export function gatherRows(table: Tensor, indices: Tensor): Tensor {
  const flat = reshape(indices, [indices.size]);
  return reshape(applyOp(gatherRowsOp, [table, flat]), [...indices.shape, table.shape[1] ?? 0]);
}

/** `base` (n, d) plus `rows` (m, d) added at `indices` (m). */
export function scatterAddRows(base: Tensor, indices: Tensor, rows: Tensor): Tensor {
  return applyOp(scatterAddRowsOp, [base, indices, rows]);
}

/** x (m, n) at one column index a row (m) → (m, 1). */
export function takePerRow(x: Tensor, indices: Tensor): Tensor {
  return applyOp(takePerRowOp, [x, indices]);
}

function putPerRow(values: Tensor, indices: Tensor, rows: number, columns: number): Tensor {
  return applyOp(putPerRowOp, [reshape(values, [rows, 1]), indices], { columns });
}

function requireIndices(where: string, table: TensorSpec, indices: TensorSpec): void {
  if (indices.dtype !== "int32") throw new DTypeError(`${where}: indices must be int32, got ${indices.dtype}`);
  if (table.shape.length !== 2 || indices.shape.length !== 1) {
    throw new ShapeError(
      `${where}: needs a matrix and a list of indices, got ${formatShape(table.shape)} and ${formatShape(indices.shape)}`,
    );
  }
}
