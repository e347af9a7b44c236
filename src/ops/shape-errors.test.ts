import { describe, expect, test } from "vitest";
import { grad } from "../autograd/grad.js";
import { DTypeError, ShapeError } from "../base/errors.js";
import { placeholder, tensor } from "../tensor/tensor.js";
import * as ops from "./index.js";

const f = (...shape: number[]) => placeholder("f", shape);
const i = (...shape: number[]) => placeholder("i", shape, "int32");

const SHAPES: readonly (readonly [message: string, build: () => unknown])[] = [
  ["add: shapes (2, 3) and (2, 4) do not broadcast: sizes 3 and 4 differ", () => ops.add(f(2, 3), f(2, 4))],
  ["matmul: inner dimensions differ: left is (2, 3), right is (4, 5)", () => ops.matmul(f(2, 3), f(4, 5))],
  [
    "matmul: inner dimensions differ: left is (2, 3), right is (3, 4), left transposed, right transposed",
    () => ops.matmul(f(2, 3), f(3, 4), { transposeA: true, transposeB: true }),
  ],
  ["matmul: both sides need at least 2 axes, got (3) and (3, 2); use reshape", () => ops.matmul(f(3), f(3, 2))],
  ["matmul: shapes (2) and (3) do not broadcast", () => ops.matmul(f(2, 4, 5), f(3, 5, 4))],
  ["reshape: (2, 3) has 6 elements, (4) needs 4", () => ops.reshape(f(2, 3), [4])],
  ["transpose: permutation [0,0] must name each axis of (2, 3) once", () => ops.transpose(f(2, 3), [0, 0])],
  ["transpose: permutation [0,2] must name each axis of (2, 3) once", () => ops.transpose(f(2, 3), [0, 2])],
  ["broadcastTo: (2, 3) cannot become (2, 1)", () => ops.broadcastTo(f(2, 3), [2, 1])],
  ["slice: must have 0 ≤ start ≤ end ≤ 3 on axis 1, got start 1, end 4", () => ops.slice(f(2, 3), 1, 1, 4)],
  ["slice: axis must be from -2 to 1 for a tensor of rank 2, got 2", () => ops.slice(f(2, 3), 2, 0, 1)],
  ["pad: axis must be from -1 to 0 for a tensor of rank 1, got -2", () => ops.pad(f(2), -2, 0, 1)],
  ["sum: an axis is given twice in [1,-1]", () => ops.sum(f(2, 3), { axes: [1, -1] })],
  ["concat: inputs must agree in dtype and on every axis but 0", () => ops.concat([f(2, 3), f(2, 4)], 0)],
  ["concat: inputs must agree", () => ops.concat([f(2, 3), i(2, 3)], 0)],
  ["concat: needs at least one tensor", () => ops.concat([], 0)],
  ["gatherRows: needs a matrix and a list of indices, got (2, 3, 4) and (5)", () => ops.gatherRows(f(2, 3, 4), i(5))],
  ["takePerRow: needs one index a row, got 3 for 2 rows", () => ops.takePerRow(f(2, 4), i(3))],
  ["scatterAddRows: rows must be (5, 4), got (5, 3)", () => ops.scatterAddRows(f(2, 4), i(5), f(5, 3))],
  ["rmsNorm: needs (n, d) and a weight of (d), got (2, 4) and (3)", () => ops.rmsNorm(f(2, 4), f(3), 1e-6)],
  ["inverseRms: needs (n, d), got (2, 3, 4)", () => ops.inverseRms(f(2, 3, 4), 1e-6)],
  ["rotary: needs x (batch, time, heads · headDim)", () => ops.rotary(f(1, 3, 6), f(3, 2), f(3, 2))],
  ["softmax: needs at least one axis, got ()", () => ops.softmax(f())],
  ["tensor: shape (2, 2) holds 4 elements, got 3", () => tensor([1, 2, 3], [2, 2])],
  ["grad: loss must have one element, has shape (2, 3); reduce it with sum or mean", () => grad(f(2, 3), [])],
];

const DTYPES: readonly (readonly [message: string, build: () => unknown])[] = [
  ["mul: both sides must have the same dtype, got float32 and int32; use cast", () => ops.mul(f(2), i(2))],
  ["exp: input must be float32, got int32; use cast", () => ops.exp(i(2))],
  ["matmul: both sides must be float32, got float32 and int32", () => ops.matmul(f(2, 2), i(2, 2))],
  ["where: condition must be bool, got float32", () => ops.where(f(2), f(2), f(2))],
  ["where: branches must have one dtype", () => ops.where(ops.less(f(2), 0), f(2), i(2))],
  ["gatherRows: indices must be int32, got float32", () => ops.gatherRows(f(2, 2), f(2))],
];

describe("an impossible graph is refused when it is built, and the message says where and what came", () => {
  test.each(SHAPES)("%s", (message, build) => {
    expect(build).toThrow(ShapeError);
    expect(build).toThrow(message);
  });
  test.each(DTYPES)("%s", (message, build) => {
    expect(build).toThrow(DTypeError);
    expect(build).toThrow(message);
  });
});
