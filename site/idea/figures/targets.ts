import type { Rng } from "highrank";

/** Rows and columns of the matrix that is to be learned. */
export const SIZE = 32;

/** Singular values of a target by their place, from 0: a matrix of full rank each. */
export const SPECTRA = {
  even: () => 1,
  slow: (i: number) => 1 / Math.sqrt(i + 1),
  fast: (i: number) => 0.86 ** i,
} as const satisfies Readonly<Record<string, (i: number) => number>>;

export type Spectrum = keyof typeof SPECTRA;

/** A matrix, (SIZE, SIZE) row-major, with the singular values of a spectrum and random directions. */
export function targetOf(spectrum: Spectrum, rng: Rng): Float32Array {
  const [left, right] = [orthonormalRows(rng), orthonormalRows(rng)];
  const target = new Float64Array(SIZE * SIZE);
  for (let k = 0; k < SIZE; k++) {
    const value = SPECTRA[spectrum](k);
    for (let i = 0; i < target.length; i++) {
      target[i]! += value * left[k]![Math.floor(i / SIZE)]! * right[k]![i % SIZE]!;
    }
  }
  return Float32Array.from(target);
}

/** Gram and Schmidt's way from random rows. */
function orthonormalRows(rng: Rng): Float64Array[] {
  const rows: Float64Array[] = [];
  while (rows.length < SIZE) {
    const row = Float64Array.from({ length: SIZE }, () => rng.normal());
    for (const other of rows) {
      const along = dot(row, other);
      for (let i = 0; i < SIZE; i++) row[i]! -= along * other[i]!;
    }
    const length = Math.sqrt(dot(row, row));
    rows.push(row.map((value) => value / length));
  }
  return rows;
}

function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}
