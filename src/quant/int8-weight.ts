import { COUNT, requireEach } from "../base/arguments.js";
import { matmul } from "../ops/matmul.js";
import { dequantizeInt8 as dequantizeNode } from "../ops/quantized.js";
import { lazySource, Tensor } from "../tensor/tensor.js";
import { dequantizeInt8, type Int8Rows, quantizeInt8 } from "./int8.js";
import { QuantizedWeight } from "./quantized-weight.js";
import { createQuantizer, type Quantizer } from "./quantizer.js";
import type { Rounding } from "./rounding.js";

/** An int8 matrix with a scale per row (Dettmers et al. 2022, arXiv:2208.07339). */
export class Int8Weight extends QuantizedWeight {
  readonly quantizer: Quantizer = createQuantizer("int8");
  readonly shape: readonly [outFeatures: number, inFeatures: number];
  readonly #codes: Tensor; // (outFeatures, inFeatures) int8
  readonly #scales: Tensor; // (outFeatures)
  #arrays: Int8Rows | undefined;

  /** @throws ConfigError unless the sizes are integers of at least 1. */
  constructor(shape: readonly [outFeatures: number, inFeatures: number], arrays?: Int8Rows) {
    super();
    const [outFeatures, inFeatures] = shape;
    requireEach("Int8Weight", COUNT, { outFeatures, inFeatures });
    this.shape = shape;
    this.#arrays = arrays;
    this.#codes = new Tensor(
      { shape, dtype: "int8" },
      lazySource(() => this.arrays.codes),
    );
    this.#scales = new Tensor(
      { shape: [shape[0]], dtype: "float32" },
      lazySource(() => this.arrays.scales),
    );
  }

  /** The arrays themselves, zero-filled if nothing was assigned yet. */
  get arrays(): Int8Rows {
    this.#arrays ??= { codes: new Int8Array(this.size), scales: new Float32Array(this.shape[0]) };
    return this.#arrays;
  }

  override get byteLength(): number {
    return this.size + 4 * this.shape[0];
  }

  override dequantize(): Tensor {
    return dequantizeNode(this.#codes, this.#scales);
  }

  override values(): Float32Array {
    return dequantizeInt8(this.arrays, this.#rows);
  }

  override assign(values: Float32Array, rounding: Rounding = "nearest"): void {
    quantizeInt8(values, this.#rows, { rounding, into: this.arrays });
  }

  override snapshot(): Int8Array {
    return this.arrays.codes.slice();
  }

  override countChanged(snapshot: Int8Array): number {
    const { codes } = this.arrays;
    let changed = 0;
    for (let i = 0; i < codes.length; i++) changed += Number(codes[i] !== snapshot[i]);
    return changed;
  }

  protected override product(x: Tensor): Tensor {
    return matmul(x, this.dequantize(), { transposeB: true });
  }

  get #rows(): { rows: number; columns: number } {
    return { rows: this.shape[0], columns: this.shape[1] };
  }
}
