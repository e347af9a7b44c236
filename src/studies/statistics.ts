/** Mean and spread of some values. */
export interface Spread {
  readonly n: number;
  readonly mean: number;
  /** Standard deviation of a sample (n − 1); null for one value. */
  readonly deviation: number | null;
}

/** Mean of paired differences and its uncertainty. */
export interface Difference {
  readonly n: number;
  readonly mean: number;
  /** Standard error of the mean; null for one pair. */
  readonly standardError: number | null;
  /** Differences below and above zero. */
  readonly below: number;
  readonly above: number;
  /** True if zero lies outside the 95 % interval of Student's t distribution; null for one pair. */
  readonly clear: boolean | null;
}

/** The spread of the values; null without any. */
export function spreadOf(values: readonly number[]): Spread | null {
  const n = values.length;
  if (n === 0) return null;
  const mean = meanOf(values);
  if (n === 1) return { n, mean, deviation: null };
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { n, mean, deviation: Math.sqrt(squares / (n - 1)) };
}

/** The mean of the differences of pairs, one pair a seed, with its uncertainty; null without any. */
export function differenceOf(differences: readonly number[]): Difference | null {
  const spread = spreadOf(differences);
  if (spread === null) return null;
  const { n, mean, deviation } = spread;
  const standardError = deviation === null ? null : deviation / Math.sqrt(n);
  return {
    n,
    mean,
    standardError,
    below: differences.filter((value) => value < 0).length,
    above: differences.filter((value) => value > 0).length,
    clear: standardError === null ? null : Math.abs(mean) > studentQuantile(n - 1) * standardError,
  };
}

/** 97.5 % quantiles of Student's t distribution by degrees of freedom, from 1. */
const STUDENT: readonly number[] = [
  ...[12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228],
  ...[2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11, 2.101, 2.093, 2.086],
];

/** The quantile; beyond the table that of its last row, which is slightly conservative. */
function studentQuantile(degrees: number): number {
  return STUDENT[Math.min(degrees, STUDENT.length) - 1]!;
}

/** The mean of at least one value. */
export function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
