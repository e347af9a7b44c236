import { Matrix, QrDecomposition, SVD } from "ml-matrix";
import type { LowRankTerm } from "./low-rank-term.js";

/**
 * Singular values, largest first, of Σ scaling · B · A. At most the sum of the ranks can be non-zero; counting those
 * above a threshold is the ReLoRA paper's measure of rank (Lialin et al. 2023, arXiv:2307.05695, section 4).
 */
export function singularValues(terms: readonly LowRankTerm[], outFeatures: number, inFeatures: number): number[] {
  const left = hstack(terms.map(({ loraB, scaling }) => Matrix.mul(matrixOf(loraB, outFeatures), scaling)));
  const right = hstack(terms.map(({ loraA }) => matrixOf(loraA, loraA.length / inFeatures).transpose()));
  // The orthogonal factors of B = Q₁R₁ and Aᵀ = Q₂R₂ change no singular value, which leaves the small R₁R₂ᵀ.
  return valuesOf(triangular(left).mmul(triangular(right).transpose()));
}

/** Singular values, largest first, of a whole matrix of `rows` rows, row-major. */
export function matrixSingularValues(values: Float32Array, rows: number): number[] {
  const matrix = matrixOf(values, rows);
  return valuesOf(triangular(matrix.rows < matrix.columns ? matrix.transpose() : matrix));
}

function valuesOf(matrix: Matrix): number[] {
  return new SVD(matrix, {
    computeLeftSingularVectors: false,
    computeRightSingularVectors: false,
    autoTranspose: true,
  }).diagonal;
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
