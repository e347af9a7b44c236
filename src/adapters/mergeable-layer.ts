import { applyLinear, LinearLayer } from "../nn/linear.js";
import type { Parameter } from "../nn/module.js";
import { add } from "../ops/elementwise.js";
import { ShapeError } from "../tensor/errors.js";
import type { Rng } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import type { LinearAdapter } from "./linear-adapter.js";

/** A linear layer with a frozen weight and an adapter that can be folded into it. */
export abstract class MergeableLayer extends LinearLayer {
  abstract readonly adapter: LinearAdapter;

  /**
   * Folds the adapter into the layer's own weight, W ← W + ΔW, and resets the adapter, so that the function that the
   * layer computes stays the same up to rounding. Optimizer state of the adapter's parameters is stale afterwards.
   */
  abstract mergeAdapter(rng: Rng): Promise<void>;
}

/** A `MergeableLayer` whose weight is held in float32. */
export class MergeableLinear extends MergeableLayer {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly weight: Parameter;
  readonly adapter: LinearAdapter;

  /** Freezes and shares the weight of `linear`. @throws ShapeError if the adapter is for another size of layer. */
  constructor(linear: LinearLayer, adapter: LinearAdapter) {
    super();
    this.inFeatures = linear.inFeatures;
    this.outFeatures = linear.outFeatures;
    if (adapter.inFeatures !== this.inFeatures || adapter.outFeatures !== this.outFeatures) {
      throw new ShapeError(
        `MergeableLinear: layer maps ${this.inFeatures} to ${this.outFeatures} features, adapter ${adapter.inFeatures} to ${adapter.outFeatures}`,
      );
    }
    this.weight = linear.weight;
    this.weight.trainable = false;
    this.adapter = adapter;
  }

  override forward(x: Tensor): Tensor {
    return add(applyLinear(x, this.weight), this.adapter.forward(x));
  }

  override async mergeAdapter(rng: Rng): Promise<void> {
    const merged = await add(this.weight, this.adapter.calculateWeightUpdate()).data();
    this.weight.assign(merged);
    this.adapter.reset(rng);
  }
}
