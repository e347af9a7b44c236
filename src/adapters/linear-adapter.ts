import { ConfigError } from "../base/errors.js";
import { applyLinear } from "../nn/linear.js";
import { Module } from "../nn/module.js";
import type { Rng } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import type { LayerInputs } from "./low-rank-approximation.js";

/**
 * A trainable change ΔW of a linear layer's weight: y = x (W + ΔW)ᵀ with W frozen. A subclass says how ΔW is made of
 * few parameters and starts out changing nothing.
 */
export abstract class LinearAdapter extends Module {
  readonly inFeatures: number;
  readonly outFeatures: number;

  constructor(inFeatures: number, outFeatures: number) {
    super();
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
  }

  /**
   * Starts over: redraws the parameters so that ΔW is zero. Optimizer state for them is stale afterwards.
   * @param directions which of the parts that ΔW is the sum of, from 0; all by default. An adapter that is no such
   * sum has no choice.
   */
  abstract reset(rng: Rng, directions?: readonly number[]): void;

  /** ΔW for the present parameters, scaling included: (outFeatures, inFeatures). */
  abstract calculateWeightUpdate(): Tensor;

  /**
   * The gain of ΔW since the adapter began: ΔW itself, unless it began elsewhere than at zero.
   * @param _directions of which of its parts, as for `reset`.
   */
  calculateLearnedUpdate(_directions?: readonly number[]): Tensor {
    return this.calculateWeightUpdate();
  }

  /**
   * Starts over near `update` (outFeatures, inFeatures) instead of at zero: as near as the adapter can come in what
   * it makes of `inputs`, or of any input where none are given. @throws ConfigError for adapters that can only start
   * at zero.
   */
  async startNear(_update: Float32Array, _rng: Rng, _inputs?: LayerInputs): Promise<void> {
    throw new ConfigError(`${this.constructor.name} can only start at zero; use another merge policy than residual`);
  }

  /**
   * x ΔWᵀ, the adapter's part of the output. x: (…, inFeatures) → (…, outFeatures).
   * @param _product x Wᵀ, which the layer computes anyway, for a ΔW that depends on W.
   */
  forward(x: Tensor, _product?: Tensor): Tensor {
    return applyLinear(x, this.calculateWeightUpdate());
  }

  /** Draws anew whatever is random in training forward passes. Nothing by default. */
  redrawDropout(_rng: Rng): void {}
}
