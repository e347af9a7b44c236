import { addTerms, type LazyTerm, type LowRankTerm } from "../adapters/low-rank-term.js";
import { appendDelta, type Delta } from "./delta-log.js";
import { openTerms } from "./delta-terms.js";

/** Reads a layer's weight in float32, row-major, as it was before the first cycle. */
export type ReadBaseWeight = (layer: string) => Promise<Float32Array>;

/**
 * Weights in float32 that are never held: base + Σ scaling · B · A over the finished cycles, rebuilt from the disk when
 * asked for. So a run of many cycles takes no more memory than one of few.
 */
export class MasterWeights {
  readonly #runDir: string;
  readonly #readBase: ReadBaseWeight;
  /** The terms of each cycle, by layer. */
  readonly #cycles: ReadonlyMap<string, LazyTerm>[] = [];

  /** @param runDir holds the delta log of the cycles. */
  constructor(runDir: string, readBase: ReadBaseWeight) {
    this.#runDir = runDir;
    this.#readBase = readBase;
  }

  /** Writes a finished cycle to the log, where it is durable, and adds it. Returns the SHA-256 of its file. */
  async log(delta: Delta): Promise<string> {
    const sha256 = await appendDelta(this.#runDir, delta);
    await this.append(delta.cycle);
    return sha256;
  }

  /** Adds a finished cycle that is in the log. */
  async append(cycle: number): Promise<void> {
    this.#cycles.push(await openTerms(this.#runDir, cycle));
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
