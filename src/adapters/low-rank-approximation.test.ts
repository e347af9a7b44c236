import { Matrix, SVD } from "ml-matrix";
import { afterAll, describe, expect, test } from "vitest";
import { clearEvaluationCache } from "../runtime/evaluate.js";
import { Rng } from "../tensor/random.js";
import { approximateLowRank } from "./low-rank-approximation.js";

afterAll(clearEvaluationCache);

const [OUT, IN, ROWS] = [24, 18, 40];

function random(length: number, seed: number): Float32Array {
  const rng = new Rng(seed);
  return Float32Array.from({ length }, () => rng.normal());
}

/** Inputs that point mostly into few directions, as activations do. */
function anisotropicInputs(): Float32Array {
  const data = random(ROWS * IN, 2);
  return data.map((value, i) => value * 0.6 ** (i % IN));
}

/** ‖X (M − left · right)ᵀ‖², or without inputs ‖M − left · right‖². */
function remaining(matrix: Float32Array, left: Float32Array, right: Float32Array, inputs?: Float32Array): number {
  const rank = left.length / OUT;
  const rest = Matrix.sub(
    Matrix.from1DArray(OUT, IN, matrix),
    Matrix.from1DArray(OUT, rank, left).mmul(Matrix.from1DArray(rank, IN, right)),
  );
  const seen = inputs === undefined ? rest : Matrix.from1DArray(ROWS, IN, inputs).mmul(rest.transpose());
  return seen.norm("frobenius") ** 2;
}

/** What the best approximation leaves, by the singular values of X Mᵀ (Eckart and Young 1936). */
function leastRemaining(matrix: Float32Array, rank: number, inputs?: Float32Array): number {
  const m = Matrix.from1DArray(OUT, IN, matrix);
  const seen = inputs === undefined ? m : Matrix.from1DArray(ROWS, IN, inputs).mmul(m.transpose());
  return new SVD(seen, { autoTranspose: true }).diagonal.slice(rank).reduce((sum, value) => sum + value ** 2, 0);
}

describe("approximateLowRank", () => {
  const matrix = random(OUT * IN, 1);

  test.each([1, 4, 12])("at rank %i leaves hardly more than the best approximation does", async (rank) => {
    const { left, right } = await approximateLowRank(matrix, [OUT, IN], rank, new Rng(3));
    expect(remaining(matrix, left, right)).toBeLessThan(1.05 * leastRemaining(matrix, rank));
  });

  test.each([1, 4, 12])("with inputs and rank %i does so for what the inputs see", async (rank) => {
    const data = anisotropicInputs();
    const { left, right } = await approximateLowRank(matrix, [OUT, IN], rank, new Rng(3), { rows: ROWS, data });
    const best = leastRemaining(matrix, rank, data);
    expect(remaining(matrix, left, right, data)).toBeLessThan(1.01 * best);
    const blind = await approximateLowRank(matrix, [OUT, IN], rank, new Rng(3));
    expect(remaining(matrix, blind.left, blind.right, data)).toBeGreaterThan(2 * best);
  });

  test("has orthonormal columns, and zero ones where the matrix needs fewer", async () => {
    const [u, v] = [random(OUT, 5), random(IN, 6)];
    const rankOne = Float32Array.from({ length: OUT * IN }, (_, i) => u[Math.floor(i / IN)]! * v[i % IN]!);
    const { left, right } = await approximateLowRank(rankOne, [OUT, IN], 3, new Rng(3));
    const gram = Matrix.from1DArray(OUT, 3, left)
      .transpose()
      .mmul(Matrix.from1DArray(OUT, 3, left));
    expect(gram.get(0, 0)).toBeCloseTo(1, 6);
    expect([gram.get(1, 1), gram.get(2, 2)]).toEqual([0, 0]);
    expect(remaining(rankOne, left, right)).toBeLessThan(
      1e-9 *
        remaining(
          rankOne,
          left.map(() => 0),
          right,
        ),
    );
  });
});
