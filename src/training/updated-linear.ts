import { linearLayers } from "../adapters/inject.js";
import type { LowRankTerm } from "../adapters/low-rank-term.js";
import type { CausalLM } from "../models/causal-lm.js";
import { applyLinear, LinearLayer } from "../nn/linear.js";
import type { Parameter } from "../nn/module.js";
import { add, mul } from "../ops/elementwise.js";
import { type Tensor, tensor } from "../tensor/tensor.js";

/** A linear layer with an update of any rank beside it, for computing alone: y = layer(x) + scaling · B A x. */
class UpdatedLinear extends LinearLayer {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly bias: Parameter | undefined;
  readonly #layer: LinearLayer;
  readonly #scaling: number;
  readonly #loraA: Tensor; // (rank, inFeatures)
  readonly #loraB: Tensor; // (outFeatures, rank)

  constructor(layer: LinearLayer, { rank, scaling, loraA, loraB }: LowRankTerm) {
    super();
    ({ inFeatures: this.inFeatures, outFeatures: this.outFeatures, bias: this.bias } = layer);
    this.#layer = layer;
    this.#scaling = scaling;
    this.#loraA = tensor(loraA, [rank, layer.inFeatures]);
    this.#loraB = tensor(loraB, [layer.outFeatures, rank]);
  }

  override forward(x: Tensor): Tensor {
    const hidden = mul(applyLinear(x, this.#loraA), this.#scaling);
    return add(this.#layer.forward(x), applyLinear(hidden, this.#loraB));
  }
}

/** Puts updates, by the names of their layers, beside the weights of a model. Their ranks may exceed those of the layers. */
export function applyUpdates(model: CausalLM, updates: ReadonlyMap<string, LowRankTerm>): void {
  for (const [name, { slot, linear }] of linearLayers(model)) {
    const update = updates.get(name);
    if (update !== undefined) slot.replace(new UpdatedLinear(linear, update));
  }
}
