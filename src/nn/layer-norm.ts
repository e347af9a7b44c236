import { COUNT, NOT_NEGATIVE, requireEach } from "../base/arguments.js";
import { add, sub } from "../ops/elementwise.js";
import { rmsNorm } from "../ops/norm.js";
import { mean } from "../ops/reduce.js";
import type { Tensor } from "../tensor/tensor.js";
import { Parameter } from "./module.js";
import { Norm } from "./norm.js";

/**
 * y = (x − mean(x)) / √(var(x) + epsilon) · weight + bias (Ba et al. 2016, arXiv:1607.06450). x: (…, dim) → (…, dim).
 */
export class LayerNorm extends Norm {
  readonly weight: Parameter; // (dim), starts at one
  readonly bias: Parameter; // (dim), starts at zero
  readonly epsilon: number;

  /** @throws ConfigError unless dim is an integer of at least 1 and epsilon finite and not negative. */
  constructor(dim: number, { epsilon = 1e-5 }: { epsilon?: number } = {}) {
    super();
    requireEach("LayerNorm", COUNT, { dim });
    requireEach("LayerNorm", NOT_NEGATIVE, { epsilon });
    this.weight = new Parameter(() => new Float32Array(dim).fill(1), [dim]);
    this.bias = new Parameter(() => new Float32Array(dim), [dim]);
    this.epsilon = epsilon;
  }

  forward(x: Tensor): Tensor {
    // The variance is the mean square of the centred values.
    const centred = sub(x, mean(x, { axes: [-1], keepDims: true }));
    return add(rmsNorm(centred, this.weight, this.epsilon), this.bias);
  }
}
