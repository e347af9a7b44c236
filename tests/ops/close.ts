/** Largest |actual − expected| over the largest |expected|: 0 when both are empty, NaN when an element is. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let largest = 0;
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    largest = Math.max(largest, Math.abs(expected[i]!));
    worst = Math.max(worst, Math.abs(actual[i]! - expected[i]!));
  }
  return worst === 0 ? 0 : worst / largest;
}

/** Throws, naming the worst element, unless `relativeError` is at most `tolerance`. Gives the error. */
export function expectClose(
  what: string,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
): number {
  if (actual.length !== expected.length) throw new Error(`${what}: ${actual.length} elements, not ${expected.length}`);
  const error = relativeError(actual, expected);
  if (error <= tolerance) return error;
  const distances = Array.from(expected, (value, i) => Math.abs(actual[i]! - value));
  const broken = distances.findIndex((distance) => Number.isNaN(distance));
  const worst = broken >= 0 ? broken : distances.indexOf(Math.max(...distances));
  throw new Error(
    `${what}: relative error ${error}, at most ${tolerance}; worst at [${worst}]: ${actual[worst]}, not ${expected[worst]}`,
  );
}
