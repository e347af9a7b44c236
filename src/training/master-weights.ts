import { addTerms, type LowRankTerm } from "../adapters/low-rank-term.js";

/** Reads a layer's weight in float32, row-major, as it was before the first cycle. */
export type ReadBaseWeight = (layer: string) => Promise<Float32Array>;

/** Weights in float32 that are never held: base + Σ scaling · B · A over the finished cycles, rebuilt when asked for. */
export class MasterWeights {
  readonly #readBase: ReadBaseWeight;
  /** By layer, a term for each cycle. */
  readonly #terms: Map<string, LowRankTerm[]> = new Map();

  constructor(readBase: ReadBaseWeight) {
    this.#readBase = readBase;
  }

  /** Adds a finished cycle. */
  append(cycle: ReadonlyMap<string, LowRankTerm>): void {
    for (const [layer, term] of cycle) {
      const terms = this.#terms.get(layer);
      if (terms === undefined) this.#terms.set(layer, [term]);
      else terms.push(term);
    }
  }

  /** The terms of a layer, one for each finished cycle. */
  terms(layer: string): readonly LowRankTerm[] {
    return this.#terms.get(layer) ?? [];
  }

  /** The layer's weight after the cycles so far, (outFeatures, inFeatures) row-major. */
  async weight(layer: string): Promise<Float32Array> {
    return addTerms(await this.#readBase(layer), this.terms(layer));
  }
}
