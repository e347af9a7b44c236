import { COUNT, requireEach } from "../base/arguments.js";
import { ConfigError } from "../base/errors.js";
import { applyLinear } from "../nn/linear.js";
import { Module, namedParameters, type Parameter } from "../nn/module.js";
import type { Rng } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import type { LayerInputs } from "./low-rank-approximation.js";
import { type LowRankTerm, wholeTerm } from "./low-rank-term.js";

/**
 * The way a part is trained. A `factor` of ΔW gets the adapters' learning rate and weight decay. The `output` factor, B
 * of B · A, gets `loraPlusRatio` times that rate (LoRA+, Hayou et al. 2024, arXiv:2402.12354). A vector of `length`s
 * gets the same without decay, as in PEFT.
 */
export type AdapterRole = "factor" | "output" | "length";

/** One trained tensor of an adapter. */
export interface AdapterPart {
  /** The property of the adapter that holds it. */
  readonly name: string;
  readonly parameter: Parameter;
  readonly role: AdapterRole;
  /** The axis that counts the adapter's directions; absent where a direction has no entries of its own. */
  readonly axis?: number;
}

/** An adapter's search for its start in the gradient of the layer's weight, in two passes over some updates to come. */
export interface GradientStart {
  /** Lets the next gradients of the adapter's frozen parameters be those that `startIn` takes. */
  probe(): void;
  /**
   * Starts over in what the first pass saw.
   * @param gradients by the name of the frozen parameter; none where no update gave finite ones.
   */
  startIn(gradients: ReadonlyMap<string, Float32Array>, rng: Rng): void;
  /**
   * Refines the start by what the second pass saw.
   * @param gradients of the trained parts by name, for each update; become those of the parts after the call.
   */
  turn(gradients: readonly ReadonlyMap<string, Float32Array>[]): void;
}

/**
 * A trainable change ΔW of a linear layer's weight: y = x (W + ΔW)ᵀ with W frozen. A subclass declares its parameters
 * as properties, says how ΔW is made of them (`calculateWeightUpdate`), and starts out changing nothing (`reset`). That
 * is enough to train, checkpoint, merge and export it; all other members have defaults, for subclasses that can do
 * better.
 */
export abstract class LinearAdapter extends Module {
  readonly inFeatures: number;
  readonly outFeatures: number;

  /** @throws ConfigError unless both are integers of at least 1. */
  constructor(inFeatures: number, outFeatures: number) {
    super();
    requireEach(this.constructor.name, COUNT, { inFeatures, outFeatures });
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
  }

  /**
   * Starts over: redraws the parameters so that ΔW is zero. Optimizer state for them is stale afterwards.
   * @param directions the directions that start over, from 0; all by default. An adapter without `weakestDirections` is
   * never given any.
   */
  abstract reset(rng: Rng, directions?: readonly number[]): void;

  /** ΔW for the present parameters, scaling included: (outFeatures, inFeatures). */
  abstract calculateWeightUpdate(): Tensor;

  /**
   * x ΔWᵀ, the adapter's part of the output. x: (…, inFeatures) → (…, outFeatures). Builds ΔW by default.
   * @param _product x Wᵀ, which the layer computes anyway, for a ΔW that depends on W.
   */
  forward(x: Tensor, _product?: Tensor): Tensor {
    return applyLinear(x, this.calculateWeightUpdate());
  }

  /**
   * Draws anew whatever is random in training forward passes. Nothing by default.
   * @param _rows of the inputs of the next pass. Default: as many as in the pass before.
   */
  redrawDropout(_rng: Rng, _rows?: number): void {}

  /** The trained tensors. By default every trainable parameter, as a `factor` without directions. */
  get parts(): readonly AdapterPart[] {
    return [...namedParameters(this)].flatMap(([name, parameter]) =>
      parameter.trainable ? [{ name, parameter, role: "factor" as const }] : [],
    );
  }

  /**
   * The change that the adapter has learned since it began, to be logged, merged and exported. By default the whole of
   * ΔW, exactly, with an identity for one of the factors. Must not read the layer's weight: a checkpoint is exported
   * without it.
   * @param _directions the directions to take; all by default.
   */
  async learned(_directions?: readonly number[]): Promise<LowRankTerm> {
    const update = (await this.calculateWeightUpdate().data()) as Float32Array;
    return wholeTerm(update.slice(), this.outFeatures, this.inFeatures);
  }

  /** The number of elements of what `learned` gives, to estimate memory and disk space by. */
  get learnedSize(): number {
    return Math.min(this.inFeatures, this.outFeatures) * (this.inFeatures + this.outFeatures);
  }

  /**
   * The values that a checkpoint must hold beside the trained parts, by the name of the parameter that has their shape.
   * By default all frozen parameters.
   */
  starts(): ReadonlyMap<string, Float32Array> {
    return new Map([...this.#frozen].map(([name, { values }]) => [name, values] as const));
  }

  /** Takes back what `starts` gave. */
  restoreStarts(starts: ReadonlyMap<string, Float32Array>): void {
    for (const [name, parameter] of this.#frozen) parameter.assign(starts.get(name)!);
  }

  get #frozen(): Map<string, Parameter> {
    return new Map([...namedParameters(this)].filter(([, { trainable }]) => !trainable));
  }

  /**
   * The least important directions, in rising order of their number, which a merge may take and restart alone.
   * Undefined, by default, for an adapter that only restarts as a whole.
   * @param _share of all directions, above 0 to 1.
   */
  weakestDirections(_share: number): readonly number[] | undefined {
    return undefined;
  }

  /**
   * Starts over near `update` (outFeatures, inFeatures) instead of at zero: as near as the adapter can come in what it
   * makes of `inputs`, or of any input where none are given. @throws ConfigError for adapters that can only start at
   * zero, as by default.
   */
  async startNear(_update: Float32Array, _rng: Rng, _inputs?: LayerInputs): Promise<void> {
    throw new ConfigError(`${this.constructor.name} can only start at zero; use another merge policy than residual`);
  }

  /**
   * Goes on from what an adapter of its kind has learned, in the very factors of the term. @throws ConfigError for
   * adapters that are not made of two factors, as by default.
   */
  goOnFrom(_learned: LowRankTerm): void {
    throw new ConfigError(`${this.constructor.name} is not made of two factors, which it could go on from`);
  }

  /** The search for a start in gradients; undefined, by default, for an adapter that needs none. */
  get gradientStart(): GradientStart | undefined {
    return undefined;
  }
}
