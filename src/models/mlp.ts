import { Linear, type LinearLayer } from "../nn/linear.js";
import { Module } from "../nn/module.js";
import { mul } from "../ops/elementwise.js";
import type { Rng } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import type { Activation } from "./activation.js";

export interface MLPSizes {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly activation: Activation;
  /** Standard deviation of random weights. */
  readonly initializerRange: number;
}

/** down(activation(up(x))), with biases. x: (batch · time, hidden) → same. */
export class MLP extends Module {
  upProj: LinearLayer;
  downProj: LinearLayer;

  readonly #activation: Activation;

  constructor({ hiddenSize, intermediateSize, activation, initializerRange: std }: MLPSizes, rng: Rng) {
    super();
    this.#activation = activation;
    this.upProj = Linear.random(hiddenSize, intermediateSize, rng.fork("up"), std, { bias: true });
    this.downProj = Linear.random(intermediateSize, hiddenSize, rng.fork("down"), std, { bias: true });
  }

  forward(x: Tensor): Tensor {
    return this.downProj.forward(this.#activation(this.upProj.forward(x)));
  }
}

export interface GatedMLPSizes extends MLPSizes {
  /** True if the projections have biases. Default false. */
  readonly mlpBias?: boolean;
}

/** down(activation(gate(x)) · up(x)) (Shazeer 2020, arXiv:2002.05202). x: (batch · time, hidden) → same. */
export class GatedMLP extends Module {
  gateProj: LinearLayer;
  upProj: LinearLayer;
  downProj: LinearLayer;

  readonly #activation: Activation;

  constructor(sizes: GatedMLPSizes, rng: Rng) {
    super();
    const { hiddenSize, intermediateSize, activation, initializerRange: std, mlpBias: bias = false } = sizes;
    this.#activation = activation;
    this.gateProj = Linear.random(hiddenSize, intermediateSize, rng.fork("gate"), std, { bias });
    this.upProj = Linear.random(hiddenSize, intermediateSize, rng.fork("up"), std, { bias });
    this.downProj = Linear.random(intermediateSize, hiddenSize, rng.fork("down"), std, { bias });
  }

  forward(x: Tensor): Tensor {
    return this.downProj.forward(mul(this.#activation(this.gateProj.forward(x)), this.upProj.forward(x)));
  }
}
