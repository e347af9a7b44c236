import { Matrix, SVD } from "ml-matrix";
import "../runtime/evaluate.js";
import { describe, expect, test } from "vitest";
import { Rng } from "../tensor/random.js";
import type { LowRankTerm } from "./low-rank-term.js";
import { matrixSingularValues, rankOfChange, singularValues } from "./spectrum.js";

const term = (scaling: number, loraB: number[], loraA: number[], rank = 1): LowRankTerm => ({
  rank,
  scaling,
  loraA: Float32Array.from(loraA),
  loraB: Float32Array.from(loraB),
});

/** As many values as there may be, those beyond `expected` zero. */
function expectSpectrum(actual: readonly number[], expected: readonly number[]): void {
  for (const [i, value] of actual.entries()) expect(value).toBeCloseTo(expected[i] ?? 0, 6);
  expect(actual.length).toBeGreaterThanOrEqual(expected.length);
}

/** Columns of an orthogonal matrix, by Gram–Schmidt on random vectors. */
function orthonormal(count: number, length: number, seed: number): number[][] {
  const rng = new Rng(seed, "basis");
  const basis: number[][] = [];
  while (basis.length < count) {
    let vector = Array.from({ length }, () => rng.normal());
    for (let pass = 0; pass < 2; pass++) {
      for (const other of basis) {
        const along = other.reduce((total, value, i) => total + value * vector[i]!, 0);
        vector = vector.map((value, i) => value - along * other[i]!);
      }
    }
    const norm = Math.hypot(...vector);
    basis.push(vector.map((value) => value / norm));
  }
  return basis;
}

describe("singularValues", () => {
  test("of an outer product is the product of the lengths", () => {
    expectSpectrum(singularValues([term(2, [3, 4], [1, 2, 2])], 2, 3), [2 * 5 * 3]);
  });

  test("of a diagonal are its entries' sizes, largest first", () => {
    expectSpectrum(singularValues([term(1, [1, 0, 0, 1, 0, 0], [0.5, 0, 0, 0, 0, -7, 0, 0], 2)], 3, 4), [7, 0.5]);
  });

  test("of terms on orthogonal directions are those of the terms together", () => {
    const [u, v] = [orthonormal(5, 40, 1), orthonormal(5, 23, 2)];
    const sizes = [9, 4, 2, 1, 0.25];
    const terms = sizes.map((size, i) =>
      term(
        size / 2,
        u[i]!.map((value) => 2 * value),
        v[i]!,
      ),
    );
    expectSpectrum(singularValues(terms, 40, 23), sizes);
  });

  test("falls back to fewer where later terms undo earlier ones", () => {
    const [u, v] = [orthonormal(2, 6, 1), orthonormal(2, 5, 2)];
    const terms = [term(3, u[0]!, v[0]!), term(2, u[1]!, v[1]!), term(-3, u[0]!, v[0]!)];
    expectSpectrum(singularValues(terms, 6, 5), [2]);
  });

  test("copes with more ranks in sum than the matrix has rows", () => {
    const terms = Array.from({ length: 9 }, (_, i) => term(1, [1, i], [i, 1, 0]));
    // Σ B A = [[Σi, 9, 0], [Σi², Σi, 0]] = [[36, 9], [204, 36]]: s₁² + s₂² = 44289, s₁ s₂ = 540.
    const largest = Math.sqrt((44289 + Math.sqrt(44289 ** 2 - 4 * 540 ** 2)) / 2);
    expectSpectrum(singularValues(terms, 2, 3), [largest, 540 / largest]);
  });
});

describe("matrixSingularValues", () => {
  // Rows (3, 0) and (4, 5): the eigenvalues of A·Aᵀ = [[9, 12], [12, 41]] are 45 and 5.
  test("of a square matrix, by hand", () => {
    expectSpectrum(matrixSingularValues(Float32Array.of(3, 0, 4, 5), 2), [Math.sqrt(45), Math.sqrt(5)]);
  });

  test("are the same for a matrix and its transpose, as many as its smaller side", () => {
    const wide = matrixSingularValues(Float32Array.of(3, 0, 0, 0, 0, 4), 2);
    const tall = matrixSingularValues(Float32Array.of(3, 0, 0, 0, 0, 4), 3);
    expect(wide).toHaveLength(2);
    expectSpectrum(wide, [4, 3]);
    expect(tall).toHaveLength(2);
    expectSpectrum(
      tall,
      [Math.sqrt(9), 4].sort((a, b) => b - a),
    );
  });

  test("agree with those of an SVD", () => {
    const rng = new Rng(1, "matrix");
    const [rows, columns] = [24, 37];
    const values = Float32Array.from({ length: rows * columns }, () => rng.normal());
    const expected = new SVD(Matrix.from1DArray(rows, columns, values), { autoTranspose: true }).diagonal;
    const actual = matrixSingularValues(values, rows);
    expect(actual).toHaveLength(rows);
    for (const [i, value] of actual.entries()) expect(value).toBeCloseTo(expected[i]!, 10);
  });

  test("of matrices with nothing in them, or nothing but a diagonal", () => {
    expect(matrixSingularValues(new Float32Array(6), 2)).toEqual([0, 0]);
    expectSpectrum(matrixSingularValues(Float32Array.of(0, 0, 0, 0, 0, -2, 7, 0, 0), 3), [7, 2, 0]);
    expectSpectrum(matrixSingularValues(Float32Array.of(3, 0, 0, 3), 2), [3, 3]);
    expectSpectrum(matrixSingularValues(Float32Array.of(-3), 1), [3]);
  });

  test("agree with those of a product of known factors", () => {
    const terms = [term(0.5, [1, 2, 3, 4], [1, 0, -1])];
    const product = [1, 2, 3, 4].flatMap((b) => [1, 0, -1].map((a) => 0.5 * b * a));
    const [largest, ...rest] = matrixSingularValues(Float32Array.from(product), 4);
    expect(largest).toBeCloseTo(singularValues(terms, 4, 3)[0]!, 6);
    for (const value of rest) expect(value).toBeCloseTo(0, 6);
  });
});

test.each([
  ["tall", 40, 23],
  ["wide", 23, 40],
])(
  "rankOfChange counts the singular values of a %s change above the share of the largest",
  async (_, rows, columns) => {
    const [u, v] = [orthonormal(5, rows, 1), orthonormal(5, columns, 2)];
    const rng = new Rng(5);
    const before = Float32Array.from({ length: rows * columns }, () => 0.05 * rng.normal());
    const after = before.slice();
    for (const [k, size] of [9, 4, 1, 0.1, 0.05].entries()) {
      for (let i = 0; i < after.length; i++) after[i]! += size * u[k]![Math.floor(i / columns)]! * v[k]![i % columns]!;
    }
    expect(await rankOfChange(before, after, [rows, columns], 0.01)).toBe(4);
    expect(await rankOfChange(before, after, [rows, columns], 0.2)).toBe(2);
    expect(await rankOfChange(before, before, [rows, columns], 0.01)).toBe(0);
  },
);
