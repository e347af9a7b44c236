import { applyOp, type Op, type Tensor } from "../tensor/tensor.js";

/**
 * `value` with a gradient of the caller's own: `vjp(dy, inputs)` gives the gradients with respect to `inputs`, on
 * which the result then depends for differentiation; it must use the inputs that it is given. The function itself is `value` unchanged; devices compute nothing extra.
 */
export function withGradient(
  value: Tensor,
  inputs: readonly Tensor[],
  vjp: (dy: Tensor, inputs: readonly Tensor[]) => readonly (Tensor | undefined)[],
): Tensor {
  const op: Op = {
    name: "alias",
    infer: ([spec]) => spec!,
    vjp: (dy, [, ...sources]) => [undefined, ...vjp(dy, sources)],
    reference: (y, [x]) => y.set(x!),
  };
  return applyOp(op, [value, ...inputs]);
}

/** `x` as a constant: no gradient flows through. */
export function stopGradient(x: Tensor): Tensor {
  return withGradient(x, [], () => []);
}
