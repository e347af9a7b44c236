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
  readonly #run: { readonly path: string };
  readonly #readBase: ReadBaseWeight;
  /** The terms of each cycle, by layer. */
  readonly #cycles: Map<number, ReadonlyMap<string, LazyTerm>> = new Map();
  /** The folder that they were opened in. */
  #openedIn: string;

  /** @param run the folder with the delta log of the cycles; its path may change. */
  constructor(run: { readonly path: string }, readBase: ReadBaseWeight) {
    this.#run = run;
    this.#openedIn = run.path;
    this.#readBase = readBase;
  }

  /** Writes a finished cycle to the log, where it is durable, and adds it. Returns the SHA-256 of its file. */
  async log(delta: Delta): Promise<string> {
    const sha256 = await appendDelta(this.#run.path, delta);
    await this.append(delta.cycle);
    return sha256;
  }

  /** Adds a finished cycle that is in the log. */
  async append(cycle: number): Promise<void> {
    this.#cycles.set(cycle, await openTerms(this.#run.path, cycle));
  }

  /** Ranks of the layer's terms, summed. */
  summedRank(layer: string): number {
    return [...this.#cycles.values()].reduce((sum, terms) => sum + terms.get(layer)!.rank, 0);
  }

  /** The terms of a layer, one for each finished cycle, one in memory at a time; none where it has no adapter. */
  async *terms(layer: string): AsyncGenerator<LowRankTerm, void> {
    const { path } = this.#run;
    if (path !== this.#openedIn) {
      this.#openedIn = path;
      for (const cycle of [...this.#cycles.keys()]) await this.append(cycle);
    }
    for (const terms of this.#cycles.values()) {
      const term = terms.get(layer);
      if (term !== undefined) yield await term.read();
    }
  }

  /** The layer's weight after the cycles so far, (outFeatures, inFeatures) row-major. */
  async weight(layer: string): Promise<Float32Array> {
    return addTerms(await this.#readBase(layer), this.terms(layer));
  }
}
