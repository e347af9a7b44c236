import { Matrix, SVD } from "#matrix";
import { normal } from "../nn/initializers.js";
import { applyLinear } from "../nn/linear.js";
import { Parameter } from "../nn/module.js";
import { mul } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import type { Rng } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import type { AdapterKind } from "./adapter-kind.js";
import type { GradientStart } from "./linear-adapter.js";
import { LowRankAdapter, type LowRankOptions } from "./low-rank-adapter.js";
import type { LowRankTerm } from "./low-rank-term.js";
import { orthonormalColumns, orthonormalRows } from "./orthonormal.js";

/**
 * The core while the gradients of the bases are looked at: so small that it changes no output, and a power of two, so
 * that it costs the gradients no digit.
 */
const PROBING = 2 ** -30;

/**
 * A trained core between two frozen bases: ΔW = scaling · B · C · A with the columns of B and the rows of A
 * orthonormal (LoRA-XS, Bałazy et al. 2024, arXiv:2405.17604). It has rank² trained numbers, so that of as many as
 * LoRA has in (rank, in) and (out, rank), many more directions are trained at once. C starts at zero. What bases it
 * has decides what it can learn: random ones, unless `startIn` gives it those of a gradient.
 */
export class CoreAdapter extends LowRankAdapter implements GradientStart {
  static readonly kind: AdapterKind = {
    create: (inFeatures, outFeatures, options, rng) => new CoreAdapter(inFeatures, outFeatures, options, rng),
    summary:
      "a rank × rank core between two frozen bases (LoRA-XS, Bałazy et al. 2024), which span the leading directions " +
      "of the gradient, at first and after each merge: many directions of few weights",
    startsInGradients: true,
    ignores: ["adapterInit", "loraPlusRatio"],
  };

  readonly core: Parameter; // (rank, rank), zero

  /** @throws ConfigError as `LoRAAdapter`. */
  constructor(inFeatures: number, outFeatures: number, options: LowRankOptions, rng: Rng) {
    super(inFeatures, outFeatures, options, rng);
    this.loraA.trainable = this.loraB.trainable = false;
    const { rank } = this;
    this.core = new Parameter(() => new Float32Array(rank * rank), [rank, rank]);
  }

  override get gradientStart(): GradientStart {
    return this;
  }

  protected override freshA(rng: Rng): Float32Array {
    return orthonormalRows(normal(this.loraA.shape, 1, rng.fork("A")), this.rank, this.inFeatures);
  }

  protected override freshB(rng: Rng): Float32Array {
    return orthonormalColumns(normal(this.loraB.shape, 1, rng.fork("B")), this.outFeatures, this.rank);
  }

  override reset(rng: Rng): void {
    super.reset(rng);
    this.core.values.fill(0);
  }

  /**
   * Lets the next gradients of loraA and loraB be those that `startIn` takes: multiples of Bᵀ G and G Aᵀ for the
   * gradient G of the weight.
   */
  probe(): void {
    this.core.values.fill(0);
    for (let i = 0; i < this.rank; i++) this.core.values[i * this.rank + i] = PROBING;
  }

  /**
   * Starts over between bases that span what random ones, with `probe`, saw of the gradient of the weight: its
   * leading directions, as the range finder of Halko et al. 2011 (arXiv:0909.4061, algorithm 4.1) has them, on both
   * sides from one pass.
   * @param gradients of the bases: loraA (rank, inFeatures), loraB (outFeatures, rank); a base without one stays as it
   * is.
   * @param rng draws directions in place of those that the gradient does not have.
   */
  startIn(gradients: ReadonlyMap<string, Float32Array>, rng: Rng): void {
    const { rank, inFeatures, outFeatures } = this;
    const [a, b] = [gradients.get("loraA") ?? this.loraA.values, gradients.get("loraB") ?? this.loraB.values];
    this.loraA.assign(orthonormalRows(a, rank, inFeatures, rng.fork("A")));
    this.loraB.assign(orthonormalColumns(b, outFeatures, rank, rng.fork("B")));
    this.core.values.fill(0);
  }

  /**
   * Turns the bases, between which the core has learned nothing yet, so that the mean of some gradients of it becomes
   * diagonal: columns and rows become the singular directions of the gradient of the weight, largest first. Adam,
   * which treats each entry of the core by itself, then treats each pair of directions so, as SOAP (Vyas et al. 2024,
   * arXiv:2409.11321) does for whole weights.
   * @param gradients of the core, (rank, rank), for each update; become those between the turned bases.
   */
  turn(gradients: readonly ReadonlyMap<string, Float32Array>[]): void {
    const { rank, loraA, loraB, inFeatures } = this;
    const ofCore = gradients.map((update) => update.get("core")!);
    const square = (values: Float32Array): Matrix => Matrix.from1DArray(rank, rank, values);
    const sum = ofCore.reduce((total, each) => total.add(square(each)), Matrix.zeros(rank, rank));
    const { leftSingularVectors: left, rightSingularVectors: right } = new SVD(sum, { autoTranspose: true });
    loraB.assign(Matrix.from1DArray(this.outFeatures, rank, loraB.values).mmul(left).to1DArray());
    loraA.assign(
      right
        .transpose()
        .mmul(Matrix.from1DArray(rank, inFeatures, loraA.values))
        .to1DArray(),
    );
    for (const each of ofCore) each.set(left.transpose().mmul(square(each)).mmul(right).to1DArray());
  }

  /** scaling · (B · C) · A, copied: LoRA of that rank. */
  override async learned(): Promise<LowRankTerm> {
    const { rank, scaling, loraA, loraB, core } = this;
    return { rank, scaling, loraA: loraA.values.slice(), loraB: withCore(loraB.values, core.values) };
  }

  override calculateWeightUpdate(): Tensor {
    return mul(matmul(matmul(this.loraB, this.core), this.loraA), this.scaling);
  }

  protected override lowRank(x: Tensor): Tensor {
    return applyLinear(applyLinear(mul(applyLinear(x, this.loraA), this.scaling), this.core), this.loraB);
  }
}

/** B · C: (outFeatures, rank) and (rank, rank) → (outFeatures, rank). */
function withCore(loraB: Float32Array, core: Float32Array): Float32Array {
  const rank = Math.sqrt(core.length);
  const product = new Float32Array(loraB.length);
  const row = new Float64Array(rank);
  for (let start = 0; start < loraB.length; start += rank) {
    row.fill(0);
    for (let k = 0; k < rank; k++) {
      const factor = loraB[start + k]!;
      for (let j = 0; j < rank; j++) row[j]! += factor * core[k * rank + j]!;
    }
    product.set(row, start);
  }
  return product;
}
