// ggml's searches for the scales of small groups, four groups at once: each lane adds up its terms in ggml's order and
// in float32, so that the bits are its own.

/** Bytes of a row of four lanes. */
const ROW: usize = 16;

/**
 * Searches for the scale and minimum of groups of 32 with which codes from 0 to `most` come nearest to the values:
 * least squares for the codes of each guess, with errors weighted by the magnitude of the value and of all (ggml's
 * make_qkx2_quants). A guess starts from the minimum of the best one before it, as there.
 * @param end of the values, a multiple of four groups.
 * @param lowest the first guess has `most` more or less by this, and each after it a tenth more.
 * @param codes one byte for each value.
 * @param scales one float32 for each group, and so `minima`, which are at least 0 and subtracted.
 * @param scratch 2048 bytes.
 */
export function searchWithMinimum(
  values: usize,
  end: usize,
  most: f32,
  lowest: f32,
  guesses: i32,
  codes: usize,
  scales: usize,
  minima: usize,
  scratch: usize,
): void {
  const weights = scratch + 32 * ROW;
  const tried = weights + 32 * ROW;
  const kept = tried + 32 * ROW;
  const zero = f32x4.splat(0);
  do {
    gather(values, scratch, 32);
    let squares = zero;
    for (let i: usize = 0; i < 32 * ROW; i += ROW) {
      const x = v128.load(scratch + i);
      squares = f32x4.add(squares, f32x4.mul(x, x));
    }
    const level = f32x4.sqrt(f32x4.div(squares, f32x4.splat(32)));
    let min = zero;
    let max = v128.load(scratch);
    let sumW = zero;
    let sumX = zero;
    for (let i: usize = 0; i < 32 * ROW; i += ROW) {
      const x = v128.load(scratch + i);
      const w = f32x4.add(level, f32x4.abs(x));
      v128.store(weights + i, w);
      min = f32x4.min(min, x);
      max = f32x4.max(max, x);
      sumW = f32x4.add(sumW, w);
      sumX = f32x4.add(sumX, f32x4.mul(w, x));
    }
    const isFlat = f32x4.eq(max, min);
    const lowestValue = min;
    let scale = zero;
    let bestError = zero;
    for (let guess = -1; guess <= guesses; guess++) {
      // The first guess is the whole range, without least squares.
      const steps: f32 = guess < 0 ? most : lowest + 0.1 * <f32>guess + most;
      const inverse = f32x4.div(f32x4.splat(steps), f32x4.sub(max, min));
      let sumL = zero;
      let sumL2 = zero;
      let sumXL = zero;
      for (let i: usize = 0; i < 32 * ROW; i += ROW) {
        const x = v128.load(scratch + i);
        const w = v128.load(weights + i);
        const nearest = f32x4.nearest(f32x4.mul(inverse, f32x4.sub(x, min)));
        const l = f32x4.max(zero, f32x4.min(f32x4.splat(most), nearest));
        v128.store(tried + i, l);
        const wl = f32x4.mul(w, l);
        sumL = f32x4.add(sumL, wl);
        sumL2 = f32x4.add(sumL2, f32x4.mul(wl, l));
        sumXL = f32x4.add(sumXL, f32x4.mul(wl, x));
      }
      let ownScale = f32x4.div(f32x4.splat(1), inverse);
      let ownMin = min;
      let isBetter = f32x4.eq(zero, zero);
      if (guess >= 0) {
        const determinant = f32x4.sub(f32x4.mul(sumW, sumL2), f32x4.mul(sumL, sumL));
        ownScale = f32x4.div(f32x4.sub(f32x4.mul(sumW, sumXL), f32x4.mul(sumX, sumL)), determinant);
        ownMin = f32x4.div(f32x4.sub(f32x4.mul(sumL2, sumX), f32x4.mul(sumL, sumXL)), determinant);
        const isAbove = f32x4.gt(ownMin, zero);
        ownScale = v128.bitselect(f32x4.div(sumXL, sumL2), ownScale, isAbove);
        ownMin = v128.andnot(ownMin, isAbove);
        isBetter = f32x4.gt(determinant, zero);
      }
      let error = zero;
      for (let i: usize = 0; i < 32 * ROW; i += ROW) {
        const product = f32x4.mul(ownScale, v128.load(tried + i));
        const lost = f32x4.sub(f32x4.add(product, ownMin), v128.load(scratch + i));
        error = f32x4.add(error, f32x4.mul(v128.load(weights + i), f32x4.mul(lost, lost)));
      }
      if (guess >= 0) isBetter = v128.and(isBetter, f32x4.lt(error, bestError));
      if (!v128.any_true(isBetter)) continue;
      for (let i: usize = 0; i < 32 * ROW; i += ROW) {
        v128.store(kept + i, v128.bitselect(v128.load(tried + i), v128.load(kept + i), isBetter));
      }
      scale = v128.bitselect(ownScale, scale, isBetter);
      min = v128.bitselect(ownMin, min, isBetter);
      bestError = v128.bitselect(error, bestError, isBetter);
    }
    for (let i: usize = 0; i < 32 * ROW; i += ROW) {
      v128.store(kept + i, v128.andnot(v128.load(kept + i), isFlat));
    }
    v128.store(scales, v128.andnot(scale, isFlat));
    v128.store(minima, f32x4.neg(v128.bitselect(lowestValue, min, isFlat)));
    scatter(kept, codes, 32);
    values += 4 * 32 * 4;
    codes += 4 * 32;
    scales += ROW;
    minima += ROW;
  } while (values < end);
}

/**
 * Searches for the scale of groups of 16 with which codes from 0 to 63, of which 32 stands for 0, come nearest to the
 * values: least squares for the codes of each guess, with errors weighted by the square of the value (ggml's
 * make_qx_quants). Codes of a group of zeros are 0.
 * @param scratch 768 bytes; the others are those of `searchWithMinimum`.
 */
export function searchSymmetric(values: usize, end: usize, codes: usize, scales: usize, scratch: usize): void {
  const tried = scratch + 16 * ROW;
  const kept = tried + 16 * ROW;
  const zero = f32x4.splat(0);
  do {
    gather(values, scratch, 16);
    let magnitude = zero;
    let largest = zero;
    for (let i: usize = 0; i < 16 * ROW; i += ROW) {
      const x = v128.load(scratch + i);
      const isLarger = f32x4.gt(f32x4.abs(x), magnitude);
      magnitude = v128.bitselect(f32x4.abs(x), magnitude, isLarger);
      largest = v128.bitselect(x, largest, isLarger);
    }
    const isZero = f32x4.lt(magnitude, f32x4.splat(1e-15));
    let scale = zero;
    let best = zero;
    for (let guess = 0; guess < 19; guess++) {
      // 0 comes first, and then -9 to 9 without it.
      const tenths = guess === 0 ? 0 : guess < 10 ? guess - 10 : guess - 9;
      const steps: f32 = 32 + 0.1 * <f32>tenths;
      const inverse = f32x4.div(f32x4.splat(-steps), largest);
      let sumXL = zero;
      let sumL2 = zero;
      for (let i: usize = 0; i < 16 * ROW; i += ROW) {
        const x = v128.load(scratch + i);
        const nearest = f32x4.nearest(f32x4.mul(inverse, x));
        const l = f32x4.max(f32x4.splat(-32), f32x4.min(f32x4.splat(31), nearest));
        v128.store(tried + i, l);
        const w = f32x4.mul(x, x);
        sumXL = f32x4.add(sumXL, f32x4.mul(f32x4.mul(w, x), l));
        sumL2 = f32x4.add(sumL2, f32x4.mul(f32x4.mul(w, l), l));
      }
      const isAny = f32x4.gt(sumL2, zero);
      const isBetter =
        guess === 0 ? f32x4.eq(zero, zero) : v128.and(isAny, f32x4.gt(f32x4.mul(sumXL, sumXL), f32x4.mul(best, sumL2)));
      if (!v128.any_true(isBetter)) continue;
      const own = v128.and(f32x4.div(sumXL, sumL2), isAny);
      for (let i: usize = 0; i < 16 * ROW; i += ROW) {
        v128.store(kept + i, v128.bitselect(v128.load(tried + i), v128.load(kept + i), isBetter));
      }
      scale = v128.bitselect(own, scale, isBetter);
      best = v128.bitselect(f32x4.mul(own, sumXL), best, isBetter);
    }
    for (let i: usize = 0; i < 16 * ROW; i += ROW) {
      const code = f32x4.add(v128.load(kept + i), f32x4.splat(32));
      v128.store(kept + i, v128.andnot(code, isZero));
    }
    v128.store(scales, v128.andnot(scale, isZero));
    scatter(kept, codes, 16);
    values += 4 * 16 * 4;
    codes += 4 * 16;
    scales += ROW;
  } while (values < end);
}

/** Writes rows of the first, the second, … value of four groups that follow one another. */
function gather(values: usize, rows: usize, count: usize): void {
  for (let i: usize = 0; i < count; i++) {
    for (let lane: usize = 0; lane < 4; lane++) {
      store<f32>(rows + ROW * i + 4 * lane, load<f32>(values + 4 * (count * lane + i)));
    }
  }
}

/** Writes such rows as bytes, group after group. */
function scatter(rows: usize, bytes: usize, count: usize): void {
  for (let lane: usize = 0; lane < 4; lane++) {
    for (let i: usize = 0; i < count; i++) {
      store<u8>(bytes + count * lane + i, <u8>load<f32>(rows + ROW * i + 4 * lane));
    }
  }
}
