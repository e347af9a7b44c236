import { Linear, type LinearLayer } from "../nn/linear.js";
import { Module } from "../nn/module.js";
import { RMSNorm, type RMSNormOptions } from "../nn/rms-norm.js";
import type { Rope } from "../nn/rope.js";
import type { AttentionSizes, Sequence } from "../nn/sequence.js";
import { reshape } from "../ops/movement.js";
import type { Rng } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";

export interface AttentionOptions {
  readonly hiddenSize: number;
  readonly sizes: AttentionSizes;
  readonly rope: Rope;
  /** True if the projections have biases. Default false. */
  readonly bias?: boolean | undefined;
  /** True if the output projection has one. Default: `bias`. */
  readonly outputBias?: boolean | undefined;
  /** Norm of each head of queries and keys, with one weight for all queries and one for all keys. Default: none. */
  readonly headNorm?: RMSNormOptions | undefined;
  /** Standard deviation of random weights. */
  readonly initializerRange: number;
}

/** Attention with rotary positions and separate projections for queries, keys, values and output. */
export class Attention extends Module {
  qProj: LinearLayer;
  kProj: LinearLayer;
  vProj: LinearLayer;
  oProj: LinearLayer;
  readonly qNorm: RMSNorm | undefined;
  readonly kNorm: RMSNorm | undefined;

  readonly #sizes: AttentionSizes;
  readonly #rope: Rope;

  constructor(options: AttentionOptions, rng: Rng) {
    super();
    const { hiddenSize, sizes, bias = false, outputBias = bias, headNorm, initializerRange: std } = options;
    const { numHeads, numKeyValueHeads, headDim } = sizes;
    this.#sizes = sizes;
    this.#rope = options.rope;
    this.qProj = Linear.random(hiddenSize, numHeads * headDim, rng.fork("q"), std, { bias });
    this.kProj = Linear.random(hiddenSize, numKeyValueHeads * headDim, rng.fork("k"), std, { bias });
    this.vProj = Linear.random(hiddenSize, numKeyValueHeads * headDim, rng.fork("v"), std, { bias });
    this.oProj = Linear.random(numHeads * headDim, hiddenSize, rng.fork("o"), std, { bias: outputBias });
    this.qNorm = headNorm && new RMSNorm(headDim, headNorm);
    this.kNorm = headNorm && new RMSNorm(headDim, headNorm);
  }

  /** x: (batch · time, hidden) → same. */
  forward(x: Tensor, layer: number, sequence: Sequence): Tensor {
    const q = sequence.rotate(this.#headwise(this.qNorm, this.qProj.forward(x)), this.#rope);
    const k = sequence.rotate(this.#headwise(this.kNorm, this.kProj.forward(x)), this.#rope);
    return this.oProj.forward(sequence.attend(layer, q, k, this.vProj.forward(x), this.#sizes));
  }

  #headwise(norm: RMSNorm | undefined, x: Tensor): Tensor {
    const { headDim } = this.#sizes;
    return norm === undefined ? x : reshape(norm.forward(reshape(x, [x.size / headDim, headDim])), x.shape);
  }
}
