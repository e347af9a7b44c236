import { COUNT, NOT_NEGATIVE, requireEach } from "../base/arguments.js";
import { add } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import { reshape } from "../ops/movement.js";
import type { Rng } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import { normal } from "./initializers.js";
import { Module, Parameter } from "./module.js";
import { requireMatrix } from "./weight-shape.js";

/** A linear layer, however it stores its weight: y = x Wᵀ + b. x: (…, inFeatures) → (…, outFeatures). */
export abstract class LinearLayer extends Module {
  abstract readonly inFeatures: number;
  abstract readonly outFeatures: number;
  /** (outFeatures); undefined if the layer has none. */
  abstract readonly bias: Parameter | undefined;
  abstract forward(x: Tensor): Tensor;
}

/** A linear layer with a float32 weight. */
export class Linear extends LinearLayer {
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** (outFeatures, inFeatures), as in PyTorch. */
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;

  /** @throws ShapeError unless the weight has two axes. */
  constructor(weight: Parameter, bias?: Parameter) {
    super();
    requireMatrix("Linear", weight);
    [this.outFeatures, this.inFeatures] = weight.shape as [number, number];
    this.weight = weight;
    this.bias = bias;
  }

  /**
   * Draws weights from Normal(0, standardDeviation); LLaMA's initializer_range is 0.02. A bias starts at zero.
   * @throws ConfigError unless the sizes are integers of at least 1 and the deviation is finite and not negative.
   */
  static random(
    inFeatures: number,
    outFeatures: number,
    rng: Rng,
    standardDeviation = 0.02,
    { bias = false }: { readonly bias?: boolean } = {},
  ): Linear {
    requireEach("Linear", COUNT, { inFeatures, outFeatures });
    requireEach("Linear", NOT_NEGATIVE, { standardDeviation });
    const shape = [outFeatures, inFeatures];
    const weight = new Parameter(() => normal(shape, standardDeviation, rng), shape);
    return new Linear(weight, bias ? new Parameter(() => new Float32Array(outFeatures), [outFeatures]) : undefined);
  }

  override forward(x: Tensor): Tensor {
    return addBias(applyLinear(x, this.weight), this.bias);
  }
}

/** y + b, or y without a bias. */
export function addBias(y: Tensor, bias: Tensor | undefined): Tensor {
  return bias === undefined ? y : add(y, bias);
}

/** x Wᵀ. x: (…, inFeatures), weight: (outFeatures, inFeatures). */
export function applyLinear(x: Tensor, weight: Tensor): Tensor {
  return mapRows(x, (rows) => matmul(rows, weight, { transposeB: true }));
}

/**
 * Applies `product`, defined for a matrix (rows, inFeatures), with all but the last axis of x taken as rows: one large
 * product instead of many.
 */
export function mapRows(x: Tensor, product: (rows: Tensor) => Tensor): Tensor {
  const inFeatures = x.shape.at(-1)!;
  const y = product(reshape(x, [x.size / inFeatures, inFeatures]));
  return reshape(y, [...x.shape.slice(0, -1), y.shape[1]!]);
}
