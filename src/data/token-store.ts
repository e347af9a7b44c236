import { openSpool, type Spool, type StoredBytes } from "#platform";
import { bytesOf, withRoom } from "../base/arrays.js";
import { largest } from "../base/numbers.js";
import type { TokenStream } from "./packing.js";

/** Tokens that are held in memory. More of them are in a file. */
const HELD_TOKENS = 2 ** 22;

/** Tokens that are read from the file at once. */
const WINDOW = 2 ** 12;

/** Collects the tokens of a stream of any length. */
export class TokenStore implements TokenStream {
  #held: Int32Array = new Int32Array(2 ** 16);
  #spool: Spool | null = null;
  #length = 0;
  /** A part of the file. */
  #window: Int32Array = new Int32Array(0);
  #windowStart = 0;
  #largest = 0;
  readonly #heldTokens: number;

  /** @param heldTokens most tokens in memory. */
  constructor(heldTokens: number = HELD_TOKENS) {
    this.#heldTokens = heldTokens;
  }

  get length(): number {
    return this.#length;
  }

  /** The largest token; 0 if there is none. */
  get largest(): number {
    return this.#largest;
  }

  /** @throws CheckpointError if the file of a long stream cannot be written. */
  append(tokens: Int32Array): void {
    const length = this.#length + tokens.length;
    if (this.#spool === null && length > this.#heldTokens) {
      this.#spool = openSpool();
      this.#spool.append(bytesOf(this.#held.subarray(0, this.#length)));
      this.#held = new Int32Array(0);
    }
    if (this.#spool !== null) {
      this.#spool.append(bytesOf(tokens));
    } else {
      this.#held = withRoom(this.#held, length);
      this.#held.set(tokens, this.#length);
    }
    this.#length = length;
    this.#largest = Math.max(this.#largest, largest(tokens));
  }

  /** The tokens that were written to a file from this byte on. @throws DataError if they cannot be read. */
  static stored(bytes: StoredBytes, offset: number, length: number): TokenStore {
    const store = new TokenStore();
    store.#held = new Int32Array(0);
    store.#spool = {
      read: (target, at) => bytes.read(target, offset + at),
      append: () => {
        throw new Error("tokens that are stored do not grow");
      },
    };
    store.#length = length;
    for (const some of partsOf(store)) store.#largest = Math.max(store.#largest, largest(some));
    return store;
  }

  subarray(start: number, end: number): Int32Array {
    if (this.#spool === null) return this.#held.subarray(start, Math.min(end, this.#length));
    if (start < this.#windowStart || end > this.#windowStart + this.#window.length) {
      // Samples are mostly asked for one after another.
      this.#window = new Int32Array(Math.min(Math.max(end - start, WINDOW), this.#length - start));
      this.#windowStart = start;
      this.#spool.read(bytesOf(this.#window), start * Int32Array.BYTES_PER_ELEMENT);
    }
    return this.#window.subarray(start - this.#windowStart, end - this.#windowStart);
  }
}

/** Tokens of a stream that are in memory at once. */
const TOKENS_AT_ONCE = 2 ** 20;

/** The tokens of a stream, some at a time. */
export function* partsOf(tokens: TokenStream): Generator<Int32Array, void> {
  for (let start = 0; start < tokens.length; start += TOKENS_AT_ONCE) {
    yield tokens.subarray(start, Math.min(tokens.length, start + TOKENS_AT_ONCE));
  }
}

/** The tokens of a stream from `start` to before `end`, as a stream. */
export function partOf(stream: TokenStream, start: number, end: number): TokenStream {
  return { length: end - start, subarray: (from, to) => stream.subarray(start + from, start + to) };
}
