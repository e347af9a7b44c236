import { NumericError } from "../base/errors.js";
import {
  type Code,
  type FunctionWriter,
  get,
  i32,
  i32x4,
  type Local,
  load,
  shuffle,
  splat,
  v128,
} from "./wasm-writer.js";

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

/**
 * Adds the vector code of `largestMagnitude` for the addresses `start` to before `end`, a multiple of 64 bytes. All
 * lanes of the result hold it.
 */
export function writeLargestMagnitude(f: FunctionWriter, start: Local, end: Local): Local {
  const address = f.variable("i32", get(start));
  const largest = f.variable("v128", splat.i32(0));
  const include = (bits: Code): void => f.set(largest, i32x4.maxU(get(largest), bits));
  f.loop(() => {
    for (const offset of [0, 16, 32, 48]) include(v128.and(load.v128(get(address), offset), splat.i32(MAGNITUDE_BITS)));
    f.set(address, i32.add(get(address), i32.const(64)));
    return i32.ltU(get(address), get(end));
  });
  for (const bytes of [8, 4]) include(shuffle(get(largest), get(largest), rotatedBy(bytes)));
  return largest;
}

function rotatedBy(bytes: number): number[] {
  return Array.from({ length: 16 }, (_, i) => (i + bytes) % 16);
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
