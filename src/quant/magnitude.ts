import { NumericError } from "../base/errors.js";

const MAGNITUDE_BITS = 0x7fffffff;
const INFINITY_BITS = 0x7f800000;

/** Bits of 65520, halfway to what would be the next float16. From here on, numbers are rounded to infinity. */
const FLOAT16_OVERFLOW_BITS = 0x477ff000;

/** The bits of float32 values, in place. */
export function bitsOf(values: Float32Array): Int32Array {
  return new Int32Array(values.buffer, values.byteOffset, values.length);
}

/**
 * The largest |x| of elements `start` to before `end`, as float32 bits. Without the sign, bits have the order of the
 * magnitudes, and NaN, which is lost in comparisons of floats, comes out on top.
 */
export function largestMagnitude(bits: Int32Array, start: number, end: number): number {
  let largest = 0;
  for (let i = start; i < end; i++) largest = Math.max(largest, bits[i]! & MAGNITUDE_BITS);
  return largest;
}

/** @throws NumericError naming the first value that is not finite, if the `largest` magnitude (bits) is not. */
export function requireFinite(largest: number, values: Float32Array, where: string): void {
  if (largest < INFINITY_BITS) return;
  const index = firstAtLeast(values, INFINITY_BITS);
  throw new NumericError(`${where}: weights must be finite, got ${values[index]} at index ${index}`);
}

/** @throws NumericError naming the first value too large for float16, if the `largest` magnitude (bits) is. */
export function requireFloat16(largest: number, values: Float32Array, where: string): void {
  if (largest < FLOAT16_OVERFLOW_BITS) return;
  const index = firstAtLeast(values, FLOAT16_OVERFLOW_BITS);
  throw new NumericError(
    `${where}: weights must fit in float16, up to 65504, got ${values[index]} at index ${index}; ` +
      "use nf4 or fp4 for this weight",
  );
}

function firstAtLeast(values: Float32Array, magnitude: number): number {
  return bitsOf(values).findIndex((word) => (word & MAGNITUDE_BITS) >= magnitude);
}
