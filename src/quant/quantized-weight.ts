import { withGradient } from "../autograd/custom.js";
import { matmul } from "../ops/matmul.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Quantizer } from "./quantizer.js";
import type { Rounding } from "./rounding.js";

/**
 * A frozen matrix (outFeatures, inFeatures) that stays quantized in memory. Its arrays are made on first use and then
 * stay in place, so programs compiled over the weight see values assigned later.
 */
export abstract class QuantizedWeight {
  abstract readonly quantizer: Quantizer;
  abstract readonly shape: readonly [outFeatures: number, inFeatures: number];

  /** Size of codes and scales in bytes. */
  abstract readonly byteLength: number;

  /** The matrix in float32, as a tensor of a graph. */
  abstract dequantize(): Tensor;

  /** The matrix in float32, row-major, computed immediately. */
  abstract values(): Float32Array;

  /**
   * Quantizes `values`, row-major, into the weight's own memory.
   * @throws NumericError for values that are not finite, ShapeError if their number is wrong.
   */
  abstract assign(values: Float32Array, rounding?: Rounding): void;

  /** A copy of the codes, to compare with later ones. */
  abstract snapshot(): Uint8Array | Int8Array;

  /** Number of elements whose code differs from the snapshot. */
  abstract countChanged(snapshot: Uint8Array | Int8Array): number;

  /**
   * x Wᵀ. x: (rows, inFeatures) → (rows, outFeatures). The backward pass dequantizes again: nothing is kept in float32.
   */
  matmul(x: Tensor): Tensor {
    return withGradient(this.product(x), [x], (dy) => [matmul(dy, this.dequantize())]);
  }

  /** Number of elements. */
  get size(): number {
    return this.shape[0] * this.shape[1];
  }

  protected abstract product(x: Tensor): Tensor;
}
