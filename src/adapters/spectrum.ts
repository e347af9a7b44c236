import { Matrix, QrDecomposition, SVD } from "#matrix";
import { COUNT, listOf, OBJECT, requireArguments, requireEach } from "../base/arguments.js";
import { sub } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import { tensor } from "../tensor/tensor.js";
import type { LowRankTerm } from "./low-rank-term.js";
import { countEigenvaluesAbove, symmetricEigenvalues } from "./symmetric-eigenvalues.js";

/**
 * Singular values, largest first, of Σ scaling · B · A. At most the sum of the ranks can be non-zero; counting those
 * above a threshold is the ReLoRA paper's measure of rank (Lialin et al. 2023, arXiv:2307.05695, section 4).
 */
export function singularValues(terms: readonly LowRankTerm[], outFeatures: number, inFeatures: number): number[] {
  requireArguments("singularValues", { terms: listOf(OBJECT) }, { terms });
  requireEach("singularValues", COUNT, { outFeatures, inFeatures });
  const left = hstack(terms.map(({ loraB, scaling }) => Matrix.mul(matrixOf(loraB, outFeatures), scaling)));
  const right = hstack(terms.map(({ loraA }) => matrixOf(loraA, loraA.length / inFeatures).transpose()));
  // The orthogonal factors of B = Q₁R₁ and Aᵀ = Q₂R₂ change no singular value, which leaves the small R₁R₂ᵀ.
  return new SVD(triangular(left).mmul(triangular(right).transpose()), {
    computeLeftSingularVectors: false,
    computeRightSingularVectors: false,
    autoTranspose: true,
  }).diagonal;
}

/**
 * Singular values, largest first, of a whole matrix of `rows` rows, row-major: the square roots of the eigenvalues of
 * A·Aᵀ, which are quickly found. Below about 1e-8 of the largest they are noise, as is what float32 weights hold
 * there.
 */
export function matrixSingularValues(values: Float32Array, rows: number): number[] {
  const columns = values.length / rows;
  const [size, length, step, along] = rows <= columns ? [rows, columns, columns, 1] : [columns, rows, 1, columns];
  // The shorter side as rows of their own, in double precision.
  const lines = Float64Array.from({ length: size * length }, (_, i) => {
    return values[Math.floor(i / length) * step + (i % length) * along]!;
  });
  const products = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k < length; k++) sum += lines[i * length + k]! * lines[j * length + k]!;
      products[i * size + j] = sum;
      products[j * size + i] = sum;
    }
  }
  return Array.from(symmetricEigenvalues(products, size), (value) => Math.sqrt(Math.max(0, value)));
}

/**
 * Number of singular values of the change of a matrix that are above `threshold` times the largest; 0 for no change.
 * Meant for thresholds above 1e-3: the squares of smaller ones are lost in float32.
 * @param shape (rows, columns), row-major.
 */
export async function rankOfChange(
  before: Float32Array,
  after: Float32Array,
  [rows, columns]: readonly [number, number],
  threshold: number,
): Promise<number> {
  const change = sub(tensor(after, [rows, columns]), tensor(before, [rows, columns]));
  const shorter = rows <= columns ? { transposeB: true } : { transposeA: true };
  const products = Float64Array.from((await matmul(change, change, shorter).data()) as Float32Array);
  return countEigenvaluesAbove(products, Math.min(rows, columns), threshold ** 2);
}

/** R of a QR decomposition; a matrix with more columns than rows is small already. */
function triangular(matrix: Matrix): Matrix {
  return matrix.columns >= matrix.rows ? matrix : new QrDecomposition(matrix).upperTriangularMatrix;
}

function matrixOf(values: Float32Array, rows: number): Matrix {
  return Matrix.from1DArray(rows, values.length / rows, values);
}

function hstack(parts: readonly Matrix[]): Matrix {
  const joined = new Matrix(
    parts[0]!.rows,
    parts.reduce((total, { columns }) => total + columns, 0),
  );
  let column = 0;
  for (const part of parts) {
    joined.setSubMatrix(part, 0, column);
    column += part.columns;
  }
  return joined;
}
