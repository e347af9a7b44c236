import { COUNT, FLAG, type Kinds, oneOf, requireArguments } from "../base/arguments.js";
import { add, cast, mul } from "../ops/elementwise.js";
import { FOUR_BIT_CODES, type FourBitType } from "../ops/four-bit-codes.js";
import { gatherRows } from "../ops/gather.js";
import { pad, reshape, slice } from "../ops/movement.js";
import { dequantizeFourBit as dequantizeNode, type FourBitMatrix, matmulFourBit } from "../ops/quantized.js";
import { lazySource, Tensor } from "../tensor/tensor.js";
import { NESTED_BLOCK_SIZE, type NestedAbsmax, nestAbsmax, restoreAbsmax } from "./double-quantization.js";
import { BLOCK_SIZE, dequantizeFourBit, quantizeFourBit } from "./four-bit.js";
import { QuantizedWeight } from "./quantized-weight.js";
import type { Quantizer } from "./quantizer.js";
import type { Rounding } from "./rounding.js";

/** The arrays of an NF4 or FP4 weight, packed as in bitsandbytes. */
export interface FourBitArrays {
  /** Element 2j in the high half of byte j. */
  readonly packed: Uint8Array;
  /** The largest magnitude of each block; nested under double quantization. */
  readonly absmax: Float32Array | NestedAbsmax;
}

const KINDS = {
  ...{ outFeatures: COUNT, inFeatures: COUNT },
  ...{ format: oneOf(Object.keys(FOUR_BIT_CODES)), blockSize: BLOCK_SIZE, doubleQuant: FLAG },
} as const satisfies Kinds;

/** An NF4 or FP4 matrix: 4 bits per element and a scale per block of the flattened matrix. Blocks may straddle rows. */
export class FourBitWeight extends QuantizedWeight {
  readonly quantizer: Quantizer & { readonly format: FourBitType };
  readonly shape: readonly [outFeatures: number, inFeatures: number];
  readonly #leaves: Readonly<Record<"packed" | keyof NestedAbsmax, Tensor>>;
  #arrays: FourBitArrays | undefined;

  /** @throws ConfigError for sizes, a format or blocks that there are not. */
  constructor(
    shape: readonly [outFeatures: number, inFeatures: number],
    quantizer: Quantizer & { readonly format: FourBitType },
    arrays?: FourBitArrays,
  ) {
    super();
    const [outFeatures, inFeatures] = shape;
    requireArguments("FourBitWeight", KINDS, { ...quantizer, outFeatures, inFeatures });
    this.shape = shape;
    this.quantizer = quantizer;
    this.#arrays = arrays;
    const nested = (): NestedAbsmax => this.arrays.absmax as NestedAbsmax;
    const float = (length: number, make: () => Float32Array): Tensor =>
      new Tensor({ shape: [length], dtype: "float32" }, lazySource(make));
    const bytes = (length: number, make: () => Uint8Array): Tensor =>
      new Tensor({ shape: [length], dtype: "uint8" }, lazySource(make));
    const groups = Math.ceil(this.#blocks / NESTED_BLOCK_SIZE);
    this.#leaves = {
      packed: bytes(Math.ceil(this.size / 2), () => this.arrays.packed),
      codes: bytes(this.#blocks, () => nested().codes),
      absmax: quantizer.doubleQuant
        ? float(groups, () => nested().absmax)
        : float(this.#blocks, () => this.arrays.absmax as Float32Array),
      offset: float(1, () => nested().offset),
      map: float(256, () => nested().map),
    };
  }

  /** The arrays themselves, zero-filled if nothing was assigned yet. */
  get arrays(): FourBitArrays {
    this.#arrays ??= {
      packed: new Uint8Array(Math.ceil(this.size / 2)),
      absmax: this.quantizer.doubleQuant ? nestAbsmax(new Float32Array(this.#blocks)) : new Float32Array(this.#blocks),
    };
    return this.#arrays;
  }

  override get byteLength(): number {
    const { doubleQuant } = this.quantizer;
    const scales = doubleQuant
      ? this.#blocks + 4 * (Math.ceil(this.#blocks / NESTED_BLOCK_SIZE) + 257)
      : 4 * this.#blocks;
    return Math.ceil(this.size / 2) + scales;
  }

  override dequantize(): Tensor {
    return dequantizeNode(this.#leaves.packed, this.#absmax(), this.#matrix);
  }

  override values(): Float32Array {
    const { packed, absmax } = this.arrays;
    const scales = absmax instanceof Float32Array ? absmax : restoreAbsmax(absmax);
    return dequantizeFourBit({ packed, absmax: scales }, this.#format, this.size);
  }

  override assign(values: Float32Array, rounding: Rounding = "nearest"): void {
    const { packed, absmax } = this.arrays;
    if (absmax instanceof Float32Array) {
      quantizeFourBit(values, this.#format, { rounding, into: { packed, absmax } });
      return;
    }
    const scales = new Float32Array(this.#blocks);
    quantizeFourBit(values, this.#format, { rounding, into: { packed, absmax: scales } });
    nestAbsmax(scales, absmax);
  }

  override snapshot(): Uint8Array {
    return this.arrays.packed.slice();
  }

  override countChanged(snapshot: Uint8Array): number {
    const { packed } = this.arrays;
    let changed = 0;
    for (let i = 0; i < packed.length; i++) {
      const difference = packed[i]! ^ snapshot[i]!;
      changed += Number((difference & 0xf0) !== 0) + Number((difference & 0x0f) !== 0);
    }
    return changed;
  }

  protected override product(x: Tensor): Tensor {
    return matmulFourBit(x, this.#leaves.packed, this.#absmax(), this.#matrix);
  }

  get #blocks(): number {
    return Math.ceil(this.size / this.quantizer.blockSize);
  }

  get #format(): { type: FourBitType; blockSize: number } {
    return { type: this.quantizer.format, blockSize: this.quantizer.blockSize };
  }

  get #matrix(): FourBitMatrix {
    return { ...this.#format, shape: this.shape };
  }

  /** The scales in float32. Nested ones are restored anew by each graph: map[code] · nested absmax + offset. */
  #absmax(): Tensor {
    const { codes, absmax, offset, map } = this.#leaves;
    if (!this.quantizer.doubleQuant) return absmax;
    const padded = absmax.size * NESTED_BLOCK_SIZE;
    const mapped = gatherRows(reshape(map, [256, 1]), cast(codes, "int32"));
    const groups = reshape(pad(mapped, 0, 0, padded - this.#blocks), [absmax.size, NESTED_BLOCK_SIZE]);
    const scaled = reshape(mul(groups, reshape(absmax, [absmax.size, 1])), [padded]);
    return add(slice(scaled, 0, 0, this.#blocks), offset);
  }
}
