import { ConfigError } from "../base/errors.js";
import { kaimingUniform, normal, xavierUniform } from "../nn/initializers.js";
import { applyLinear } from "../nn/linear.js";
import { Parameter } from "../nn/module.js";
import { cast, mul } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import type { Rng } from "../tensor/random.js";
import { formatShape, type Shape } from "../tensor/shape.js";
import { type Tensor, tensor } from "../tensor/tensor.js";
import { LinearAdapter } from "./linear-adapter.js";
import { approximateLowRank, type LayerInputs } from "./low-rank-approximation.js";
import { type LowRankTerm, partOf, productOf, sinceStart } from "./low-rank-term.js";
import { norm } from "./orthonormal.js";

/**
 * Start of loraA: Xavier uniform, PEFT's Kaiming uniform (bound 1 / √inFeatures), or PEFT's Gaussian (deviation 1 /
 * rank).
 */
export const LORA_INITIALIZATIONS = ["xavier", "kaiming", "gaussian"] as const;
export type LoRAInitialization = (typeof LORA_INITIALIZATIONS)[number];

export interface LoRAOptions {
  /** From 1 to min(inFeatures, outFeatures). */
  readonly rank: number;
  /** Numerator of the scaling. Default rank, so that the scaling is 1. */
  readonly alpha?: number;
  /** Scale by alpha / √rank instead of alpha / rank (Kalajdzievski 2023, arXiv:2312.03732). Default false. */
  readonly rslora?: boolean;
  /** Probability, from 0 to below 1, of dropping an element of the adapter's input while training. Default 0. */
  readonly dropout?: number;
  readonly initialization?: LoRAInitialization;
}

/** The factors that an adapter started from, row-major. */
export interface LoRAStart {
  readonly loraA: Float32Array;
  readonly loraB: Float32Array;
}

/** LoRA: ΔW = scaling · B · A (Hu et al. 2021, arXiv:2106.09685). B starts at zero, so ΔW does too. */
export class LoRAAdapter extends LinearAdapter {
  readonly loraA: Parameter; // (rank, inFeatures)
  readonly loraB: Parameter; // (outFeatures, rank), zero
  readonly rank: number;
  readonly scaling: number;
  readonly dropout: number;
  readonly initialization: LoRAInitialization;
  readonly #rng: Rng;
  #start: LoRAStart | undefined;
  /** One for each shape of input, by shape: several graphs may share the adapter. */
  readonly #dropoutMasks: Map<string, Uint8Array> = new Map();

  /** @throws ConfigError unless rank is an integer from 1 to min(inFeatures, outFeatures) and dropout in [0, 1). */
  constructor(inFeatures: number, outFeatures: number, options: LoRAOptions, rng: Rng) {
    super(inFeatures, outFeatures);
    const { rank, alpha = rank, rslora = false, dropout = 0, initialization = "xavier" } = options;
    const maxRank = Math.min(inFeatures, outFeatures);
    if (!Number.isInteger(rank) || rank < 1 || rank > maxRank) {
      throw new ConfigError(
        `LoRAAdapter: rank must be an integer from 1 to ${maxRank} for a layer of ${inFeatures} inputs and ${outFeatures} outputs, got ${rank}`,
      );
    }
    if (!(dropout >= 0 && dropout < 1)) throw new ConfigError(`LoRAAdapter: dropout must be in [0, 1), got ${dropout}`);
    this.rank = rank;
    this.scaling = rslora ? alpha / Math.sqrt(rank) : alpha / rank;
    this.dropout = dropout;
    this.initialization = initialization;
    this.loraA = new Parameter(() => this.freshA(rng), [rank, inFeatures]);
    this.loraB = new Parameter(() => this.freshB(rng), [outFeatures, rank]);
    this.#rng = rng;
  }

  /** Where B · A started, if not at zero. */
  get start(): LoRAStart | undefined {
    return this.#start;
  }

  /** Sets where B · A started, as when a run goes on from a checkpoint. */
  set start(start: LoRAStart | undefined) {
    this.#start = start;
  }

  /** Parameters that training changes. */
  get trained(): Parameter[] {
    return [this.loraA, this.loraB];
  }

  /** The values that loraA starts with. */
  protected freshA(rng: Rng): Float32Array {
    return INITIALIZERS[this.initialization](this.loraA.shape, this.rank, rng);
  }

  /** The values that loraB starts with. */
  protected freshB(_rng: Rng): Float32Array {
    return new Float32Array(this.loraB.size);
  }

  override reset(rng: Rng, directions?: readonly number[]): void {
    const fresh = this.freshA(rng);
    if (directions === undefined) {
      this.#start = undefined;
      this.loraA.assign(fresh);
      this.loraB.values.fill(0);
      return;
    }
    const { rank, inFeatures, outFeatures } = this;
    for (const k of directions) {
      const row = fresh.subarray(k * inFeatures, (k + 1) * inFeatures);
      this.loraA.values.set(row, k * inFeatures);
      this.#start?.loraA.set(row, k * inFeatures);
      for (let i = 0; i < outFeatures; i++) {
        this.loraB.values[i * rank + k] = 0;
        if (this.#start !== undefined) this.#start.loraB[i * rank + k] = 0;
      }
    }
  }

  /**
   * The directions whose part B_k A_k of ΔW is smallest in norm, in rising order of their number.
   * @param share of all, above 0 to 1; see `directionsOf`.
   */
  weakestDirections(share: number): number[] {
    const { rank, inFeatures, outFeatures } = this;
    const [a, b] = [this.loraA.values, this.loraB.values];
    const sizes = Array.from({ length: rank }, (_, k) => {
      let squares = 0;
      for (let i = 0; i < outFeatures; i++) squares += b[i * rank + k]! ** 2;
      return Math.sqrt(squares) * norm(a.subarray(k * inFeatures, (k + 1) * inFeatures));
    });
    const count = directionsOf(share, rank);
    const weakest = sizes.map((size, k) => [size, k] as const).sort(([s, k], [t, l]) => s - t || k - l);
    return weakest
      .slice(0, count)
      .map(([, k]) => k)
      .sort((k, l) => k - l);
  }

  // Rows of A keep the norm of a fresh start, so that B, which takes up the rest, starts small and learns as fast as
  // ever.
  override async startNear(update: Float32Array, rng: Rng, inputs?: LayerInputs): Promise<void> {
    this.reset(rng);
    const { rank, inFeatures, outFeatures, scaling } = this;
    const shape = [outFeatures, inFeatures] as const;
    const { left, right } = await approximateLowRank(update, shape, rank, rng.fork("start"), inputs);
    const [a, b] = [this.loraA.values, this.loraB.values];
    for (let i = 0; i < rank; i++) {
      const row = right.subarray(i * inFeatures, (i + 1) * inFeatures);
      const fresh = a.subarray(i * inFeatures, (i + 1) * inFeatures);
      const [size, freshSize] = [norm(row), norm(fresh)];
      if (size === 0) continue;
      for (let k = 0; k < inFeatures; k++) fresh[k] = row[k]! * (freshSize / size);
      for (let k = 0; k < outFeatures; k++) b[k * rank + i] = (left[k * rank + i]! * size) / freshSize / scaling;
    }
    this.#start = { loraA: a.slice(), loraB: b.slice() };
  }

  /**
   * The learned update as scaling · B · A, copied; of twice the rank if the adapter did not start at zero.
   * @param directions those to take of it; all by default.
   */
  learnedTerm(directions?: readonly number[]): LowRankTerm {
    const { rank, scaling } = this;
    const now = { rank, scaling, loraA: this.loraA.values.slice(), loraB: this.loraB.values.slice() };
    if (directions === undefined) return sinceStart(now, this.#start);
    const start = this.#start && partOf({ rank, scaling, ...this.#start }, directions);
    return sinceStart(partOf(now, directions), start);
  }

  override calculateLearnedUpdate(directions?: readonly number[]): Tensor {
    if (directions === undefined && this.#start === undefined) return this.calculateWeightUpdate();
    return productOf(this.learnedTerm(directions));
  }

  override calculateWeightUpdate(): Tensor {
    return mul(matmul(this.loraB, this.loraA), this.scaling);
  }

  override forward(x: Tensor, _product?: Tensor): Tensor {
    return this.lowRank(this.dropped(x));
  }

  /**
   * scaling · x Aᵀ Bᵀ: two thin products, 2 · rank · (in + out) operations a row, instead of building ΔW; scaled
   * where it is thinnest.
   */
  protected lowRank(x: Tensor): Tensor {
    return applyLinear(mul(applyLinear(x, this.loraA), this.scaling), this.loraB);
  }

  override redrawDropout(rng: Rng): void {
    for (const [shape, mask] of this.#dropoutMasks) drawMask(mask, this.dropout, rng.fork(shape));
  }

  /** Inverted dropout: kept elements are scaled by 1 / (1 − p). Only while training; `x` itself otherwise. */
  protected dropped(x: Tensor): Tensor {
    if (!this.training || this.dropout === 0) return x;
    const key = formatShape(x.shape);
    let mask = this.#dropoutMasks.get(key);
    if (mask === undefined) {
      // One byte an element: a mask is as large as the activations that it covers.
      mask = new Uint8Array(x.size);
      drawMask(mask, this.dropout, this.#rng.fork("dropout").fork(key));
      this.#dropoutMasks.set(key, mask);
    }
    return mul(mul(x, cast(tensor(mask, x.shape), "float32")), 1 / (1 - this.dropout));
  }
}

const INITIALIZERS: Readonly<Record<LoRAInitialization, (shape: Shape, rank: number, rng: Rng) => Float32Array>> = {
  xavier: (shape, _, rng) => xavierUniform(shape, rng),
  kaiming: (shape, _, rng) => kaimingUniform(shape, rng),
  gaussian: (shape, rank, rng) => normal(shape, 1 / rank, rng),
};

/** Number of directions in a share of an adapter of that rank, at least one. */
export function directionsOf(share: number, rank: number): number {
  return Math.max(1, Math.round(share * rank));
}

function drawMask(mask: Uint8Array, dropout: number, rng: Rng): void {
  for (let i = 0; i < mask.length; i++) mask[i] = rng.uniform() < dropout ? 0 : 1;
}
