/** Two neighbouring token ids, the number of their occurrences, and the words in which they were seen. */
export interface Pair {
  readonly left: number;
  readonly right: number;
  count: number;
  /** Indices of words; some may repeat, and some may no longer hold the pair. */
  readonly words: number[];
}

/**
 * Finds the most frequent pair while counts change. An entry keeps the count that its pair had when pushed. A stale
 * entry is corrected when it comes up, so only a rising count needs a new push.
 */
export class PairHeap {
  readonly #pairs: Pair[] = [];
  readonly #counts: number[] = [];

  push(pair: Pair): void {
    let hole = this.#pairs.length;
    while (hole > 0) {
      const parent = (hole - 1) >> 1;
      if (!this.#precedes(pair, pair.count, parent)) break;
      this.#move(parent, hole);
      hole = parent;
    }
    this.#pairs[hole] = pair;
    this.#counts[hole] = pair.count;
  }

  /**
   * Removes and returns the pair with the highest current count; ties go to the lower left id, then the lower right id.
   */
  pop(): Pair | undefined {
    while (this.#pairs.length > 0) {
      const pair = this.#pairs[0]!;
      const count = this.#counts[0]!;
      this.#removeTop();
      if (count === pair.count) return pair;
      if (count > pair.count && pair.count > 0) this.push(pair);
    }
    return undefined;
  }

  #removeTop(): void {
    const pair = this.#pairs.pop()!;
    const count = this.#counts.pop()!;
    const size = this.#pairs.length;
    if (size === 0) return;
    let hole = 0;
    for (let child = 1; child < size; child = 2 * hole + 1) {
      if (child + 1 < size && this.#precedes(this.#pairs[child + 1]!, this.#counts[child + 1]!, child)) child++;
      if (this.#precedes(pair, count, child)) break;
      this.#move(child, hole);
      hole = child;
    }
    this.#pairs[hole] = pair;
    this.#counts[hole] = count;
  }

  #precedes(pair: Pair, count: number, index: number): boolean {
    const otherCount = this.#counts[index]!;
    if (count !== otherCount) return count > otherCount;
    const other = this.#pairs[index]!;
    return pair.left < other.left || (pair.left === other.left && pair.right < other.right);
  }

  #move(from: number, to: number): void {
    this.#pairs[to] = this.#pairs[from]!;
    this.#counts[to] = this.#counts[from]!;
  }
}
