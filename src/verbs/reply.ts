import type { Generation } from "../programs/text-generator.js";

/** Writes a text: calls `onText` with each piece, until it is left. */
export type WriteText = (onText: (piece: string) => void, left: AbortController) => Promise<Generation>;

/**
 * A text that a model writes: `await` gives the whole of it, `for await` its pieces as they come. Leaving that loop
 * ends the writing.
 */
export class Reply extends Promise<string> implements AsyncIterable<string> {
  readonly #generation: Promise<Generation>;
  readonly #left: AbortController = new AbortController();
  readonly #pieces: string[] = [];
  #hasEnded = false;
  #wake: () => void = () => {};

  /** Promises that are made of this one are promises and no more. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  constructor(write: WriteText) {
    let settle: (text: PromiseLike<string>) => void = () => {};
    super((resolve) => {
      settle = resolve;
    });
    const onText = (piece: string): void => {
      this.#pieces.push(piece);
      this.#wake();
    };
    this.#generation = write(onText, this.#left).finally(() => {
      this.#hasEnded = true;
      this.#wake();
    });
    settle(this.#generation.then(({ text }) => text));
  }

  /** The text with its number of tokens, its times and why it ended. */
  get generation(): Promise<Generation> {
    // Whoever awaits it hears of an error there.
    this.catch(() => {});
    return this.#generation;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, undefined> {
    // Whoever leaves the loop does not hear of the end.
    this.catch(() => {});
    try {
      for (let next = 0; ; ) {
        while (next < this.#pieces.length) yield this.#pieces[next++]!;
        if (this.#hasEnded) break;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      await this.#generation;
    } finally {
      this.#left.abort();
    }
  }
}
