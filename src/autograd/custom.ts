import { applyOp, type Op, type Tensor } from "../tensor/tensor.js";

/**
 * `value` with a custom gradient: `vjp(dy, inputs, value)` returns the gradients with respect to `inputs`, computed
 * from the inputs and the value it is given, which `checkpoint` may have computed again. Differentiation sees the
 * result as a function of `inputs`. The value is unchanged; devices compute nothing extra.
 */
export function withGradient(
  value: Tensor,
  inputs: readonly Tensor[],
  vjp: (dy: Tensor, inputs: readonly Tensor[], value: Tensor) => readonly (Tensor | undefined)[],
): Tensor {
  const op: Op = {
    name: "alias",
    infer: ([spec]) => spec!,
    vjp: (dy, [, ...sources], value) => [undefined, ...vjp(dy, sources, value)],
    reference: (y, [x]) => y.set(x!),
  };
  return applyOp(op, [value, ...inputs]);
}

/** `x` as a constant: no gradient flows through. */
export function stopGradient(x: Tensor): Tensor {
  return withGradient(x, [], () => []);
}
