// Addresses are in bytes. An `end` lies after the start that it belongs to: loops with the condition last are a seventh
// faster, and run at least once.
export { adamw } from "./adamw";
export { dequantizeFourBit, quantizeFourBit } from "./four-bit";
export { dequantizeInt8, quantizeInt8 } from "./int8";
export { sumOfSquares } from "./sum-of-squares";
