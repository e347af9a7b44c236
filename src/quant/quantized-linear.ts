import { addBias, LinearLayer, mapRows } from "../nn/linear.js";
import type { Parameter } from "../nn/module.js";
import type { Tensor } from "../tensor/tensor.js";
import { FourBitWeight } from "./four-bit-weight.js";
import { Int8Weight } from "./int8-weight.js";
import type { QuantizedWeight } from "./quantized-weight.js";
import type { Quantizer } from "./quantizer.js";

/** y = x Wᵀ + b with W frozen and quantized. */
export class QuantizedLinear extends LinearLayer {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly weight: QuantizedWeight;
  readonly bias: Parameter | undefined;

  constructor(weight: QuantizedWeight, bias?: Parameter) {
    super();
    [this.outFeatures, this.inFeatures] = weight.shape;
    this.weight = weight;
    this.bias = bias;
  }

  override forward(x: Tensor): Tensor {
    return addBias(
      mapRows(x, (rows) => this.weight.matmul(rows)),
      this.bias,
    );
  }
}

/** A weight of zeros, to be assigned later. */
export function createQuantizedWeight(
  shape: readonly [outFeatures: number, inFeatures: number],
  quantizer: Quantizer,
): QuantizedWeight {
  const { format } = quantizer;
  return format === "int8" ? new Int8Weight(shape) : new FourBitWeight(shape, { ...quantizer, format });
}
