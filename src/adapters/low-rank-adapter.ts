import { BELOW_ONE, FINITE, OBJECT, requireArguments, requireEach } from "../base/arguments.js";
import { ConfigError } from "../base/errors.js";
import { applyLinear } from "../nn/linear.js";
import { Parameter } from "../nn/module.js";
import { cast, mul } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import { RNG, type Rng } from "../tensor/random.js";
import { formatShape } from "../tensor/shape.js";
import { type DataSource, lazySource, Tensor } from "../tensor/tensor.js";
import { LinearAdapter } from "./linear-adapter.js";

/**
 * Start of a trained loraA: Xavier uniform, PEFT's Kaiming uniform (bound 1 / √inFeatures), or PEFT's Gaussian
 * (deviation 1 / rank).
 */
export const LORA_INITIALIZATIONS = ["xavier", "kaiming", "gaussian"] as const;
export type LoRAInitialization = (typeof LORA_INITIALIZATIONS)[number];

/** Options of adapters with two thin factors. */
export interface LowRankOptions {
  /** From 1 to min(inFeatures, outFeatures). */
  readonly rank: number;
  /** Numerator of the scaling. Default rank, so that the scaling is 1. */
  readonly alpha?: number;
  /** Scale by alpha / √rank instead of alpha / rank (Kalajdzievski 2023, arXiv:2312.03732). Default false. */
  readonly rslora?: boolean;
  /** Probability, from 0 to below 1, of dropping an element of the adapter's input while training. Default 0. */
  readonly dropout?: number;
}

/**
 * An adapter of two thin factors, trained or frozen: ΔW = scaling · B · A, or with more between them. Computes with
 * dropout on its input.
 */
export abstract class LowRankAdapter extends LinearAdapter {
  readonly loraA: Parameter; // (rank, inFeatures)
  readonly loraB: Parameter; // (outFeatures, rank)
  readonly rank: number;
  readonly scaling: number;
  readonly dropout: number;
  readonly #rng: Rng;
  /** A mask, one byte an element, for each shape of input, by shape: several graphs may share the adapter. */
  readonly #dropoutMasks: Map<string, DataSource> = new Map();

  /**
   * @throws ConfigError unless rank is an integer from 1 to min(inFeatures, outFeatures), alpha finite and dropout in
   * [0, 1).
   */
  constructor(inFeatures: number, outFeatures: number, options: LowRankOptions, rng: Rng) {
    super(inFeatures, outFeatures);
    requireArguments(this.constructor.name, { options: OBJECT, rng: RNG }, { options, rng });
    const { rank, alpha = rank, rslora = false, dropout = 0 } = options;
    const maxRank = Math.min(inFeatures, outFeatures);
    if (!Number.isInteger(rank) || rank < 1 || rank > maxRank) {
      throw new ConfigError(
        `${this.constructor.name}: rank must be an integer from 1 to ${maxRank} for a layer of ${inFeatures} inputs ` +
          `and ${outFeatures} outputs, got ${rank}`,
      );
    }
    requireEach(this.constructor.name, FINITE, { alpha });
    requireEach(this.constructor.name, BELOW_ONE, { dropout });
    this.rank = rank;
    this.scaling = rslora ? alpha / Math.sqrt(rank) : alpha / rank;
    this.dropout = dropout;
    this.loraA = new Parameter(() => this.freshA(rng), [rank, inFeatures]);
    this.loraB = new Parameter(() => this.freshB(rng), [outFeatures, rank]);
    this.#rng = rng;
  }

  /** The values that loraA starts with. */
  protected abstract freshA(rng: Rng): Float32Array;

  /** The values that loraB starts with. */
  protected abstract freshB(rng: Rng): Float32Array;

  override reset(rng: Rng): void {
    this.loraA.assign(this.freshA(rng));
    this.loraB.assign(this.freshB(rng));
  }

  override calculateWeightUpdate(): Tensor {
    return mul(matmul(this.loraB, this.loraA), this.scaling);
  }

  override get learnedSize(): number {
    return this.loraA.size + this.loraB.size;
  }

  override forward(x: Tensor, _product?: Tensor): Tensor {
    return this.lowRank(this.dropped(x));
  }

  /**
   * scaling · x Aᵀ Bᵀ: two thin products, 2 · rank · (in + out) operations a row, instead of building ΔW. Scaled where
   * it is thinnest.
   */
  protected lowRank(x: Tensor): Tensor {
    return applyLinear(mul(applyLinear(x, this.loraA), this.scaling), this.loraB);
  }

  override redrawDropout(rng: Rng, rows?: number): void {
    for (const [shape, mask] of this.#dropoutMasks) {
      const size = rows === undefined ? mask.array.length : rows * this.inFeatures;
      const kept = mask.pending || mask.array.length !== size ? new Uint8Array(size) : (mask.array as Uint8Array);
      drawMask(kept, this.dropout, rng.fork(shape));
      mask.array = kept;
    }
  }

  /** Inverted dropout: kept elements are scaled by 1 / (1 − p). Only while training; `x` itself otherwise. */
  protected dropped(x: Tensor): Tensor {
    if (!this.training || this.dropout === 0) return x;
    const key = formatShape(x.shape);
    const mask =
      this.#dropoutMasks.get(key) ??
      lazySource(() => {
        const drawn = new Uint8Array(x.size);
        drawMask(drawn, this.dropout, this.#rng.fork("dropout").fork(key));
        return drawn;
      });
    this.#dropoutMasks.set(key, mask);
    const kept = cast(new Tensor({ shape: x.shape, dtype: "uint8" }, mask), "float32");
    return mul(mul(x, kept), 1 / (1 - this.dropout));
  }
}

function drawMask(mask: Uint8Array, dropout: number, rng: Rng): void {
  for (let i = 0; i < mask.length; i++) mask[i] = rng.uniform() < dropout ? 0 : 1;
}
