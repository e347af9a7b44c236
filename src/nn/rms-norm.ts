import { rmsNorm } from "../ops/norm.js";
import type { Tensor } from "../tensor/tensor.js";
import { Parameter } from "./module.js";
import { Norm } from "./norm.js";

/** y = x / √(mean(x²) + epsilon) · weight (Zhang & Sennrich 2019, arXiv:1910.07467). x: (…, dim) → (…, dim). */
export class RMSNorm extends Norm {
  readonly weight: Parameter; // (dim), starts at one
  readonly epsilon: number;

  constructor(dim: number, { epsilon = 1e-6 }: { epsilon?: number } = {}) {
    super();
    this.weight = new Parameter(() => new Float32Array(dim).fill(1), [dim]);
    this.epsilon = epsilon;
  }

  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight, this.epsilon);
  }
}
