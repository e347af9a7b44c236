import { broadcastShapes, type Shape, sizeOf } from "../tensor/shape.js";
import type { Emitter } from "./emitter.js";
import { addsInOneOrder, type ProductSizes } from "./summation-order.js";

const MICROSOFT = "com.microsoft";

/** A value of the model. */
export interface Value {
  readonly name: string;
  readonly shape: Shape;
}

/** alpha · op(a) · op(b) + c; c, for two-dimensional products only, has the shape of the result. */
export interface ValueProduct {
  readonly a: Value;
  readonly b: Value;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly alpha: number;
  readonly c?: string | undefined;
}

/** Fewer rows per group are not worth another pass over the right matrix. */
const FEWEST_ROWS = 128;

/**
 * Emits one kernel: a matrix product for matrices, a batched one for more axes.
 * @param shape of the result, if it is not a tensor of the graph.
 */
export function emitProduct(
  { a, b, transposeA, transposeB, alpha, c }: ValueProduct,
  emitter: Emitter,
  shape?: Shape,
): string {
  const attributes = {
    transA: { int: Number(transposeA) },
    transB: { int: Number(transposeB) },
    alpha: { float: alpha },
  };
  const inputs = [a.name, b.name];
  if (a.shape.length === 2 && b.shape.length === 2) {
    return emitter.emit("Gemm", c === undefined ? inputs : [...inputs, c], { attributes, shape });
  }
  return emitter.emit("FusedMatMul", inputs, { domain: MICROSOFT, attributes, shape });
}

/**
 * Emits a product in its fastest formulation: where the emitter asks for it, of those whose bits do not depend on the
 * number of threads.
 * @param shape as for `emitProduct`.
 */
export function emitFastProduct(product: ValueProduct, emitter: Emitter, shape?: Shape): string {
  if (!emitter.deterministic) return emitProduct(product, emitter, shape);
  const result = fastestReproducible(product, emitter);
  if (shape !== undefined) emitter.shapes.set(result, shape);
  return result;
}

function fastestReproducible(product: ValueProduct, emitter: Emitter): string {
  const sizes = sizesOf(product);
  const { rows, columns, inner, matrices, alpha } = sizes;
  const isDynamic = [rows, columns, inner, matrices].some((size) => emitter.isDynamic(size));
  // For dynamic sizes, only what holds for all sizes counts.
  const isInOrder = isDynamic ? sizes.transposeA || (rows === 1 && alpha === 1) : addsInOneOrder(sizes);
  if (isInOrder) return emitProduct(product, emitter);
  if (!isDynamic && product.a.shape.length === 2 && product.b.shape.length === 2) {
    const groups = [2, 4, 8].find((matrices) => {
      const rows = sizes.rows / matrices;
      return Number.isInteger(rows) && rows >= FEWEST_ROWS && addsInOneOrder({ ...sizes, rows, matrices });
    });
    if (groups !== undefined) return emitByRowGroups(product, sizes, groups, emitter);
    const mirrored = mirror(product);
    if (addsInOneOrder(sizesOf(mirrored))) {
      const shape = [sizes.columns, sizes.rows];
      const result = transposed({ name: emitProduct(mirrored, emitter, shape), shape }, emitter);
      return plus(result.name, product.c, emitter);
    }
  }
  return emitProduct({ ...product, a: transposed(product.a, emitter), transposeA: true }, emitter);
}

function sizesOf({ a, b, transposeA, transposeB, alpha }: ValueProduct): ProductSizes {
  const [height, width] = a.shape.slice(-2) as [number, number];
  const [rows, inner] = transposeA ? [width, height] : [height, width];
  const columns = b.shape.at(transposeB ? -2 : -1)!;
  const kind = { columns, inner, transposeA, transposeB, alpha };
  const [batchA, batchB] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  // The kernel reads a stack of left matrices that share one right matrix as one tall matrix.
  if (!transposeA && sizeOf(batchB) === 1 && batchA.length >= batchB.length) {
    return { ...kind, rows: rows * sizeOf(batchA), matrices: 1 };
  }
  return { ...kind, rows, matrices: sizeOf(broadcastShapes("product", batchA, batchB)) };
}

/**
 * Splits the rows into matrices of a batch, each shared among fewer threads, so that the shares of columns stay wide.
 */
function emitByRowGroups(product: ValueProduct, sizes: ProductSizes, groups: number, emitter: Emitter): string {
  const { a, b, c } = product;
  const { rows, columns, inner } = sizes;
  const regroup = (value: Value, shape: Shape): Value => ({ name: emitter.reshape(value.name, shape), shape });
  // The right side has more axes, so that the kernel does not join the left matrices again.
  const [left, right] = [regroup(a, [groups, rows / groups, inner]), regroup(b, [1, 1, ...b.shape])];
  const grouped = emitProduct({ ...product, a: left, b: right, c: undefined }, emitter, [rows, columns]);
  return plus(emitter.reshape(grouped, [rows, columns]), c, emitter);
}

/** op(b)ᵀ · op(a)ᵀ, the transpose of the product, which threads share by the other side. */
function mirror({ a, b, transposeA, transposeB, alpha }: ValueProduct): ValueProduct {
  return { a: b, b: a, transposeA: !transposeB, transposeB: !transposeA, alpha };
}

/** Swaps the last two axes. */
function transposed({ name, shape }: Value, emitter: Emitter): Value {
  const rank = shape.length;
  const permutation = shape.map((_, axis) => (axis < rank - 2 ? axis : 2 * rank - 3 - axis));
  return {
    name: emitter.emit("Transpose", [name], { attributes: { perm: { ints: permutation } } }),
    shape: permutation.map((axis) => shape[axis]!),
  };
}

function plus(product: string, c: string | undefined, emitter: Emitter): string {
  return c === undefined ? product : emitter.emit("Add", [product, c]);
}
