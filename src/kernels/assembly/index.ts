// The kernels: loops that JavaScript, which has no vectors, would take several times as long for. Addresses are in
// bytes. Each range holds something, as loops run at least once: with the condition last they are a seventh faster.
export { adamw } from "./adamw";
export { add } from "./add";
export { dequantizeFourBit, quantizeFourBit } from "./four-bit";
export { dequantizeInt8, quantizeInt8 } from "./int8";
export { searchSymmetric, searchWithMinimum } from "./scale-search";
export { sumOfSquares } from "./sum-of-squares";
