import { COUNT, FINITE, NOT_NEGATIVE, requireEach } from "../base/arguments.js";
import { add } from "../ops/elementwise.js";
import { rmsNorm } from "../ops/norm.js";
import type { Tensor } from "../tensor/tensor.js";
import { Parameter } from "./module.js";
import { Norm } from "./norm.js";

export interface RMSNormOptions {
  /** Default 1e-6. */
  readonly epsilon?: number;
  /** Added to the weight. Gemma stores the distance from 1 and sets 1. Default 0. */
  readonly offset?: number;
}

/**
 * y = x / √(mean(x²) + epsilon) · (offset + weight) (Zhang & Sennrich 2019, arXiv:1910.07467). x: (…, dim) → (…, dim).
 */
export class RMSNorm extends Norm {
  readonly weight: Parameter; // (dim), starts at 1 − offset
  readonly epsilon: number;
  readonly offset: number;

  /** @throws ConfigError unless dim is an integer of at least 1, epsilon finite and not negative, and offset finite. */
  constructor(dim: number, { epsilon = 1e-6, offset = 0 }: RMSNormOptions = {}) {
    super();
    requireEach("RMSNorm", COUNT, { dim });
    requireEach("RMSNorm", NOT_NEGATIVE, { epsilon });
    requireEach("RMSNorm", FINITE, { offset });
    this.weight = new Parameter(() => new Float32Array(dim).fill(1 - offset), [dim]);
    this.epsilon = epsilon;
    this.offset = offset;
  }

  forward(x: Tensor): Tensor {
    return rmsNorm(x, add(this.weight, this.offset), this.epsilon);
  }
}
