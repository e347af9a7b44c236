import { interleaveHigh, interleaveLow, interleavePairsHigh, interleavePairsLow, narrowToBytes } from "./bytes";
import { largestMagnitude } from "./magnitude";

// Places in a table, in bytes. Levels and bounds are 16 float32 each, as rows of their first bytes, second bytes, …
const LEVELS: usize = 0;
const BOUNDS: usize = 64;
const PLACES: usize = 128;
const CODES: usize = 160;

/**
 * Quantizes blocks of float32 to the nearest 4-bit codes, two to a byte, the first in the upper half.
 *
 * x is a share of the largest magnitude in its block, from -1 to 1. A cell of 1/15 holds one bound between codes at
 * most: the table says how many bounds lie below the cell, and comparing x with the next decides.
 * @param isFp4 of FP4 only magnitudes have places, which the table turns into codes; the top bit is the sign.
 * @param end of the values.
 * @param blockBytes of a block of values, a multiple of 64.
 * @param absmax one float32 for each block: its largest magnitude.
 * @returns the bits of the largest magnitude of all.
 */
export function quantizeFourBit(
  table: usize,
  isFp4: bool,
  values: usize,
  end: usize,
  blockBytes: usize,
  packed: usize,
  absmax: usize,
): i32 {
  const places = v128.load(table, PLACES);
  const upperPlaces = v128.load(table, PLACES + 16);
  const codes = v128.load(table, CODES);
  const bounds0 = v128.load(table, BOUNDS);
  const bounds1 = v128.load(table, BOUNDS + 16);
  const bounds2 = v128.load(table, BOUNDS + 32);
  const bounds3 = v128.load(table, BOUNDS + 48);
  // 2^23, added to a small number, leaves the number rounded in the last bits. The middle of cell 0 is 0, or -1.
  const shift = f32x4.splat(isFp4 ? 8388608 : 8388608 + 15);
  let overall = i32x4.splat(0);
  do {
    const blockEnd = values + blockBytes;
    const largest = largestMagnitude(values, blockEnd);
    overall = i32x4.max_u(overall, largest);
    v128.store32_lane(absmax, largest, 0);
    // Up to 2^-128 the reciprocal overflows, so block and absmax are scaled up first, which is exact. The reciprocal of
    // 0 is taken as 0.
    const isTiny = i32x4.lt_s(largest, i32x4.splat(0x00200001));
    const enlarge = v128.bitselect(f32x4.splat(1.2676506002282294e30), f32x4.splat(1), isTiny);
    const quotient = f32x4.div(f32x4.splat(1), f32x4.mul(largest, enlarge));
    const reciprocal = v128.andnot(quotient, i32x4.eq(largest, i32x4.splat(0)));
    do {
      let a = f32x4.mul(f32x4.mul(v128.load(values), enlarge), reciprocal);
      let b = f32x4.mul(f32x4.mul(v128.load(values, 16), enlarge), reciprocal);
      let c = f32x4.mul(f32x4.mul(v128.load(values, 32), enlarge), reciprocal);
      let d = f32x4.mul(f32x4.mul(v128.load(values, 48), enlarge), reciprocal);
      let sign = i32x4.splat(0);
      if (isFp4) {
        const zero = f32x4.splat(0);
        const isNegative = narrowToBytes(f32x4.lt(a, zero), f32x4.lt(b, zero), f32x4.lt(c, zero), f32x4.lt(d, zero));
        sign = v128.and(isNegative, i8x16.splat(8));
        a = f32x4.abs(a);
        b = f32x4.abs(b);
        c = f32x4.abs(c);
        d = f32x4.abs(d);
      }
      const cell = narrowToBytes(cellOf(a, shift), cellOf(b, shift), cellOf(c, shift), cellOf(d, shift));
      const upper = i8x16.swizzle(upperPlaces, i8x16.sub(cell, i8x16.splat(16)));
      const place = v128.or(i8x16.swizzle(places, cell), upper);
      const row0 = i8x16.swizzle(bounds0, place);
      const row1 = i8x16.swizzle(bounds1, place);
      const row2 = i8x16.swizzle(bounds2, place);
      const row3 = i8x16.swizzle(bounds3, place);
      const low01 = interleaveLow(row0, row1);
      const low23 = interleaveLow(row2, row3);
      const high01 = interleaveHigh(row0, row1);
      const high23 = interleaveHigh(row2, row3);
      const isAbove = narrowToBytes(
        f32x4.gt(a, interleavePairsLow(low01, low23)),
        f32x4.gt(b, interleavePairsHigh(low01, low23)),
        f32x4.gt(c, interleavePairsLow(high01, high23)),
        f32x4.gt(d, interleavePairsHigh(high01, high23)),
      );
      // True is -1.
      let code = i8x16.sub(place, isAbove);
      if (isFp4) code = v128.or(i8x16.swizzle(codes, code), sign);
      // Pairs of codes are 16-bit lanes, with the first of a pair in the lower half.
      const first = v128.and(i16x8.shl(code, 4), i16x8.splat(0xf0));
      const pairs = v128.or(first, i16x8.shr_u(code, 8));
      v128.store64_lane(packed, i8x16.narrow_i16x8_u(pairs, pairs), 0);
      values += 64;
      packed += 8;
    } while (values < blockEnd);
    absmax += 4;
  } while (values < end);
  return i32x4.extract_lane(overall, 0);
}

function cellOf(x: v128, shift: v128): v128 {
  return i32x4.sub(f32x4.add(f32x4.mul(x, f32x4.splat(15)), shift), i32x4.splat(0x4b000000));
}

/**
 * Dequantizes blocks: level of the code · absmax.
 * @param end of the values, which are written; the others are those of `quantizeFourBit`.
 */
export function dequantizeFourBit(
  table: usize,
  values: usize,
  end: usize,
  blockBytes: usize,
  packed: usize,
  absmax: usize,
): void {
  const levels0 = v128.load(table, LEVELS);
  const levels1 = v128.load(table, LEVELS + 16);
  const levels2 = v128.load(table, LEVELS + 32);
  const levels3 = v128.load(table, LEVELS + 48);
  do {
    const blockEnd = values + blockBytes;
    const scale = v128.load32_splat(absmax);
    do {
      const pairs = v128.load64_zero(packed);
      const code = interleaveLow(i8x16.shr_u(pairs, 4), v128.and(pairs, i8x16.splat(15)));
      const row0 = i8x16.swizzle(levels0, code);
      const row1 = i8x16.swizzle(levels1, code);
      const row2 = i8x16.swizzle(levels2, code);
      const row3 = i8x16.swizzle(levels3, code);
      const low01 = interleaveLow(row0, row1);
      const low23 = interleaveLow(row2, row3);
      const high01 = interleaveHigh(row0, row1);
      const high23 = interleaveHigh(row2, row3);
      v128.store(values, f32x4.mul(interleavePairsLow(low01, low23), scale));
      v128.store(values, f32x4.mul(interleavePairsHigh(low01, low23), scale), 16);
      v128.store(values, f32x4.mul(interleavePairsLow(high01, high23), scale), 32);
      v128.store(values, f32x4.mul(interleavePairsHigh(high01, high23), scale), 48);
      values += 64;
      packed += 8;
    } while (values < blockEnd);
    absmax += 4;
  } while (values < end);
}
