/** Watches for texts that end another, which comes in pieces. */
export class StopTexts {
  readonly #texts: readonly string[];
  #held = "";
  #found = false;

  /** @param texts none of them empty. */
  constructor(texts: readonly string[]) {
    this.#texts = texts;
  }

  /** Whether one of the texts has come. */
  get found(): boolean {
    return this.#found;
  }

  /** What may be shown once this piece has come: up to the first of the texts, or to what may be the beginning of one. */
  push(piece: string): string {
    const text = this.#held + piece;
    const starts = this.#texts.map((each) => text.indexOf(each)).filter((start) => start >= 0);
    this.#found = starts.length > 0;
    const end = this.#found ? Math.min(...starts) : text.length - this.#openEnd(text);
    this.#held = this.#found ? "" : text.slice(end);
    return text.slice(0, end);
  }

  /** What was held back, where no more comes. */
  end(): string {
    return this.#held;
  }

  /** Length of the longest end of the text with which one of ours begins. */
  #openEnd(text: string): number {
    const lengths = this.#texts.map((each) => {
      let length = Math.min(each.length - 1, text.length);
      while (!text.endsWith(each.slice(0, length))) length--;
      return length;
    });
    return Math.max(0, ...lengths);
  }
}
