export type { NestedAbsmax } from "./double-quantization.js";
export { type FourBitArrays, FourBitWeight } from "./four-bit-weight.js";
export type { Int8Rows } from "./int8.js";
export { Int8Weight } from "./int8-weight.js";
export { createQuantizedWeight, QuantizedLinear } from "./quantized-linear.js";
export { QuantizedWeight } from "./quantized-weight.js";
export {
  createQuantizer,
  describeQuantizer,
  QUANTIZATION_FORMATS,
  type QuantizationFormat,
  type Quantizer,
} from "./quantizer.js";
export type { Rounding } from "./rounding.js";
