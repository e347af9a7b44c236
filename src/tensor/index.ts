export type { DType, HostTensor, TypedArray } from "./dtype.js";
export { Rng } from "./random.js";
export type { Shape } from "./shape.js";
export { applyOp, computeTogether, type Op, placeholder, Tensor, type TensorSpec, tensor } from "./tensor.js";
