import { largest, smallest } from "../base/numbers.js";

/** Watches a text that arrives in pieces for texts that end it. */
export class StopTexts {
  readonly #texts: readonly string[];
  #held = "";
  #found = false;

  /** @param texts all non-empty. */
  constructor(texts: readonly string[]) {
    this.#texts = texts;
  }

  /** True once one of the texts has come. */
  get found(): boolean {
    return this.#found;
  }

  /** Returns what may be shown after this piece: up to the first of the texts, or to a possible beginning of one. */
  push(piece: string): string {
    const text = this.#held + piece;
    const starts = this.#texts.map((each) => text.indexOf(each)).filter((start) => start >= 0);
    this.#found = starts.length > 0;
    const end = this.#found ? smallest(starts) : text.length - this.#openEnd(text);
    this.#held = this.#found ? "" : text.slice(end);
    return text.slice(0, end);
  }

  /** Returns the held-back text once nothing more comes. */
  end(): string {
    return this.#held;
  }

  /** Length of the longest end of `text` that one of the texts starts with. */
  #openEnd(text: string): number {
    const lengths = this.#texts.map((each) => {
      let length = Math.min(each.length - 1, text.length);
      while (!text.endsWith(each.slice(0, length))) length--;
      return length;
    });
    return largest(lengths, 0);
  }
}
