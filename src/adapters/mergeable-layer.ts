import { instanceOf, requireArguments } from "../base/arguments.js";
import { ConfigError, ShapeError } from "../base/errors.js";
import { addBias, type Linear, LinearLayer } from "../nn/linear.js";
import type { Parameter } from "../nn/module.js";
import { add } from "../ops/elementwise.js";
import type { QuantizedLinear } from "../quant/quantized-linear.js";
import type { QuantizedWeight } from "../quant/quantized-weight.js";
import type { Rng } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import { type FrozenWeight, frozenWeight } from "./frozen-weight.js";
import { LinearAdapter } from "./linear-adapter.js";
import type { LayerInputs } from "./low-rank-approximation.js";
import { type LowRankTerm, updateOf } from "./low-rank-term.js";
import { type MergePolicy, requantize } from "./merge-policies.js";

/** The effect of a merge on the weight that computes. */
export interface MergeOutcome {
  /** ‖ΔW‖, Frobenius. */
  readonly deltaNorm: number;
  /** The share of ΔW that the weight took up, ⟨change, ΔW⟩ / ⟨ΔW, ΔW⟩: 1 when nothing is lost, and for ΔW = 0. */
  readonly recovered: number;
  /** The share of a quantized weight's codes that changed, from 0 to 1; null for float32. */
  readonly codesChanged: number | null;
}

/** Restart of an adapter at a merge. */
export interface RestartOptions {
  /** Recent inputs of the layer, for policies that start the next adapter from the rounding error. */
  readonly inputs?: LayerInputs | undefined;
  /** The directions of the adapter that are merged and start anew; the others stay as they are. Default: all. */
  readonly directions?: readonly number[] | undefined;
}

const KINDS = {
  linear: instanceOf("a Linear or a QuantizedLinear", LinearLayer),
  adapter: instanceOf("a LinearAdapter", LinearAdapter),
};

/** A linear layer with a frozen weight, frozen bias and an adapter that can be folded into it. */
export abstract class MergeableLayer extends LinearLayer {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly bias: Parameter | undefined;
  readonly adapter: LinearAdapter;
  readonly #frozen: FrozenWeight;

  /** @throws ShapeError if the adapter is for another size of layer. */
  constructor(linear: Linear | QuantizedLinear, adapter: LinearAdapter) {
    super();
    requireArguments(this.constructor.name, KINDS, { linear, adapter });
    const { inFeatures, outFeatures, bias } = linear;
    this.#frozen = frozenWeight(linear);
    if (adapter.inFeatures !== inFeatures || adapter.outFeatures !== outFeatures) {
      throw new ShapeError(
        `MergeableLayer: layer maps ${inFeatures} to ${outFeatures} features, adapter ${adapter.inFeatures} to ${adapter.outFeatures}`,
      );
    }
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
    this.bias = bias;
    if (bias !== undefined) bias.trainable = false;
    this.adapter = adapter;
  }

  /** The weight under the adapter. */
  get frozen(): FrozenWeight {
    return this.#frozen;
  }

  override forward(x: Tensor): Tensor {
    const product = this.#frozen.product(x);
    return add(addBias(product, this.bias), this.adapter.forward(x, product));
  }

  /** True if the weight follows from all merges, one after another, and not from the master weight alone. */
  abstract readonly keepsHistory: boolean;

  /** W ← W + ΔW for ΔW = `update`, (outFeatures, inFeatures) row-major. Draws from `rng` where rounding is random. */
  abstract mergeUpdate(update: Float32Array, rng: Rng): Promise<MergeOutcome>;

  /** The exact weight in float32, (outFeatures, inFeatures) row-major: with all that was merged, and not rounded. */
  abstract exactWeight(): Promise<Float32Array>;

  /** The same for the change that a term makes to the weight as it is. */
  async mergeTerm(term: LowRankTerm, rng: Rng): Promise<MergeOutcome> {
    return this.mergeUpdate(await floats(updateOf(term, this.#frozen.tensor())), rng);
  }

  /**
   * Folds what the adapter learned into the layer's own weight and starts the adapter anew, so that the function that
   * the layer computes stays the same up to rounding. Optimizer state of the adapter's parameters is stale
   * afterwards.
   */
  async mergeAdapter(rng: Rng, { directions }: RestartOptions = {}): Promise<MergeOutcome> {
    const outcome = await this.mergeTerm(await this.adapter.learned(directions), rng);
    this.adapter.reset(rng, directions);
    return outcome;
  }
}

/** A `MergeableLayer` whose weight is held in float32. */
export class MergeableLinear extends MergeableLayer {
  readonly keepsHistory = true;
  readonly weight: Parameter;

  /** Freezes and shares the weight of `linear`. @throws ShapeError if the adapter is for another size of layer. */
  constructor(linear: Linear, adapter: LinearAdapter) {
    super(linear, adapter);
    this.weight = linear.weight;
    this.weight.trainable = false;
  }

  override async mergeUpdate(update: Float32Array): Promise<MergeOutcome> {
    const { values } = this.weight;
    const before = values.slice();
    for (let i = 0; i < values.length; i++) values[i]! += update[i]!;
    return { ...compare(before, values, update), codesChanged: null };
  }

  override async exactWeight(): Promise<Float32Array> {
    return this.weight.values;
  }
}

/** A `MergeableLayer` whose weight stays quantized; a policy decides how it takes up updates. */
export class MergeableQuantizedLinear extends MergeableLayer {
  readonly weight: QuantizedWeight;
  readonly policy: MergePolicy;

  /** Shares the weight of `linear`. @throws ShapeError if the adapter is for another size of layer. */
  constructor(linear: QuantizedLinear, adapter: LinearAdapter, policy: MergePolicy = requantize()) {
    super(linear, adapter);
    this.weight = linear.weight;
    this.policy = policy;
  }

  override get keepsHistory(): boolean {
    return this.policy.exactFrom !== "log";
  }

  override async mergeUpdate(update: Float32Array, rng: Rng): Promise<MergeOutcome> {
    const { weight, policy } = this;
    const [before, codes] = [weight.values(), weight.snapshot()];
    await policy.merge(weight, update, rng.fork("rounding"));
    return { ...compare(before, weight.values(), update), codesChanged: weight.countChanged(codes) / weight.size };
  }

  override exactWeight(): Promise<Float32Array> {
    return this.policy.exactWeight(this.weight);
  }

  override async mergeAdapter(rng: Rng, { inputs, directions }: RestartOptions = {}): Promise<MergeOutcome> {
    if (!this.policy.startsFromResidual) return super.mergeAdapter(rng, { directions });
    if (directions !== undefined) {
      throw new ConfigError("mergeAdapter: the policy residual starts whole adapters anew; merge all directions");
    }
    // What the layer computes until now, less what its weight alone will compute.
    const residual = this.weight.values();
    const contribution = await floats(this.adapter.calculateWeightUpdate());
    const outcome = await this.mergeTerm(await this.adapter.learned(), rng);
    const after = this.weight.values();
    for (let i = 0; i < residual.length; i++) residual[i]! += contribution[i]! - after[i]!;
    await this.adapter.startNear(residual, rng, inputs);
    return outcome;
  }
}

async function floats(x: Tensor): Promise<Float32Array> {
  return (await x.data()) as Float32Array;
}

function compare(
  before: Float32Array,
  after: Float32Array,
  update: Float32Array,
): Pick<MergeOutcome, "deltaNorm" | "recovered"> {
  let [projection, squares] = [0, 0];
  for (let i = 0; i < update.length; i++) {
    projection += (after[i]! - before[i]!) * update[i]!;
    squares += update[i]! ** 2;
  }
  return { deltaNorm: Math.sqrt(squares), recovered: squares === 0 ? 1 : projection / squares };
}
