import type { Rng } from "../tensor/random.js";

/**
 * Columns of (rows, columns), made orthonormal by Gram–Schmidt, each twice for accuracy, in float64. Columns that those before them span
 * become zero, or others that are drawn from `rng`. Row-major.
 */
export function orthonormalColumns(values: Float32Array, rows: number, columns: number, rng?: Rng): Float32Array {
  const basis: Float64Array[] = [];
  for (let column = 0; column < columns; column++) {
    const given = Float64Array.from({ length: rows }, (_, row) => values[row * columns + column]!);
    let vector = awayFrom(basis, given);
    while (vector === null && rng !== undefined)
      vector = awayFrom(
        basis,
        Float64Array.from(given, () => rng.normal()),
      );
    basis.push(vector ?? new Float64Array(rows));
  }
  const result = new Float32Array(rows * columns);
  for (const [column, vector] of basis.entries()) {
    for (let row = 0; row < rows; row++) result[row * columns + column] = vector[row]!;
  }
  return result;
}

/** The part of a vector that is orthogonal to the basis, of length 1; null where that is rounding noise of float32. */
function awayFrom(basis: readonly Float64Array[], given: Float64Array): Float64Array | null {
  const vector = given.slice();
  for (let pass = 0; pass < 2; pass++) {
    for (const other of basis) {
      let overlap = 0;
      for (let row = 0; row < vector.length; row++) overlap += vector[row]! * other[row]!;
      for (let row = 0; row < vector.length; row++) vector[row]! -= overlap * other[row]!;
    }
  }
  const [before, after] = [norm(given), norm(vector)];
  return after > 1e-5 * before && after > 0 ? vector.map((value) => value / after) : null;
}

function norm(vector: Float64Array): number {
  return Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
}
