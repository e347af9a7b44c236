import { applyLinear, Linear, mapRows } from "../nn/linear.js";
import type { QuantizedLinear } from "../quant/quantized-linear.js";
import type { Tensor } from "../tensor/tensor.js";

/** The weight under an adapter, whatever holds it: (outFeatures, inFeatures). */
export interface FrozenWeight {
  /** x Wᵀ. x: (…, inFeatures) → (…, outFeatures). */
  product(x: Tensor): Tensor;
  /** The weight in float32, as part of a graph. */
  tensor(): Tensor;
  /** The weight in float32, row-major, as it is now; not to be written to. */
  values(): Float32Array;
}

/** The weight of a layer, read when it is asked for. */
export function frozenWeight(linear: Linear | QuantizedLinear): FrozenWeight {
  if (linear instanceof Linear) {
    const { weight } = linear;
    return { product: (x) => applyLinear(x, weight), tensor: () => weight, values: () => weight.read() };
  }
  const { weight } = linear;
  return {
    product: (x) => mapRows(x, (rows) => weight.matmul(rows)),
    tensor: () => weight.dequantize(),
    values: () => weight.values(),
  };
}
