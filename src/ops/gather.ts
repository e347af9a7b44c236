import { DTypeError, ShapeError } from "../base/errors.js";
import { formatShape } from "../tensor/shape.js";
import { applyOp, type Op, type Tensor, type TensorSpec } from "../tensor/tensor.js";
import { broadcastOp, broadcastTo } from "./broadcast.js";
import { constant, isConstant } from "./constant.js";
import { reshape } from "./movement.js";

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

/** base (n, d) with rows (m, d) added at indices (m); repeated indices add up. */
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

/** One element per row: x (m, n), indices (m) int32 → (m, 1). */
export const takePerRowOp: Op = {
  name: "takePerRow",
  infer: ([x, indices]) => {
    requireIndices("takePerRow", x!, indices!);
    if (x!.shape[0] !== indices!.shape[0]) {
      throw new ShapeError(`takePerRow: needs one index a row, got ${indices!.shape[0]} for ${x!.shape[0]} rows`);
    }
    return { shape: [x!.shape[0]!, 1], dtype: x!.dtype };
  },
  vjp: (dy, [x, indices]) => [addPerRow(broadcastTo(constant(0), x!.shape), indices!, dy), undefined],
  reference: (y, [x, indices], { inputShapes }) => {
    const columns = inputShapes[0]![1]!;
    for (let i = 0; i < y.length; i++) y[i] = x![i * columns + indices![i]!]!;
  },
};

/** One value added per row: x (m, n), indices (m), values (m, 1) → (m, n) with x[i, indices[i]] + values[i]. */
export const addPerRowOp: Op = {
  name: "addPerRow",
  infer: ([x, indices, values]) => {
    requireIndices("addPerRow", x!, indices!);
    const rows = x!.shape[0]!;
    if (indices!.shape[0] !== rows || formatShape(values!.shape) !== formatShape([rows, 1])) {
      throw new ShapeError(
        `addPerRow: needs indices (${rows}) and values (${rows}, 1), ` +
          `got ${formatShape(indices!.shape)} and ${formatShape(values!.shape)}`,
      );
    }
    return x!;
  },
  vjp: (dy, [, indices]) => [dy, undefined, takePerRow(dy, indices!)],
  reference: (y, [x, indices, values], { shape }) => {
    y.set(x!);
    for (let i = 0; i < shape[0]!; i++) y[i * shape[1]! + indices![i]!]! += values![i]!;
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

/** x (m, n) at one column index per row (m) → (m, 1). */
export function takePerRow(x: Tensor, indices: Tensor): Tensor {
  return applyOp(takePerRowOp, [x, indices]);
}

/** x (m, n) with values (m, 1) added at one column index per row. */
export function addPerRow(x: Tensor, indices: Tensor, values: Tensor): Tensor {
  return applyOp(addPerRowOp, [x, indices, values]);
}

/** Indices and rows when `x` is, by construction, zeros with rows added: the gradient of an embedding lookup. */
export function scatteredRows(x: Tensor): { indices: Tensor; rows: Tensor } | undefined {
  if (x.op !== scatterAddRowsOp) return undefined;
  const [base, indices, rows] = x.inputs as [Tensor, Tensor, Tensor];
  const isZero = base.op === broadcastOp && isConstant(base.inputs[0]!, 0);
  return isZero ? { indices, rows } : undefined;
}

function requireIndices(where: string, table: TensorSpec, indices: TensorSpec): void {
  if (indices.dtype !== "int32") throw new DTypeError(`${where}: indices must be int32, got ${indices.dtype}`);
  if (table.shape.length !== 2 || indices.shape.length !== 1) {
    throw new ShapeError(
      `${where}: needs a matrix and a list of indices, ` +
        `got ${formatShape(table.shape)} and ${formatShape(indices.shape)}`,
    );
  }
}
