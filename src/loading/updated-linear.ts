// Updates are computed with `Tensor.data()`.
import "../runtime/evaluate.js";
import { type FrozenWeight, frozenWeight } from "../adapters/frozen-weight.js";
import { linearLayers } from "../adapters/inject.js";
import { type LowRankTerm, productOf, rowLengths } from "../adapters/low-rank-term.js";
import type { CausalLM } from "../models/causal-lm.js";
import { addBias, applyLinear, LinearLayer } from "../nn/linear.js";
import type { Parameter } from "../nn/module.js";
import { add, div, mul } from "../ops/elementwise.js";
import { type Tensor, tensor } from "../tensor/tensor.js";

/** The change that an adapter of any kind makes to one linear layer. */
export interface LayerUpdate extends LowRankTerm {
  /** Added to the layer's output, (outFeatures). */
  readonly bias?: Float32Array;
}

/**
 * A linear layer with an update of any rank beside it, for inference alone: y = x Wᵀ + scaling · B A x + b. With a
 * magnitude, each output before the bias is scaled as the row of the weight is.
 */
class UpdatedLinear extends LinearLayer {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly bias: Parameter | undefined;
  readonly #weight: FrozenWeight;
  readonly #scaling: number;
  readonly #loraA: Tensor; // (rank, inFeatures)
  readonly #loraB: Tensor; // (outFeatures, rank)
  readonly #addedBias: Tensor | undefined; // (outFeatures)
  readonly #factors: Tensor | undefined; // (outFeatures)

  constructor(
    layer: LinearLayer,
    weight: FrozenWeight,
    { rank, scaling, loraA, loraB, bias }: LayerUpdate,
    factors: Float32Array | undefined,
  ) {
    super();
    ({ inFeatures: this.inFeatures, outFeatures: this.outFeatures, bias: this.bias } = layer);
    this.#weight = weight;
    this.#scaling = scaling;
    this.#loraA = tensor(loraA, [rank, layer.inFeatures]);
    this.#loraB = tensor(loraB, [layer.outFeatures, rank]);
    this.#addedBias = bias && tensor(bias, [layer.outFeatures]);
    this.#factors = factors && tensor(factors, [layer.outFeatures]);
  }

  override forward(x: Tensor): Tensor {
    const hidden = mul(applyLinear(x, this.#loraA), this.#scaling);
    const product = add(this.#weight.product(x), applyLinear(hidden, this.#loraB));
    const scaled = this.#factors === undefined ? product : mul(product, this.#factors);
    return addBias(addBias(scaled, this.bias), this.#addedBias);
  }
}

/**
 * Puts updates, by the names of their layers, beside the weights of a model. Their ranks may exceed those of the
 * layers.
 */
export async function applyUpdates(model: CausalLM, updates: ReadonlyMap<string, LayerUpdate>): Promise<void> {
  for (const [name, { slot, linear }] of linearLayers(model)) {
    const update = updates.get(name);
    if (update === undefined) continue;
    const weight = frozenWeight(linear);
    const factors = update.magnitude && (await rowFactors(weight, update, update.magnitude));
    slot.replace(new UpdatedLinear(linear, weight, update, factors));
  }
}

/** The factor of each row of weight + update. */
async function rowFactors(weight: FrozenWeight, update: LowRankTerm, magnitude: Float32Array): Promise<Float32Array> {
  const product = productOf(update);
  const changed = add(tensor(weight.values(), product.shape), product);
  return (await div(tensor(magnitude, [magnitude.length]), rowLengths(changed)).data()) as Float32Array;
}
