import type { Rng } from "../tensor/random.js";
import { transposedElements } from "../tensor/transposed.js";

/**
 * Rows of (rows, columns), made orthonormal by Gram–Schmidt, each twice for accuracy, in float64. Rows that those
 * before them span become zero, or others that are drawn from `rng`. Row-major.
 */
export function orthonormalRows(values: Float32Array, rows: number, columns: number, rng?: Rng): Float32Array {
  const basis: Float64Array[] = [];
  const result = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    let vector = awayFrom(basis, Float64Array.from(values.subarray(row * columns, (row + 1) * columns)));
    while (vector === null && rng !== undefined) {
      vector = awayFrom(
        basis,
        Float64Array.from({ length: columns }, () => rng.normal()),
      );
    }
    basis.push(vector ?? new Float64Array(columns));
    result.set(basis[row]!, row * columns);
  }
  return result;
}

/** As `orthonormalRows`, for the columns. */
export function orthonormalColumns(values: Float32Array, rows: number, columns: number, rng?: Rng): Float32Array {
  return transposedElements(
    orthonormalRows(transposedElements(values, rows, columns), columns, rows, rng),
    columns,
    rows,
  );
}

/** The L2 norm, summed in float64. */
export function norm(vector: Float32Array | Float64Array): number {
  let squares = 0;
  for (const value of vector) squares += value * value;
  return Math.sqrt(squares);
}

/** The part of a vector that is orthogonal to the basis, of length 1; null where that is rounding noise of float32. */
function awayFrom(basis: readonly Float64Array[], given: Float64Array): Float64Array | null {
  const vector = given.slice();
  for (let pass = 0; pass < 2; pass++) {
    for (const other of basis) {
      let overlap = 0;
      for (let i = 0; i < vector.length; i++) overlap += vector[i]! * other[i]!;
      for (let i = 0; i < vector.length; i++) vector[i]! -= overlap * other[i]!;
    }
  }
  const [before, after] = [norm(given), norm(vector)];
  return after > 1e-5 * before && after > 0 ? vector.map((value) => value / after) : null;
}
