import { freeDiskBytes, removeTree } from "#platform";
import { addTerms, type LazyTerm, type LowRankTerm } from "../adapters/low-rank-term.js";
import { sum } from "../base/numbers.js";
import { openSafetensors, storedBytes, writeSafetensors } from "../files/safetensors.js";
import { sizeOf } from "../tensor/shape.js";
import { appendDelta, type Delta, sumsPath } from "./delta-log.js";
import { openTerms } from "./delta-terms.js";

/** Gives a layer's weight in float32, row-major. */
export type LayerWeight = (layer: string) => Promise<Float32Array>;

/** Sources of master weights. */
export interface MasterSources {
  /** The weights before the first cycle. */
  readonly base: LayerWeight;
  /** The present weights, of a model that holds them in float32 itself; null for one that is quantized. */
  readonly held: LayerWeight | null;
}

/** A folder that is written into and read again, and may be moved meanwhile. */
export interface WrittenFolder {
  readonly path: string;
  /**
   * Does what writes into the folder, to be read by this process. Where several train together, one does it for all that
   * see the same folder, and they get its result.
   */
  share<T>(work: (path: string) => Promise<T>): Promise<T>;
  /** Removes what nobody needs any more. Of several processes the first does, and none waits. */
  tidy(work: (path: string) => Promise<void>): Promise<void>;
}

/** A folder that stays where it is. */
export function folderAt(path: string): WrittenFolder {
  return { path, share: (work) => work(path), tidy: (work) => work(path) };
}

/** The disk of the run. */
export interface Disk {
  /** Default: as the file system says. */
  readonly freeBytes?: (folder: string) => Promise<number>;
}

/** The numbers that cycles may have before they are summed up, as a part of those of the weights. */
const LARGEST_PART = 1 / 4;

/** Left free on the disk of the sums, as a multiple of their size. */
const SPARE = 1;

/**
 * Weights in float32 that quantized models never hold: base + Σ scaling · B · A over the finished cycles, rebuilt from
 * the disk when asked for. Once the cycles have many numbers, their sums are written beside the log, so that neither
 * memory nor the time of a merge grows with the number of cycles.
 */
export class MasterWeights {
  readonly #run: WrittenFolder;
  readonly #sources: MasterSources;
  readonly #freeBytes: (folder: string) => Promise<number>;
  /** The weights before the cycles in `#recent`; null while those are all. */
  #sums: LayerWeight | null = null;
  /** The terms of the cycles that are in no sum yet, by layer. */
  readonly #recent: Map<number, ReadonlyMap<string, LazyTerm>> = new Map();
  /** Ranks of the terms of all cycles by layer, added up. */
  readonly #ranks: Map<string, number> = new Map();
  /** The folder that the sums and terms were opened in. */
  #openedIn: string;

  /** @param run the folder with the delta log of the cycles. After `log`, must be released. */
  constructor(run: WrittenFolder, sources: MasterSources, { freeBytes = freeDiskBytes }: Disk = {}) {
    this.#run = run;
    this.#freeBytes = freeBytes;
    this.#openedIn = run.path;
    this.#sources = sources;
  }

  /** Writes a finished cycle to the log, where it is durable, and adds it. Returns the SHA-256 of its file. */
  async log(delta: Delta): Promise<string> {
    const sha256 = await this.#run.share((path) => appendDelta(path, delta));
    const terms = await this.append(delta.cycle);
    const numbers = sum([...this.#recent.values()].flatMap((each) => [...each.values()].map(numbersOf)));
    if (numbers > LARGEST_PART * sum([...terms.values()].map(({ shape }) => sizeOf(shape)))) await this.#sumUp(terms);
    return sha256;
  }

  /** Adds a finished cycle that is in the log. Nothing is written. @returns its terms by layer. */
  async append(cycle: number): Promise<ReadonlyMap<string, LazyTerm>> {
    await this.#follow();
    const terms = await openTerms(this.#run.path, cycle);
    for (const [layer, { rank }] of terms) this.#ranks.set(layer, this.summedRank(layer) + rank);
    this.#recent.set(cycle, terms);
    return terms;
  }

  /** Ranks of the layer's terms, added up. */
  summedRank(layer: string): number {
    return this.#ranks.get(layer) ?? 0;
  }

  /** The terms of a layer, one for each finished cycle, while none are summed up; then null. */
  async terms(layer: string): Promise<LowRankTerm[] | null> {
    if (this.#sums !== null) return null;
    await this.#follow();
    const terms: LowRankTerm[] = [];
    for await (const term of this.#recentTerms(layer)) terms.push(term);
    return terms;
  }

  /** The layer's weight before the first cycle, (outFeatures, inFeatures) row-major. */
  base(layer: string): Promise<Float32Array> {
    return this.#sources.base(layer);
  }

  /** The layer's weight after the cycles so far, (outFeatures, inFeatures) row-major. */
  async weight(layer: string): Promise<Float32Array> {
    const { base, held } = this.#sources;
    if (held !== null) return held(layer);
    await this.#follow();
    // A layer without an adapter is in no sum.
    const source = this.#sums === null || !this.#ranks.has(layer) ? base : this.#sums;
    return addTerms(await source(layer), this.#recentTerms(layer));
  }

  /** Removes the sums, which a later run makes anew. */
  async release(): Promise<void> {
    await this.#run.tidy((path) => removeTree(sumsPath(path)));
  }

  /** Terms of one layer, one in memory at a time; none where it has no adapter. */
  async *#recentTerms(layer: string): AsyncGenerator<LowRankTerm, void> {
    for (const terms of this.#recent.values()) {
      const term = terms.get(layer);
      if (term !== undefined) yield await term.read();
    }
  }

  /** Puts the recent cycles into the sums, term after term as `weight` does, so that no bit depends on it. */
  async #sumUp(layers: ReadonlyMap<string, LazyTerm>): Promise<void> {
    const { held } = this.#sources;
    if (held !== null) {
      this.#sums = held;
    } else {
      const sums = new Map(
        [...layers].map(([layer, { shape }]) => {
          const read = (): Promise<Float32Array> => this.weight(layer);
          return [layer, { dtype: "float32", shape, read } as const] as const;
        }),
      );
      const bytes = sum([...sums.values()].map(storedBytes));
      // They only save time: without room for them, the cycles are added up one by one.
      const isWritten = await this.#run.share(async (path) => {
        if ((await this.#freeBytes(path)) < (1 + SPARE) * bytes) return false;
        await writeSafetensors(sumsPath(path), sums);
        return true;
      });
      if (!isWritten) return;
      this.#sums = await openSums(this.#run.path);
    }
    this.#recent.clear();
  }

  /** Opens everything anew where the folder was moved. */
  async #follow(): Promise<void> {
    const { path } = this.#run;
    if (path === this.#openedIn) return;
    this.#openedIn = path;
    if (this.#sums !== null && this.#sources.held === null) this.#sums = await openSums(path);
    for (const cycle of this.#recent.keys()) this.#recent.set(cycle, await openTerms(path, cycle));
  }
}

async function openSums(runDir: string): Promise<LayerWeight> {
  const { tensors } = await openSafetensors(sumsPath(runDir));
  return async (layer) => (await tensors.get(layer)!.read()) as Float32Array;
}

function numbersOf({ rank, shape: [outFeatures, inFeatures] }: LazyTerm): number {
  return rank * (outFeatures + inFeatures);
}
