import { withRoom } from "../base/arrays.js";
import { append } from "../base/lists.js";

/** Longest piece that is remembered, in UTF-16 units, and number of them. */
const [LONGEST, MOST] = [64, 2 ** 17];

/** Places for pieces, twice as many as there may be. */
const SLOTS = 2 * MOST;

/**
 * Tokens of pieces; those of short ones are computed only once. They are looked up by their place in a text, so that no
 * string is made for a piece that is known.
 */
export class PieceTokens {
  readonly #compute: (piece: string) => readonly number[];
  /** Number of the piece at each place, from 1; 0 for none. */
  readonly #slots: Int32Array = new Int32Array(SLOTS);
  /** Ends of the pieces in #units and of their tokens in #ids, behind a 0 in front. */
  readonly #unitEnds: Int32Array = new Int32Array(MOST + 1);
  readonly #idEnds: Int32Array = new Int32Array(MOST + 1);
  #units: Uint16Array = new Uint16Array(2 ** 12);
  #ids: Int32Array = new Int32Array(2 ** 12);
  #count = 0;

  constructor(compute: (piece: string) => readonly number[]) {
    this.#compute = compute;
  }

  /** Appends the tokens of the piece of a text from `start` to before `end`, in UTF-16 units. */
  encode(text: string, start: number, end: number, into: number[]): void {
    if (end - start > LONGEST) {
      append(into, this.#compute(text.slice(start, end)));
      return;
    }
    const slot = this.#slotOf(text, start, end);
    const found = this.#slots[slot]!;
    if (found === 0) {
      const tokens = this.#compute(text.slice(start, end));
      append(into, tokens);
      this.#remember(slot, text, start, end, tokens);
      return;
    }
    const [ids, last] = [this.#ids, this.#idEnds[found]!];
    for (let at = this.#idEnds[found - 1]!; at < last; at++) into.push(ids[at]!);
  }

  /** The place of a piece, or the empty one for it. */
  #slotOf(text: string, start: number, end: number): number {
    // FNV-1a over UTF-16 units, with its high bits mixed into the low ones.
    let hash = 0x811c9dc5;
    for (let at = start; at < end; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
    let slot = (hash ^ (hash >>> 15)) & (SLOTS - 1);
    while (this.#slots[slot] !== 0 && !this.#isPiece(this.#slots[slot]!, text, start, end)) {
      slot = (slot + 1) & (SLOTS - 1);
    }
    return slot;
  }

  #isPiece(number: number, text: string, start: number, end: number): boolean {
    const units = this.#units;
    const from = this.#unitEnds[number - 1]!;
    if (this.#unitEnds[number]! - from !== end - start) return false;
    for (let at = start; at < end; at++) if (units[from + at - start] !== text.charCodeAt(at)) return false;
    return true;
  }

  /** The slot is written last: a call that is stopped at any point leaves nothing wrong behind. */
  #remember(slot: number, text: string, start: number, end: number, tokens: readonly number[]): void {
    if (this.#count === MOST) {
      this.#slots.fill(0);
      this.#count = 0;
      return;
    }
    const number = this.#count + 1;
    const [firstUnit, firstId] = [this.#unitEnds[number - 1]!, this.#idEnds[number - 1]!];
    this.#units = withRoom(this.#units, firstUnit + LONGEST);
    this.#ids = withRoom(this.#ids, firstId + tokens.length);
    for (let at = start; at < end; at++) this.#units[firstUnit + at - start] = text.charCodeAt(at);
    for (const [index, id] of tokens.entries()) this.#ids[firstId + index] = id;
    this.#unitEnds[number] = firstUnit + end - start;
    this.#idEnds[number] = firstId + tokens.length;
    this.#count = number;
    this.#slots[slot] = number;
  }
}
