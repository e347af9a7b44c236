/**
 * The 4-bit types of bitsandbytes: normal float (Dettmers et al. 2023, arXiv:2305.14314, appendix E), and a float of
 * sign, exponent and mantissa.
 */
export type FourBitType = "nf4" | "fp4";

/** Value of each code from 0 to 15, as a share of the largest magnitude in its block. */
export const FOUR_BIT_CODES: Readonly<Record<FourBitType, Float32Array>> = {
  // Quantiles of the normal distribution, so that all codes are used equally often by normally distributed weights.
  nf4: Float32Array.of(
    -1,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1,
  ),
  // The top bit is the sign; codes do not rise with their values. In twelfths, since the largest is 12 times the unit.
  fp4: Float32Array.from([0, 0.0625, 8, 12, 4, 6, 2, 3, -0, -0.0625, -8, -12, -4, -6, -2, -3], (unit) => unit / 12),
};

/** True for the name of a 4-bit type. */
export function isFourBitType(name: unknown): name is FourBitType {
  return typeof name === "string" && Object.hasOwn(FOUR_BIT_CODES, name);
}
