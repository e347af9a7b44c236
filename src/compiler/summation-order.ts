/** The largest number of threads, as ONNX Runtime counts them, up to which results do not depend on it. */
export const LARGEST_THREAD_COUNT = 64;

/** Columns per tile; threads share whole tiles. */
const TILE = 16;

/** Multiplications per thread: with each multiple, one more thread joins. */
const WORK_OF_THREAD = 2 ** 16;

/** op(a) (rows, inner) · op(b) (inner, columns), computed `matrices` times. */
export interface ProductSizes {
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  readonly matrices: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly alpha: number;
}

/**
 * True if ONNX Runtime's CPU provider adds up the terms of each element of a product in the same order for every number
 * of threads up to `LARGEST_THREAD_COUNT`. Threads share a product by the longer of rows and columns, and the order
 * depends on the shape of a share: a single row or column has its own kernel, and few columns are summed in longer
 * blocks.
 */
export function addsInOneOrder(sizes: ProductSizes): boolean {
  const { rows, columns, inner, matrices, transposeA, transposeB, alpha } = sizes;
  // A transposed left matrix is repacked in blocks of one length.
  if (transposeA) return true;
  const threads = Math.min(LARGEST_THREAD_COUNT, Math.floor((rows * columns * inner) / WORK_OF_THREAD) + 1);
  const shares = Math.ceil(threads / matrices);
  // Vectors have their own kernels if nothing is scaled.
  const hasVectorKernels = alpha === 1;
  if (columns > rows) {
    if (rows === 1 && hasVectorKernels) return true;
    const tiles = Math.ceil(columns / TILE);
    const narrowest = Math.max(1, Math.floor(tiles / shares));
    return Math.min(inner, blockLength(tiles)) === Math.min(inner, blockLength(narrowest));
  }
  if (shares === 1 || rows === 1 || !hasVectorKernels) return true;
  return (columns > 1 || transposeB) && rows >= 2 * shares;
}

/** Number of terms summed at a time for a share of so many tiles. */
function blockLength(tiles: number): number {
  if (tiles >= 5) return 128;
  if (tiles >= 3) return 256;
  return tiles === 2 ? 512 : 1024;
}
