/** Numbers as codes times a scale, less a minimum. */
export interface ScaledCodes {
  readonly scale: number;
  /** At least 0; 0 for codes around zero. */
  readonly min: number;
  readonly codes: Uint8Array;
}

/** A search for codes from 0 to `most`. */
export interface MinimumSearch {
  readonly most: number;
  /** The first guesses of the scale are those with `most` more or less by tenths from here on, and how many. */
  readonly lowest: number;
  readonly guesses: number;
}

/** Smaller magnitudes count as zero. */
const TINY = 1e-15;

/**
 * Searches for the scale and minimum with which the codes come nearest to the values: least squares for the codes of
 * each first guess, with errors weighted by the magnitude of the value and of all (llama.cpp's make_qkx2_quants).
 */
export function searchWithMinimum(values: Float32Array, { most, lowest, guesses }: MinimumSearch): ScaledCodes {
  const n = values.length;
  let squares = 0;
  for (const value of values) squares += value * value;
  const level = Math.sqrt(squares / n);
  const weights = new Float64Array(n);
  let min = 0;
  let max = values[0]!;
  for (let i = 0; i < n; i++) {
    const value = values[i]!;
    weights[i] = level + Math.abs(value);
    if (value < min) min = value;
    if (value > max) max = value;
  }
  if (max <= min) return { scale: 0, min: -min, codes: new Uint8Array(n) };
  let [sumW, sumX] = [0, 0];
  for (let i = 0; i < n; i++) {
    sumW += weights[i]!;
    sumX += weights[i]! * values[i]!;
  }
  const codesFor = (inverse: number): Uint8Array => {
    const codes = new Uint8Array(n);
    // No value is below the minimum.
    for (let i = 0; i < n; i++) codes[i] = Math.min(Math.round(inverse * (values[i]! - min)), most);
    return codes;
  };
  const errorOf = (codes: Uint8Array, scale: number, least: number): number => {
    let error = 0;
    for (let i = 0; i < n; i++) {
      const lost = scale * codes[i]! + least - values[i]!;
      error += weights[i]! * lost * lost;
    }
    return error;
  };
  const first = codesFor(most / (max - min));
  let best = { scale: (max - min) / most, min, codes: first };
  let bestError = errorOf(best.codes, best.scale, best.min);
  for (let guess = 0; guess <= guesses; guess++) {
    const codes = codesFor((most + lowest + 0.1 * guess) / (max - min));
    let [sumL, sumL2, sumXL] = [0, 0, 0];
    for (let i = 0; i < n; i++) {
      const weighted = weights[i]! * codes[i]!;
      sumL += weighted;
      sumL2 += weighted * codes[i]!;
      sumXL += weighted * values[i]!;
    }
    const determinant = sumW * sumL2 - sumL * sumL;
    if (determinant <= 0) continue;
    let scale = (sumW * sumXL - sumX * sumL) / determinant;
    let least = (sumL2 * sumX - sumL * sumXL) / determinant;
    if (least > 0) [scale, least] = [sumXL / sumL2, 0];
    const error = errorOf(codes, scale, least);
    if (error >= bestError) continue;
    best = { scale, min: least, codes };
    bestError = error;
  }
  return { ...best, min: -best.min };
}

/**
 * Searches for the scale with which codes from 0 to 2 · `zero` − 1, of which `zero` stands for 0, come nearest to the
 * values: least squares for the codes of each of 19 first guesses, with errors weighted by the square of the value
 * (llama.cpp's make_qx_quants).
 */
export function searchSymmetric(values: Float32Array, zero: number): ScaledCodes {
  let largest = 0;
  for (const value of values) if (Math.abs(value) > Math.abs(largest)) largest = value;
  let best: ScaledCodes = { scale: 0, min: 0, codes: new Uint8Array(values.length).fill(zero) };
  if (Math.abs(largest) < TINY) return best;
  let bestGain = 0;
  for (const guess of [0, -9, -8, -7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7, 8, 9]) {
    const inverse = -(zero + 0.1 * guess) / largest;
    let [sumXL, sumL2] = [0, 0];
    const codes = new Uint8Array(values.length);
    for (let i = 0; i < codes.length; i++) {
      const value = values[i]!;
      const code = Math.min(Math.max(Math.round(inverse * value), -zero), zero - 1);
      const weight = value * value;
      sumXL += weight * value * code;
      sumL2 += weight * code * code;
      codes[i] = code + zero;
    }
    if (sumL2 === 0 || sumXL * sumXL <= bestGain * sumL2) continue;
    best = { scale: sumXL / sumL2, min: 0, codes };
    bestGain = (sumXL * sumXL) / sumL2;
  }
  return best;
}
