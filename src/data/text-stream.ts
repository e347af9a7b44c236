import type { Tokenizer } from "./tokenizer.js";

/** The character that an incomplete character at the end of a text decodes to. */
const INCOMPLETE = "\ufffd";

/**
 * Tokens are decoded together with those before them, because spaces depend on these, but not with all of a long text.
 */
const [LONGEST_WINDOW, KEPT] = [32, 8] as const;

/** Decodes tokens as they come, in whole characters. */
export class TextStream {
  readonly #tokenizer: Tokenizer;
  #window: number[] = [];
  #shown = "";

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** Returns the text that the token adds; nothing while the text ends within a character. */
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

  /** Returns the rest: an incomplete character, as U+FFFD. */
  end(): string {
    return this.#decode().slice(this.#shown.length);
  }

  #decode(): string {
    return this.#tokenizer.decode(this.#window, { cleanUpSpaces: false });
  }
}
