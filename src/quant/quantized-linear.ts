import { LinearLayer, mapRows } from "../nn/linear.js";
import type { Tensor } from "../tensor/tensor.js";
import { FourBitWeight } from "./four-bit-weight.js";
import { Int8Weight } from "./int8-weight.js";
import type { QuantizedWeight } from "./quantized-weight.js";
import type { Quantizer } from "./quantizer.js";

/** y = x Wᵀ with W frozen and quantized. */
export class QuantizedLinear extends LinearLayer {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly weight: QuantizedWeight;

  constructor(weight: QuantizedWeight) {
    super();
    [this.outFeatures, this.inFeatures] = weight.shape;
    this.weight = weight;
  }

  override forward(x: Tensor): Tensor {
    return mapRows(x, (rows) => this.weight.matmul(rows));
  }
}

/** A weight of zeros, to be assigned to. */
export function createQuantizedWeight(
  shape: readonly [outFeatures: number, inFeatures: number],
  quantizer: Quantizer,
): QuantizedWeight {
  const { format } = quantizer;
  return format === "int8" ? new Int8Weight(shape) : new FourBitWeight(shape, { ...quantizer, format });
}
