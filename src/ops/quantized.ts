import { DTypeError, ShapeError } from "../base/errors.js";
import { formatShape } from "../tensor/shape.js";
import {
  type Attributes,
  applyOp,
  type NumericArray,
  type Op,
  type Tensor,
  type TensorSpec,
} from "../tensor/tensor.js";
import { FOUR_BIT_CODES, type FourBitType } from "./four-bit-codes.js";
import { matmul } from "./matmul.js";

/**
 * Packing of a matrix into 4-bit codes, as in bitsandbytes: elements in row-major order, in blocks that share a scale
 * and may straddle rows.
 */
export interface FourBitMatrix {
  readonly type: FourBitType;
  /** Elements in a block: a power of two from 16 to 4096. */
  readonly blockSize: number;
  /** Shape of a linear layer's weight. Fewer than 2^31 elements. */
  readonly shape: readonly [outFeatures: number, inFeatures: number];
}

/** One 127th in float32: the value of int8 code 1 relative to the largest magnitude in its row. */
export const INT8_UNIT = 7.874015718698502e-3;

/** packed (⌈n/2⌉) uint8, absmax (⌈n/blockSize⌉) → (out, in) of n elements. */
export const dequantizeFourBitOp: Op = {
  name: "dequantizeFourBit",
  infer: ([packed, absmax], attributes) => {
    const { shape } = requireFourBit("dequantizeFourBit", packed!, absmax!, attributes);
    return { shape, dtype: "float32" };
  },
  reference: (y, [packed, absmax], { attributes }) => {
    const weight = fourBitReader(packed!, absmax!, attributes);
    for (let i = 0; i < y.length; i++) y[i] = weight(i);
  },
};

/** x (rows, in), packed (⌈n/2⌉) uint8, absmax (⌈n/blockSize⌉) → (rows, out). */
export const matmulFourBitOp: Op = {
  name: "matmulFourBit",
  infer: ([x, packed, absmax], attributes) => {
    const [out, inner] = requireFourBit("matmulFourBit", packed!, absmax!, attributes).shape;
    if (x!.dtype !== "float32") throw new DTypeError(`matmulFourBit: x must be float32, got ${x!.dtype}; use cast`);
    if (x!.shape.length !== 2 || x!.shape[1] !== inner) {
      throw new ShapeError(
        `matmulFourBit: x must be (rows, ${inner}) for a weight (${out}, ${inner}), got ${formatShape(x!.shape)}`,
      );
    }
    return { shape: [x!.shape[0]!, out], dtype: "float32" };
  },
  // A node of its own, so that the float32 weight lives only for this product.
  vjp: (dy, [, packed, absmax], y) => [
    matmul(dy, applyOp(dequantizeFourBitOp, [packed!, absmax!], y.attributes)),
    undefined,
    undefined,
  ],
  reference: (y, [x, packed, absmax], { shape, inputShapes, attributes }) => {
    const weight = fourBitReader(packed!, absmax!, attributes);
    const [[rows, out], inner] = [shape as [number, number], inputShapes[0]![1]!];
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < out; j++) {
        let total = 0;
        for (let k = 0; k < inner; k++) total += x![i * inner + k]! * weight(j * inner + k);
        y[i * out + j] = total;
      }
    }
  },
};

/** codes (out, in) int8, scales (out) → (out, in). */
export const dequantizeInt8Op: Op = {
  name: "dequantizeInt8",
  infer: ([codes, scales]) => {
    if (codes!.dtype !== "int8" || scales!.dtype !== "float32") {
      throw new DTypeError(
        `dequantizeInt8: needs int8 codes and float32 scales, got ${codes!.dtype} and ${scales!.dtype}`,
      );
    }
    if (codes!.shape.length !== 2 || scales!.shape.length !== 1 || scales!.shape[0] !== codes!.shape[0]) {
      throw new ShapeError(
        `dequantizeInt8: needs codes (out, in) and scales (out), ` +
          `got ${formatShape(codes!.shape)} and ${formatShape(scales!.shape)}`,
      );
    }
    return { shape: codes!.shape, dtype: "float32" };
  },
  reference: (y, [codes, scales], { shape }) => {
    const columns = shape[1]!;
    for (let i = 0; i < y.length; i++) {
      y[i] = Math.fround(Math.fround(codes![i]! * scales![Math.floor(i / columns)]!) * INT8_UNIT);
    }
  },
};

/**
 * The matrix that 4-bit codes stand for, in float32: table[code] · absmax of its block, rounded once. Zeros are
 * positive. No gradients.
 * @param packed (⌈out·in/2⌉) uint8: element 2j in the high nibble of byte j, element 2j + 1 in the low one.
 * @param absmax (⌈out·in/blockSize⌉) float32: the largest magnitude of each block.
 */
export function dequantizeFourBit(packed: Tensor, absmax: Tensor, matrix: FourBitMatrix): Tensor {
  return applyOp(dequantizeFourBitOp, [packed, absmax], attributesOf(matrix));
}

/**
 * x Wᵀ for a weight W of 4-bit codes: x (rows, in) → (rows, out). W exists in float32 only while the product is
 * computed, and again for its gradient. Differentiable in x only. `dequantizeFourBit` describes `packed` and `absmax`.
 */
export function matmulFourBit(x: Tensor, packed: Tensor, absmax: Tensor, matrix: FourBitMatrix): Tensor {
  return applyOp(matmulFourBitOp, [x, packed, absmax], attributesOf(matrix));
}

/**
 * The matrix that LLM.int8's row-wise codes stand for (Dettmers et al. 2022, arXiv:2208.07339), in float32:
 * code · scale, rounded, times one 127th, rounded, as bitsandbytes computes it. No gradients.
 * @param codes (out, in) int8.
 * @param scales (out) float32: the largest magnitude of each row (SCB).
 */
export function dequantizeInt8(codes: Tensor, scales: Tensor): Tensor {
  return applyOp(dequantizeInt8Op, [codes, scales]);
}

function attributesOf({ type, blockSize, shape }: FourBitMatrix): Attributes {
  return { type, blockSize, shape };
}

/**
 * The attributes as a `FourBitMatrix`.
 * @throws ShapeError or DTypeError if they are invalid or the inputs do not fit.
 */
function requireFourBit(where: string, packed: TensorSpec, absmax: TensorSpec, attributes: Attributes): FourBitMatrix {
  const { type, blockSize, shape } = attributes as unknown as FourBitMatrix;
  if (!Object.hasOwn(FOUR_BIT_CODES, type)) throw new DTypeError(`${where}: type must be nf4 or fp4, got ${type}`);
  if (!Number.isInteger(Math.log2(blockSize)) || blockSize < 16 || blockSize > 4096) {
    throw new ShapeError(`${where}: block size must be a power of two from 16 to 4096, got ${blockSize}`);
  }
  const size = shape[0] * shape[1];
  if (shape.length !== 2 || !shape.every((n) => Number.isInteger(n) && n > 0) || size >= 2 ** 31) {
    throw new ShapeError(
      `${where}: the weight must be (out, in) with at least 1 and fewer than 2^31 elements, got ${formatShape(shape)}`,
    );
  }
  if (packed.dtype !== "uint8" || absmax.dtype !== "float32") {
    throw new DTypeError(`${where}: needs uint8 packed and float32 absmax, got ${packed.dtype} and ${absmax.dtype}`);
  }
  const [bytes, blocks] = [formatShape([Math.ceil(size / 2)]), formatShape([Math.ceil(size / blockSize)])];
  if (formatShape(packed.shape) !== bytes || formatShape(absmax.shape) !== blocks) {
    throw new ShapeError(
      `${where}: a weight ${formatShape(shape)} in blocks of ${blockSize} has packed ${bytes} and absmax ${blocks}, ` +
        `got ${formatShape(packed.shape)} and ${formatShape(absmax.shape)}`,
    );
  }
  return { type, blockSize, shape };
}

/**
 * Returns a reader of element i of the weight: a float32 number, whatever type the rest is computed in. Zeros are
 * positive, since devices dequantize by a sum that starts from zero.
 */
function fourBitReader(packed: NumericArray, absmax: NumericArray, attributes: Attributes): (i: number) => number {
  const { type, blockSize } = attributes as unknown as FourBitMatrix;
  const table = FOUR_BIT_CODES[type];
  return (i) => {
    const byte = packed[i >>> 1]!;
    return Math.fround(table[i % 2 === 0 ? byte >>> 4 : byte & 15]! * absmax[Math.floor(i / blockSize)]!) + 0;
  };
}
