import type { Tokenizer } from "./tokenizer.js";

/** What a text that stops within a character decodes to at its end. */
const INCOMPLETE = "\ufffd";

/** Tokens are decoded together with those before them, for spaces depend on these; but not with all of a long text. */
const [LONGEST_WINDOW, KEPT] = [32, 8] as const;

/** The text of tokens as they come, in whole characters. */
export class TextStream {
  readonly #tokenizer: Tokenizer;
  #window: number[] = [];
  #shown = "";

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** What the token adds to the text; nothing while that ends within a character. */
  push(id: number): string {
    this.#window.push(id);
    const text = this.#decode();
    if (text.endsWith(INCOMPLETE)) return "";
    const piece = text.slice(this.#shown.length);
    this.#shown = text;
    if (this.#window.length >= LONGEST_WINDOW) {
      this.#window = this.#window.slice(-KEPT);
      this.#shown = this.#decode();
    }
    return piece;
  }

  /** What is left at the end: a character that was not completed, as U+FFFD. */
  end(): string {
    return this.#decode().slice(this.#shown.length);
  }

  #decode(): string {
    return this.#tokenizer.decode(this.#window, { cleanUpSpaces: false });
  }
}
