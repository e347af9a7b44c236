const ALIGNMENT = 256;
const PAGE = 4096;
const FIRST_REGION = 2 ** 20;
const LARGEST_GROWTH = 2 ** 30;
/** A chunk is split if it is at least twice as large as the request, or if at least this many bytes would be lost. */
const LARGEST_LOSS = 2 ** 27;

interface Chunk {
  readonly region: Region;
  begin: number;
  size: number;
  free: boolean;
  before: Chunk | undefined;
  after: Chunk | undefined;
}

interface Region {
  /** 1 for each page that was given out at least once. */
  readonly pages: Uint8Array;
}

/**
 * A model of ONNX Runtime's CPU arena ("BFC", best fit with coalescing). It counts how much memory a sequence of
 * requests makes resident, without allocating any. Regions double in size and are never given back, free neighbours are
 * joined, and each request takes the smallest chunk it fits into.
 */
export class BestFitArena {
  readonly #regions: Region[] = [];
  /** Ascending by size. */
  readonly #free: Chunk[] = [];
  readonly #given: Map<string, Chunk> = new Map();
  #growth = FIRST_REGION;

  /** Gives out memory under a name. */
  allocate(name: string, bytes: number): void {
    const size = Math.max(1, Math.ceil(bytes / ALIGNMENT)) * ALIGNMENT;
    let at = this.#firstOf(size);
    if (at === this.#free.length) {
      this.#grow(size);
      at = this.#firstOf(size);
    }
    const [chunk] = this.#free.splice(at, 1) as [Chunk];
    chunk.free = false;
    if (chunk.size >= 2 * size || chunk.size - size >= LARGEST_LOSS) this.#split(chunk, size);
    chunk.region.pages.fill(1, Math.floor(chunk.begin / PAGE), Math.ceil((chunk.begin + bytes) / PAGE));
    this.#given.set(name, chunk);
  }

  /** Takes back the memory of that name. */
  release(name: string): void {
    let chunk = this.#given.get(name)!;
    this.#given.delete(name);
    chunk.free = true;
    const { before, after } = chunk;
    if (after?.free) {
      this.#forget(after);
      this.#join(chunk, after);
    }
    if (before?.free) {
      this.#forget(before);
      this.#join(before, chunk);
      chunk = before;
    }
    this.#free.splice(this.#firstOf(chunk.size), 0, chunk);
  }

  /** Bytes that were given out at least once and so stay resident. */
  get touchedBytes(): number {
    return this.#regions.reduce((sum, { pages }) => sum + PAGE * pages.reduce((count, page) => count + page, 0), 0);
  }

  #grow(size: number): void {
    const enough = this.#growth >= size;
    while (this.#growth < size) this.#growth *= 2;
    const region: Region = { pages: new Uint8Array(Math.ceil(this.#growth / PAGE)) };
    this.#regions.push(region);
    const chunk = { region, begin: 0, size: this.#growth, free: true, before: undefined, after: undefined };
    this.#free.splice(this.#firstOf(chunk.size), 0, chunk);
    if (enough) this.#growth = Math.min(2 * this.#growth, LARGEST_GROWTH);
  }

  #split(chunk: Chunk, size: number): void {
    const { region, begin, after } = chunk;
    const rest: Chunk = { region, begin: begin + size, size: chunk.size - size, free: true, before: chunk, after };
    if (after !== undefined) after.before = rest;
    chunk.size = size;
    chunk.after = rest;
    this.#free.splice(this.#firstOf(rest.size), 0, rest);
  }

  #join(first: Chunk, second: Chunk): void {
    first.size += second.size;
    first.after = second.after;
    if (second.after !== undefined) second.after.before = first;
  }

  #forget(chunk: Chunk): void {
    this.#free.splice(this.#free.indexOf(chunk, this.#firstOf(chunk.size)), 1);
  }

  /** Index of the first free chunk of at least `size` bytes. */
  #firstOf(size: number): number {
    let [low, high] = [0, this.#free.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#free[middle]!.size < size) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
