import { addTerms, type LazyTerm, type LowRankTerm } from "../adapters/low-rank-term.js";

/** Reads a layer's weight in float32, row-major, as it was before the first cycle. */
export type ReadBaseWeight = (layer: string) => Promise<Float32Array>;

/** Opens a finished cycle in the delta log: a term for each layer. */
export type OpenCycle = (cycle: number) => Promise<ReadonlyMap<string, LazyTerm>>;

/**
 * Weights in float32 that are never held: base + Σ scaling · B · A over the finished cycles, rebuilt from the disk
 * when asked for. So a run of many cycles takes no more memory than one of few.
 */
export class MasterWeights {
  readonly #readBase: ReadBaseWeight;
  readonly #openCycle: OpenCycle;
  /** One for each cycle, by layer. */
  readonly #cycles: ReadonlyMap<string, LazyTerm>[] = [];

  constructor(readBase: ReadBaseWeight, openCycle: OpenCycle) {
    this.#readBase = readBase;
    this.#openCycle = openCycle;
  }

  /** Adds a finished cycle, which is in the log. */
  async append(cycle: number): Promise<void> {
    this.#cycles.push(await this.#openCycle(cycle));
  }

  /** Ranks of the layer's terms, summed. */
  summedRank(layer: string): number {
    return this.#cycles.reduce((sum, terms) => sum + terms.get(layer)!.rank, 0);
  }

  /** The terms of a layer, one for each finished cycle, one in memory at a time; none where it has no adapter. */
  async *terms(layer: string): AsyncGenerator<LowRankTerm, void> {
    for (const terms of this.#cycles) {
      const term = terms.get(layer);
      if (term !== undefined) yield await term.read();
    }
  }

  /** The layer's weight after the cycles so far, (outFeatures, inFeatures) row-major. */
  async weight(layer: string): Promise<Float32Array> {
    return addTerms(await this.#readBase(layer), this.terms(layer));
  }
}
