/**
 * Eigenvalues, largest first, of a symmetric matrix of n × n numbers, which is overwritten. Householder reflections
 * make it tridiagonal (Golub & Van Loan, section 8.3), and bisection finds its eigenvalues one by one, to within
 * about 1e-16 times the largest.
 */
export function symmetricEigenvalues(matrix: Float64Array, n: number): Float64Array {
  const { diagonal, beside } = tridiagonal(matrix, n);
  const squares = beside.map((value) => value * value);
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < n; i++) {
    const reach = Math.abs(beside[i] ?? 0) + Math.abs(beside[i - 1] ?? 0);
    low = Math.min(low, diagonal[i]! - reach);
    high = Math.max(high, diagonal[i]! + reach);
  }
  const precision = Number.EPSILON * Math.max(Math.abs(low), Math.abs(high));
  const values = new Float64Array(n);
  let above = high;
  for (let rank = 0; rank < n; rank++) {
    // The value of this rank lies between `below`, where more than `rank` values are larger, and `above`.
    let below = low - precision;
    while (above - below > precision) {
      const middle = (above + below) / 2;
      if (middle <= below || middle >= above) break;
      if (n - countBelow(diagonal, squares, middle, precision) > rank) below = middle;
      else above = middle;
    }
    values[rank] = (above + below) / 2;
  }
  return values;
}

/**
 * Number of eigenvalues of a tridiagonal matrix below `x`: the negative pivots of its factorization (Sturm's count).
 */
function countBelow(diagonal: Float64Array, squares: Float64Array, x: number, tiny: number): number {
  let count = 0;
  let pivot = 1;
  for (let i = 0; i < diagonal.length; i++) {
    pivot = diagonal[i]! - x - (i === 0 ? 0 : squares[i - 1]! / pivot);
    if (pivot === 0) pivot = -(tiny || Number.MIN_VALUE);
    if (pivot < 0) count++;
  }
  return count;
}

/** A tridiagonal matrix with the same eigenvalues: its diagonal, and the n − 1 numbers beside it. */
function tridiagonal(a: Float64Array, n: number): { diagonal: Float64Array; beside: Float64Array } {
  const diagonal = new Float64Array(n);
  const beside = new Float64Array(Math.max(0, n - 1));
  const v = new Float64Array(n);
  const w = new Float64Array(n);
  for (let k = 0; k < n - 1; k++) {
    diagonal[k] = a[k * n + k]!;
    const first = k + 1;
    let square = 0;
    for (let i = first; i < n; i++) {
      v[i] = a[i * n + k]!;
      square += v[i]! ** 2;
    }
    const alpha = v[first]! > 0 ? -Math.sqrt(square) : Math.sqrt(square);
    beside[k] = alpha;
    v[first]! -= alpha;
    if (alpha !== 0) reflect(a, n, first, v, w);
  }
  if (n > 0) diagonal[n - 1] = a[n * n - 1]!;
  return { diagonal, beside };
}

/**
 * A ← H·A·H for the rows and columns from `first`, with H = I − 2vvᵀ / ‖v‖²: A − vwᵀ − wvᵀ for a w that follows from
 * A·v.
 */
function reflect(a: Float64Array, n: number, first: number, v: Float64Array, w: Float64Array): void {
  let length = 0;
  for (let i = first; i < n; i++) length += v[i]! ** 2;
  let along = 0;
  for (let i = first; i < n; i++) {
    const row = i * n;
    let sum = 0;
    for (let j = first; j < n; j++) sum += a[row + j]! * v[j]!;
    w[i] = (2 / length) * sum;
    along += w[i]! * v[i]!;
  }
  for (let i = first; i < n; i++) w[i]! -= (along / length) * v[i]!;
  for (let i = first; i < n; i++) {
    const row = i * n;
    for (let j = first; j < n; j++) a[row + j]! -= v[i]! * w[j]! + w[i]! * v[j]!;
  }
}
