import { narrowToBytes } from "./bytes";
import { largestMagnitude } from "./magnitude";

/**
 * Quantizes rows of float32 by their largest magnitudes, as bitsandbytes does: from weights rounded to float16, ties to
 * the even code.
 * @param end of the values.
 * @param rowBytes of a row of values, a multiple of 64.
 * @param codes one byte for each value.
 * @param scales one float32 for each row: its largest magnitude.
 * @returns the bits of the largest magnitude of all.
 */
export function quantizeInt8(values: usize, end: usize, rowBytes: usize, codes: usize, scales: usize): i32 {
  let overall = i32x4.splat(0);
  do {
    const rowEnd = values + rowBytes;
    const largest = largestMagnitude(values, rowEnd);
    overall = i32x4.max_u(overall, largest);
    const scale = toFloat16(largest);
    v128.store32_lane(scales, scale, 0);
    // The inverse of 0 is taken as 0, so that rows of zeros have codes 0.
    const inverse = v128.andnot(f32x4.div(f32x4.splat(127), scale), i32x4.eq(scale, i32x4.splat(0)));
    do {
      const a = rounded(v128.load(values), inverse);
      const b = rounded(v128.load(values, 16), inverse);
      const c = rounded(v128.load(values, 32), inverse);
      const d = rounded(v128.load(values, 48), inverse);
      v128.store(codes, narrowToBytes(a, b, c, d));
      values += 64;
      codes += 16;
    } while (values < rowEnd);
    scales += 4;
  } while (values < end);
  return i32x4.extract_lane(overall, 0);
}

/** The nearest integers to the weights, as float16, times `inverse`; ties to even. */
function rounded(weights: v128, inverse: v128): v128 {
  // 1.5 · 2^23, added to a small number, leaves the number rounded in the last bits.
  const shifted = f32x4.add(f32x4.mul(toFloat16(weights), inverse), f32x4.splat(12582912));
  return i32x4.sub(shifted, i32x4.splat(0x4b400000));
}

/** Rounds four float32 to float16, ties to even. */
function toFloat16(bits: v128): v128 {
  // Drops 13 bits. Half a unit of the last bit kept is added, a little less if that bit is even already.
  const odd = v128.and(i32x4.shr_s(bits, 13), i32x4.splat(1));
  const half = i32x4.add(i32x4.add(bits, i32x4.splat(0xfff)), odd);
  const normal = v128.and(half, i32x4.splat(~0x1fff));
  // Below 2^-14, float16 has the multiples of 2^-24, and so has float32 from 0.5 to 1.
  const subnormal = f32x4.sub(f32x4.add(bits, f32x4.splat(0.75)), f32x4.splat(0.75));
  const isSubnormal = i32x4.lt_s(v128.and(bits, i32x4.splat(0x7fffffff)), i32x4.splat(0x38800000));
  return v128.bitselect(subnormal, normal, isSubnormal);
}

/**
 * Dequantizes rows: code · scale · unit, rounded to float32 after each multiplication.
 * @param end of the values, which are written; `rowBytes`, `codes` and `scales` are those of `quantizeInt8`.
 */
export function dequantizeInt8(
  values: usize,
  end: usize,
  rowBytes: usize,
  codes: usize,
  scales: usize,
  unit: f32,
): void {
  do {
    const rowEnd = values + rowBytes;
    const scale = v128.load32_splat(scales);
    do {
      const bytes = v128.load(codes);
      const low = i16x8.extend_low_i8x16_s(bytes);
      const high = i16x8.extend_high_i8x16_s(bytes);
      v128.store(values, scaled(i32x4.extend_low_i16x8_s(low), scale, unit));
      v128.store(values, scaled(i32x4.extend_high_i16x8_s(low), scale, unit), 16);
      v128.store(values, scaled(i32x4.extend_low_i16x8_s(high), scale, unit), 32);
      v128.store(values, scaled(i32x4.extend_high_i16x8_s(high), scale, unit), 48);
      values += 64;
      codes += 16;
    } while (values < rowEnd);
    scales += 4;
  } while (values < end);
}

function scaled(integers: v128, scale: v128, unit: f32): v128 {
  return f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(integers), scale), f32x4.splat(unit));
}
