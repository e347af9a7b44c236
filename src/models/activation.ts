import { gelu, geluTanh } from "../nn/gelu.js";
import { silu } from "../ops/elementwise.js";
import type { Tensor } from "../tensor/tensor.js";

export type Activation = (x: Tensor) => Tensor;

/** Activations by their names in Hugging Face configs. `gelu_fast` factors the same polynomial as `gelu_new`. */
export const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  gelu,
  gelu_new: geluTanh,
  gelu_fast: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  silu,
};

/** Name of an activation; the first of several that mean the same. */
export function activationName(activation: Activation): string {
  return Object.keys(ACTIVATIONS).find((name) => ACTIVATIONS[name] === activation)!;
}
