/** A list of bounded length: the first item, the last, and even samples of those between. */
export class ThinnedList<T> {
  readonly #most: number;
  #kept: T[] = [];
  #stride = 1;
  #count = 0;
  #last: T | undefined;

  /** @param most items that are kept beside the last, at least 2. */
  constructor(most: number) {
    this.#most = most;
  }

  add(item: T): void {
    if (this.#count % this.#stride === 0) this.#kept.push(item);
    this.#count++;
    this.#last = item;
    if (this.#kept.length <= this.#most) return;
    this.#stride *= 2;
    this.#kept = this.#kept.filter((_, index) => index % 2 === 0);
  }

  /** The number of items that were added. */
  get count(): number {
    return this.#count;
  }

  get last(): T | undefined {
    return this.#last;
  }

  get items(): readonly T[] {
    const { last } = this;
    return last === undefined || this.#kept.at(-1) === last ? [...this.#kept] : [...this.#kept, last];
  }
}
