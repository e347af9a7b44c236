import { ConfigError } from "../base/errors.js";
import { shownValue } from "../base/json.js";
import { kaimingUniform, normal, xavierUniform } from "../nn/initializers.js";
import type { Rng } from "../tensor/random.js";
import type { Shape } from "../tensor/shape.js";
import type { AdapterKind } from "./adapter-kind.js";
import { directionsOf, entriesAlong } from "./directions.js";
import type { AdapterPart } from "./linear-adapter.js";
import {
  LORA_INITIALIZATIONS,
  type LoRAInitialization,
  LowRankAdapter,
  type LowRankOptions,
} from "./low-rank-adapter.js";
import { approximateLowRank, type LayerInputs } from "./low-rank-approximation.js";
import { joinTerms, type LowRankTerm, partOf } from "./low-rank-term.js";
import { norm } from "./orthonormal.js";

export interface LoRAOptions extends LowRankOptions {
  /** Default xavier. */
  readonly initialization?: LoRAInitialization;
}

/** LoRA: ΔW = scaling · B · A (Hu et al. 2021, arXiv:2106.09685). B starts at zero, so ΔW does too. */
export class LoRAAdapter extends LowRankAdapter {
  static readonly kind: AdapterKind = {
    create: (inFeatures, outFeatures, options, rng) => new LoRAAdapter(inFeatures, outFeatures, options, rng),
    summary: "trains A and B",
    hasDirections: true,
    startsNear: true,
  };

  readonly initialization: LoRAInitialization;
  /** The factors that it started from, by name; none where ΔW started at zero. */
  #start: ReadonlyMap<string, Float32Array> = new Map();

  /**
   * @throws ConfigError unless rank is an integer from 1 to min(inFeatures, outFeatures), alpha finite, dropout in
   * [0, 1) and the initialization known.
   */
  constructor(inFeatures: number, outFeatures: number, options: LoRAOptions, rng: Rng) {
    super(inFeatures, outFeatures, options, rng);
    this.initialization = options.initialization ?? "xavier";
    if (!LORA_INITIALIZATIONS.includes(this.initialization)) {
      throw new ConfigError(
        `${this.constructor.name}: initialization must be one of ${LORA_INITIALIZATIONS.join(", ")}, ` +
          `got ${shownValue(this.initialization)}`,
      );
    }
  }

  override get parts(): readonly AdapterPart[] {
    return [
      { name: "loraA", parameter: this.loraA, role: "factor", axis: 0 },
      { name: "loraB", parameter: this.loraB, role: "output", axis: 1 },
    ];
  }

  protected override freshA(rng: Rng): Float32Array {
    return INITIALIZERS[this.initialization](this.loraA.shape, this.rank, rng);
  }

  protected override freshB(_rng: Rng): Float32Array {
    return new Float32Array(this.loraB.size);
  }

  override reset(rng: Rng, directions?: readonly number[]): void {
    if (directions === undefined) {
      this.#start = new Map();
      super.reset(rng);
      return;
    }
    const [a, b] = [this.freshA(rng), this.freshB(rng)];
    for (const [name, { shape, values }, axis, fresh] of [
      ["loraA", this.loraA, 0, a],
      ["loraB", this.loraB, 1, b],
    ] as const) {
      const start = this.#start.get(name);
      for (const i of entriesAlong(shape, axis, directions)) {
        values[i] = fresh[i]!;
        if (start !== undefined) start[i] = fresh[i]!;
      }
    }
  }

  /**
   * The directions whose part B_k A_k of ΔW is smallest in norm, in rising order of their number.
   * @param share of all, above 0 to 1.
   */
  override weakestDirections(share: number): readonly number[] | undefined {
    const { rank, inFeatures, outFeatures } = this;
    const [a, b] = [this.loraA.values, this.loraB.values];
    const sizes = Array.from({ length: rank }, (_, k) => {
      let squares = 0;
      for (let i = 0; i < outFeatures; i++) squares += b[i * rank + k]! ** 2;
      return Math.sqrt(squares) * norm(a.subarray(k * inFeatures, (k + 1) * inFeatures));
    });
    const weakest = sizes.map((size, k) => [size, k] as const).sort(([s, k], [t, l]) => s - t || k - l);
    return weakest
      .slice(0, directionsOf(share, rank))
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
    this.#start = new Map([
      ["loraA", a.slice()],
      ["loraB", b.slice()],
    ]);
  }

  /** @throws ConfigError for a term of another rank or scaling. */
  override goOnFrom({ rank, scaling, loraA, loraB }: LowRankTerm): void {
    if (rank !== this.rank || scaling !== this.scaling) {
      throw new ConfigError(
        `${this.constructor.name}: cannot go on from rank ${rank} with scaling ${scaling}; ` +
          `it has rank ${this.rank} and ${this.scaling}`,
      );
    }
    this.#start = new Map();
    this.loraA.assign(loraA);
    this.loraB.assign(loraB);
  }

  /** Empty for an adapter that started at zero. */
  override starts(): ReadonlyMap<string, Float32Array> {
    return this.#start;
  }

  override restoreStarts(starts: ReadonlyMap<string, Float32Array>): void {
    this.#start = new Map([...starts].map(([name, values]) => [name, values.slice()] as const));
  }

  /** scaling · B · A, copied; of twice the rank if the adapter did not start at zero. */
  override async learned(directions?: readonly number[]): Promise<LowRankTerm> {
    const { rank, scaling } = this;
    const terms: LowRankTerm[] = [
      { rank, scaling, loraA: this.loraA.values.slice(), loraB: this.loraB.values.slice() },
    ];
    const [loraA, loraB] = [this.#start.get("loraA"), this.#start.get("loraB")];
    if (loraA !== undefined && loraB !== undefined) terms.push({ rank, scaling: -scaling, loraA, loraB });
    return joinTerms(directions === undefined ? terms : terms.map((term) => partOf(term, directions)));
  }

  override get learnedSize(): number {
    return super.learnedSize * (this.#start.size === 0 ? 1 : 2);
  }
}

const INITIALIZERS: Readonly<Record<LoRAInitialization, (shape: Shape, rank: number, rng: Rng) => Float32Array>> = {
  xavier: (shape, _, rng) => xavierUniform(shape, rng),
  kaiming: (shape, _, rng) => kaimingUniform(shape, rng),
  gaussian: (shape, rank, rng) => normal(shape, 1 / rank, rng),
};
