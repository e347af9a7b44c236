// Every function here works on bit patterns, through integer views of the float arrays: reading an element as a number
// could change the bits of a NaN.

/** bfloat16 bit patterns → float32. A bfloat16 is the upper half of a float32. */
export function bfloat16ToFloat32(source: Uint16Array, target: Float32Array): void {
  const bits = bitsOf(target);
  for (let i = 0; i < bits.length; i++) bits[i] = source[i]! << 16;
}

/** float16 bit patterns → float32, exact for every value: subnormals, infinities and NaN included. */
export function float16ToFloat32(source: Uint16Array, target: Float32Array): void {
  const bits = bitsOf(target);
  for (let i = 0; i < bits.length; i++) {
    const half = source[i]!;
    const exponent = half & 0x7c00;
    bits[i] =
      exponent !== 0 && exponent !== 0x7c00
        ? ((half & 0x8000) << 16) | (((half & 0x7fff) << 13) + 0x38000000) // The biases differ by 112.
        : specialFloat16(half);
  }
}

/** The float32 bit pattern of a float16 zero, subnormal, infinity or NaN. */
function specialFloat16(half: number): number {
  const sign = (half & 0x8000) << 16;
  const fraction = half & 0x3ff;
  if ((half & 0x7c00) !== 0) return sign | 0x7f800000 | (fraction << 13);
  if (fraction === 0) return sign;
  // Subnormal: shift the leading bit out of the fraction and lower the exponent by as much.
  const shift = Math.clz32(fraction) - 21;
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}

/**
 * float32 → the bit patterns of the nearest bfloat16, ties to even; NaN stays NaN.
 * @returns the index of the first finite value that would become infinite, or -1.
 */
export function float32ToBfloat16(source: Float32Array, target: Uint16Array): number {
  const bits = bitsOf(source);
  for (let i = 0; i < bits.length; i++) {
    const value = bits[i]!;
    if ((value & 0x7f800000) === 0x7f800000) {
      const upper = value >>> 16;
      const onlyLowerBits = (value & 0x7fffff) !== 0 && (upper & 0x7f) === 0;
      target[i] = onlyLowerBits ? upper | 0x40 : upper;
      continue;
    }
    // Half a unit in the last place, minus one bit if the last place is even.
    const rounded = value + 0x7fff + ((value >>> 16) & 1);
    if ((rounded & 0x7f800000) === 0x7f800000) return i;
    target[i] = rounded >>> 16;
  }
  return -1;
}

/**
 * float32 → the bit patterns of the nearest float16, ties to even; NaN stays NaN.
 * @returns the index of the first finite value that would become infinite (65520 and beyond), or -1.
 */
export function float32ToFloat16(source: Float32Array, target: Uint16Array): number {
  const bits = bitsOf(source);
  for (let i = 0; i < bits.length; i++) {
    const value = bits[i]!;
    const sign = (value >>> 16) & 0x8000;
    const magnitude = value & 0x7fffffff;
    if (magnitude < 0x38800000) {
      target[i] = sign | subnormalFloat16(magnitude);
    } else if (magnitude < 0x477ff000) {
      target[i] = sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
    } else if (magnitude < 0x7f800000) {
      return i;
    } else {
      const fraction = (magnitude >>> 13) & 0x3ff;
      const onlyLowerBits = magnitude !== 0x7f800000 && fraction === 0;
      target[i] = sign | 0x7c00 | (onlyLowerBits ? 0x200 : fraction);
    }
  }
  return -1;
}

/** The float16 bits of a float32 magnitude below 2^-14, the smallest normal float16: multiples of 2^-24. */
function subnormalFloat16(magnitude: number): number {
  const shift = 126 - (magnitude >>> 23);
  if (shift > 24) return 0; // Below half of 2^-24.
  const significand = (magnitude & 0x7fffff) | 0x800000;
  const dropped = significand & ((1 << shift) - 1);
  const kept = significand >>> shift;
  const half = 1 << (shift - 1);
  return dropped > half || (dropped === half && (kept & 1) === 1) ? kept + 1 : kept;
}

function bitsOf(values: Float32Array): Int32Array {
  return new Int32Array(values.buffer, values.byteOffset, values.length);
}
