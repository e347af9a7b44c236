import { withGradient } from "../autograd/custom.js";
import { add, erf, exp, mul, sigmoid, sub } from "../ops/elementwise.js";
import type { Tensor } from "../tensor/tensor.js";

/** GELU: x · Φ(x) with Φ the normal distribution (Hendrycks & Gimpel 2016, arXiv:1606.08415). */
export function gelu(x: Tensor): Tensor {
  const share = mul(add(erf(mul(x, Math.SQRT1_2)), 1), 0.5);
  return gated(x, share, (input) => mul(exp(mul(mul(input, input), -0.5)), 1 / Math.sqrt(2 * Math.PI)));
}

/** GELU with Φ(x) approximated by ½ (1 + tanh u) = σ(2u), u = √(2/π) (x + 0.044715 x³), from the same paper. */
export function geluTanh(x: Tensor): Tensor {
  const [linear, cubic] = [2 * Math.sqrt(2 / Math.PI), 2 * Math.sqrt(2 / Math.PI) * 0.044715];
  const share = sigmoid(mul(x, add(mul(mul(x, x), cubic), linear)));
  return gated(x, share, (input) => mul(mul(share, sub(1, share)), add(mul(mul(input, input), 3 * cubic), linear)));
}

/** x · share. The backward pass needs only x and the share. */
function gated(x: Tensor, share: Tensor, slope: (x: Tensor) => Tensor): Tensor {
  return withGradient(mul(x, share), [x], (dy, [input]) => [mul(dy, add(share, mul(input!, slope(input!))))]);
}
