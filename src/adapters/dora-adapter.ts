import { stopGradient } from "../autograd/custom.js";
import { ConfigError } from "../base/errors.js";
import { Parameter } from "../nn/module.js";
import { add, div, mul, sub } from "../ops/elementwise.js";
import type { Rng } from "../tensor/random.js";
import type { Tensor } from "../tensor/tensor.js";
import type { AdapterKind } from "./adapter-kind.js";
import type { FrozenWeight } from "./frozen-weight.js";
import type { AdapterPart } from "./linear-adapter.js";
import { LoRAAdapter, type LoRAOptions } from "./lora-adapter.js";
import { type LowRankTerm, rowLengths, scaledRows } from "./low-rank-term.js";

/**
 * DoRA (Liu et al. 2024, arXiv:2402.09353): the rows of W + scaling · B · A are scaled to trained lengths, the
 * magnitude, which starts as the lengths of the rows of W. As in PEFT, no gradient flows through the lengths that the
 * rows have, and dropout changes the input of all but x Wᵀ itself. With dropout, x Wᵀ is computed a second time.
 */
export class DoRAAdapter extends LoRAAdapter {
  static override readonly kind: AdapterKind = {
    create: (inFeatures, outFeatures, options, rng, weight) =>
      new DoRAAdapter(inFeatures, outFeatures, options, rng, weight),
    summary: "also the lengths of the adapted weights' rows (DoRA, Liu et al. 2024), for method lora alone",
    noCycles:
      "every cycle would scale the rows of a weight that holds those before it, so that the cycles would not add up " +
      "to one low-rank update",
  };

  readonly magnitude: Parameter; // (outFeatures)
  readonly #weight: FrozenWeight;

  /**
   * @param weight the weight under the adapter, read when the magnitude is first used and at each start.
   * @throws ConfigError as `LoRAAdapter`.
   */
  constructor(inFeatures: number, outFeatures: number, options: LoRAOptions, rng: Rng, weight: FrozenWeight) {
    super(inFeatures, outFeatures, options, rng);
    this.#weight = weight;
    this.magnitude = new Parameter(() => lengthsOfRows(weight.values(), outFeatures), [outFeatures]);
  }

  override get parts(): readonly AdapterPart[] {
    return [
      ...super.parts.map(({ axis: _, ...part }) => part),
      { name: "magnitude", parameter: this.magnitude, role: "length" },
    ];
  }

  override reset(rng: Rng): void {
    super.reset(rng);
    this.magnitude.assign(lengthsOfRows(this.#weight.values(), this.outFeatures));
  }

  override weakestDirections(): undefined {
    return undefined;
  }

  override async startNear(): Promise<void> {
    throw new ConfigError("DoRAAdapter can only start at zero; use another merge policy than residual");
  }

  override goOnFrom(learned: LowRankTerm): void {
    super.goOnFrom(learned);
    this.magnitude.assign(learned.magnitude!);
  }

  override async learned(): Promise<LowRankTerm> {
    return { ...(await super.learned()), magnitude: this.magnitude.values.slice() };
  }

  override get learnedSize(): number {
    return super.learnedSize + this.outFeatures;
  }

  override calculateWeightUpdate(): Tensor {
    const weight = this.#weight.tensor();
    return sub(scaledRows(add(weight, super.calculateWeightUpdate()), this.magnitude), weight);
  }

  override forward(x: Tensor, product?: Tensor): Tensor {
    const input = this.dropped(x);
    const base = product !== undefined && input === x ? product : this.#weight.product(input);
    const changed = add(this.#weight.tensor(), super.calculateWeightUpdate());
    const factors = div(this.magnitude, stopGradient(rowLengths(changed)));
    return add(mul(base, sub(factors, 1)), mul(this.lowRank(input), factors));
  }
}

/** The L2 norm of each row. */
function lengthsOfRows(values: Float32Array, rows: number): Float32Array {
  const columns = values.length / rows;
  return Float32Array.from({ length: rows }, (_, row) => {
    let squares = 0;
    for (let k = 0; k < columns; k++) squares += values[row * columns + k]! ** 2;
    return Math.sqrt(squares);
  });
}
