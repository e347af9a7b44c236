import { NumericError } from "../tensor/errors.js";

const MAGNITUDE_BITS = 0x7fffffff;
const INFINITY_BITS = 0x7f800000;

/** The bits of float32 values, in place. */
export function bitsOf(values: Float32Array): Int32Array {
  return new Int32Array(values.buffer, values.byteOffset, values.length);
}

/**
 * The largest |x| of elements `start` to before `end`, given and returned as float32 bits: without the sign they are
 * ordered as the magnitudes are, and NaN, which is lost in comparisons of floats, comes out on top.
 */
export function largestMagnitude(bits: Int32Array, start: number, end: number): number {
  // Each maximum is a + max(x − a, 0) without a branch, which random weights would mispredict; four of them, so that one
  // need not wait for the other.
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let i = start;
  for (; i + 3 < end; i += 4) {
    const overA = (bits[i]! & MAGNITUDE_BITS) - a;
    const overB = (bits[i + 1]! & MAGNITUDE_BITS) - b;
    const overC = (bits[i + 2]! & MAGNITUDE_BITS) - c;
    const overD = (bits[i + 3]! & MAGNITUDE_BITS) - d;
    a = (a + (overA & ~(overA >> 31))) | 0;
    b = (b + (overB & ~(overB >> 31))) | 0;
    c = (c + (overC & ~(overC >> 31))) | 0;
    d = (d + (overD & ~(overD >> 31))) | 0;
  }
  for (; i < end; i++) a = Math.max(a, bits[i]! & MAGNITUDE_BITS);
  return Math.max(a, b, c, d);
}

/** @throws NumericError that names the first element that is not finite, where the `largest` magnitude (bits) is not. */
export function requireFinite(largest: number, values: Float32Array, start: number, where: string): void {
  if (largest < INFINITY_BITS) return;
  let index = start;
  while (Number.isFinite(values[index]!)) index++;
  throw new NumericError(`${where}: weights must be finite, got ${values[index]} at index ${index}`);
}
