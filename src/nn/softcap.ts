import { mul, sub, tanh } from "../ops/elementwise.js";
import type { Tensor } from "../tensor/tensor.js";

/**
 * cap · tanh(x / cap), which stays within ± cap; x itself without a cap (Gemma Team 2024, arXiv:2408.00118, section 2).
 */
export function softcap(x: Tensor, cap: number | undefined): Tensor {
  return cap === undefined ? x : mul(tanh(mul(x, 1 / cap)), cap);
}

/** Derivative of `softcap` where it gave `capped`; undefined without a cap. */
export function softcapSlope(capped: Tensor, cap: number | undefined): Tensor | undefined {
  if (cap === undefined) return undefined;
  const share = mul(capped, 1 / cap);
  return sub(1, mul(share, share));
}
