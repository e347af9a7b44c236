import { matmul } from "../ops/matmul.js";
import { reshape } from "../ops/movement.js";
import type { Rng } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import { normal } from "./initializers.js";
import { Module, Parameter } from "./module.js";

/** y = x Wᵀ: a linear layer without bias, whatever holds its weight. x: (…, inFeatures) → (…, outFeatures). */
export abstract class LinearLayer extends Module {
  abstract readonly inFeatures: number;
  abstract readonly outFeatures: number;
  /** (outFeatures, inFeatures), as in PyTorch. */
  abstract readonly weight: Parameter;
  abstract forward(x: Tensor): Tensor;
}

export class Linear extends LinearLayer {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly weight: Parameter;

  constructor(weight: Parameter) {
    super();
    [this.outFeatures, this.inFeatures] = weight.shape as [number, number];
    this.weight = weight;
  }

  /** Normal(0, standardDeviation) weights; LLaMA's initializer_range is 0.02. */
  static random(inFeatures: number, outFeatures: number, rng: Rng, standardDeviation = 0.02): Linear {
    const shape = [outFeatures, inFeatures];
    return new Linear(new Parameter(() => normal(shape, standardDeviation, rng), shape));
  }

  override forward(x: Tensor): Tensor {
    return applyLinear(x, this.weight);
  }
}

/** x Wᵀ with all but the last axis of x taken as rows: one large product instead of many. */
export function applyLinear(x: Tensor, weight: Tensor): Tensor {
  const inFeatures = x.shape.at(-1)!;
  const rows = reshape(x, [x.size / inFeatures, inFeatures]);
  return reshape(matmul(rows, weight, { transposeB: true }), [...x.shape.slice(0, -1), weight.shape[0]!]);
}
