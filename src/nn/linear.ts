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
  abstract forward(x: Tensor): Tensor;
}

/** A linear layer with a float32 weight. */
export class Linear extends LinearLayer {
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** (outFeatures, inFeatures), as in PyTorch. */
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

/** x Wᵀ. x: (…, inFeatures), weight: (outFeatures, inFeatures). */
export function applyLinear(x: Tensor, weight: Tensor): Tensor {
  return mapRows(x, (rows) => matmul(rows, weight, { transposeB: true }));
}

/** `product` of a matrix (rows, inFeatures), applied with all but the last axis of x taken as rows: one large product instead of many. */
export function mapRows(x: Tensor, product: (rows: Tensor) => Tensor): Tensor {
  const inFeatures = x.shape.at(-1)!;
  const y = product(reshape(x, [x.size / inFeatures, inFeatures]));
  return reshape(y, [...x.shape.slice(0, -1), y.shape[1]!]);
}
