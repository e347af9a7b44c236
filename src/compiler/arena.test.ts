import { describe, expect, test } from "vitest";
import { add, matmul, mul, sigmoid, softmax } from "../ops/index.js";
import { placeholder, type Tensor } from "../tensor/tensor.js";
import { arenaUse } from "./arena.js";
import { compileGraph, PROFILES } from "./compile.js";

let leaves = 0;
const leaf = (...shape: number[]): Tensor => placeholder(`x${leaves++}`, shape);

const product = (rows: number, columns: number): Tensor => matmul(leaf(rows, 8), leaf(8, columns));
/** One value, from all of `x`. */
const sumOf = (x: Tensor): Tensor => matmul(matmul(leaf(1, x.shape[0]!), x), leaf(x.shape[1]!, 1));

function mebibytes(y: Tensor): number {
  return Math.round(arenaUse(compileGraph({ y }, PROFILES.cpu)).bytes / 2 ** 20);
}

describe("arenaUse", () => {
  test("some operators overwrite their input, arithmetic does not", () => {
    expect(mebibytes(sumOf(softmax(sigmoid(product(1024, 1024)))))).toBe(4);
    expect(mebibytes(sumOf(mul(product(1024, 1024), leaf(1024))))).toBe(8);
  });

  test("a shape that comes back is held in between", () => {
    const [first, wider] = [sumOf(product(2048, 1024)), sumOf(product(1024, 2048))];
    expect(mebibytes(add(first, wider))).toBe(8);
    expect(mebibytes(add(add(first, wider), sumOf(product(2048, 1024))))).toBe(16);
  });
});
