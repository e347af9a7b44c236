/**
 * Eigenvalues, largest first, of a symmetric matrix of n × n numbers, which is overwritten. Householder reflections
 * make it tridiagonal (Golub & Van Loan, section 8.3), and bisection finds its eigenvalues one by one, to within
 * about 1e-16 times the largest.
 */
export function symmetricEigenvalues(matrix: Float64Array, n: number): Float64Array {
  const tridiagonal = tridiagonalOf(matrix, n);
  const bounds = boundsOf(tridiagonal);
  const values = new Float64Array(n);
  let above = bounds.high;
  for (let rank = 0; rank < n; rank++) {
    above = eigenvalue(tridiagonal, rank, { ...bounds, high: above });
    values[rank] = above;
  }
  return values;
}

/**
 * Number of eigenvalues above `share`, which is positive, times the largest one; 0 where none is positive. The
 * symmetric matrix of n × n numbers is overwritten. Needs no other eigenvalue.
 */
export function countEigenvaluesAbove(matrix: Float64Array, n: number, share: number): number {
  if (n === 0) return 0;
  const tridiagonal = tridiagonalOf(matrix, n);
  const bounds = boundsOf(tridiagonal);
  const largest = eigenvalue(tridiagonal, 0, bounds);
  if (largest <= 0) return 0;
  return n - countBelow(tridiagonal, share * largest, bounds.precision);
}

/** A symmetric matrix with numbers on the diagonal, and the squares of the n − 1 numbers beside them. */
interface Tridiagonal {
  readonly diagonal: Float64Array;
  readonly squares: Float64Array;
}

/** An interval with all eigenvalues, and the distance below which two are the same. */
interface Bounds {
  readonly low: number;
  readonly high: number;
  readonly precision: number;
}

function boundsOf({ diagonal, squares }: Tridiagonal): Bounds {
  const beside = squares.map(Math.sqrt);
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < diagonal.length; i++) {
    const reach = (beside[i] ?? 0) + (beside[i - 1] ?? 0);
    low = Math.min(low, diagonal[i]! - reach);
    high = Math.max(high, diagonal[i]! + reach);
  }
  return { low, high, precision: Number.EPSILON * Math.max(Math.abs(low), Math.abs(high)) };
}

/** The eigenvalue that `rank` others exceed, found by bisection. */
function eigenvalue(tridiagonal: Tridiagonal, rank: number, { low, high, precision }: Bounds): number {
  const n = tridiagonal.diagonal.length;
  // The value lies between `below`, where more than `rank` values are larger, and `above`.
  let [below, above] = [low - precision, high];
  while (above - below > precision) {
    const middle = (above + below) / 2;
    if (middle <= below || middle >= above) break;
    if (n - countBelow(tridiagonal, middle, precision) > rank) below = middle;
    else above = middle;
  }
  return (above + below) / 2;
}

/**
 * Number of eigenvalues of a tridiagonal matrix below `x`: the negative pivots of its factorization (Sturm's count).
 */
function countBelow({ diagonal, squares }: Tridiagonal, x: number, tiny: number): number {
  let count = 0;
  let pivot = 1;
  for (let i = 0; i < diagonal.length; i++) {
    pivot = diagonal[i]! - x - (i === 0 ? 0 : squares[i - 1]! / pivot);
    if (pivot === 0) pivot = -(tiny || Number.MIN_VALUE);
    if (pivot < 0) count++;
  }
  return count;
}

/** A tridiagonal matrix with the same eigenvalues. Only the lower half of the matrix is read. */
function tridiagonalOf(a: Float64Array, n: number): Tridiagonal {
  const diagonal = new Float64Array(n);
  const squares = new Float64Array(Math.max(0, n - 1));
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
    squares[k] = square;
    // The reflection takes the column to ± its length, with the sign that loses no digits.
    v[first]! += v[first]! > 0 ? Math.sqrt(square) : -Math.sqrt(square);
    if (square !== 0) reflect(a, n, first, v, w);
  }
  if (n > 0) diagonal[n - 1] = a[n * n - 1]!;
  return { diagonal, squares };
}

/**
 * A ← H·A·H for the rows and columns from `first`, with H = I − 2vvᵀ / ‖v‖²: A − vwᵀ − wvᵀ for a w that follows from
 * A·v. Keeps to the lower half.
 */
function reflect(a: Float64Array, n: number, first: number, v: Float64Array, w: Float64Array): void {
  let length = 0;
  for (let i = first; i < n; i++) {
    length += v[i]! ** 2;
    w[i] = 0;
  }
  for (let i = first; i < n; i++) {
    const row = i * n;
    const vi = v[i]!;
    let sum = a[row + i]! * vi;
    for (let j = first; j < i; j++) {
      const value = a[row + j]!;
      sum += value * v[j]!;
      w[j]! += value * vi;
    }
    w[i]! += sum;
  }
  let along = 0;
  for (let i = first; i < n; i++) {
    w[i]! *= 2 / length;
    along += w[i]! * v[i]!;
  }
  for (let i = first; i < n; i++) w[i]! -= (along / length) * v[i]!;
  for (let i = first; i < n; i++) {
    const row = i * n;
    const [vi, wi] = [v[i]!, w[i]!];
    for (let j = first; j <= i; j++) a[row + j]! -= vi * w[j]! + wi * v[j]!;
  }
}
