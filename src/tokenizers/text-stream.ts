import type { Tokenizer } from "./tokenizer.js";

/** The character that an incomplete character at the end of a text decodes to. */
const INCOMPLETE = "\ufffd";

/**
 * Decodes tokens as they come, in whole characters. They are decoded together with those of the piece before, because
 * spaces depend on these, but not with all of a long text.
 */
export class TextStream {
  readonly #tokenizer: Tokenizer;
  #window: number[] = [];
  /** Number of tokens in the window whose text was returned. */
  #returned = 0;
  #shown = "";

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** Returns the text that the token adds; nothing while the text ends within a character. */
  push(id: number): string {
    this.#window.push(id);
    const text = this.#decode();
    const piece = text.slice(this.#shown.length);
    if (piece === "" || text.endsWith(INCOMPLETE)) return "";
    this.#window = this.#window.slice(this.#returned);
    this.#returned = this.#window.length;
    this.#shown = this.#decode();
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
