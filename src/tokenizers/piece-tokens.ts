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
  /** Where the entry of the piece at each place begins; 0 for none. */
  readonly #slots: Int32Array = new Int32Array(SLOTS);
  /**
   * Entries behind one another: the number of units and that of tokens, two units a number, the tokens. What is read of
   * a piece lies together, since waiting for memory is most of the time.
   */
  #entries: Int32Array = new Int32Array(2 ** 14);
  /** End of the entries, of which the first begins at 1. */
  #end = 1;
  #count = 0;

  constructor(compute: (piece: string) => readonly number[]) {
    this.#compute = compute;
  }

  /** Appends the tokens of the piece of a text from `start` to before `end`, in UTF-16 units. */
  encode(text: string, start: number, end: number, into: number[]): void {
    const length = end - start;
    if (length > LONGEST) {
      append(into, this.#compute(text.slice(start, end)));
      return;
    }
    const slot = this.#slotOf(text, start, end);
    const entry = this.#slots[slot]!;
    if (entry === 0) {
      const tokens = this.#compute(text.slice(start, end));
      append(into, tokens);
      this.#remember(slot, text, start, end, tokens);
      return;
    }
    const entries = this.#entries;
    const first = entry + 1 + ((length + 1) >> 1);
    const last = first + tokensOf(entries[entry]!);
    for (let at = first; at < last; at++) into.push(entries[at]!);
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

  #isPiece(entry: number, text: string, start: number, end: number): boolean {
    const entries = this.#entries;
    if (unitsOf(entries[entry]!) !== end - start) return false;
    let own = entry + 1;
    for (let at = start; at < end; at += 2) if (entries[own++] !== pairAt(text, at, end)) return false;
    return true;
  }

  /** The slot is written last: a call that is stopped at any point leaves nothing wrong behind. */
  #remember(slot: number, text: string, start: number, end: number, tokens: readonly number[]): void {
    if (this.#count === MOST) {
      this.#slots.fill(0);
      [this.#end, this.#count] = [1, 0];
      return;
    }
    const entry = this.#end;
    this.#entries = withRoom(this.#entries, entry + 1 + LONGEST + tokens.length);
    const entries = this.#entries;
    let own = entry;
    entries[own++] = headOf(end - start, tokens.length);
    for (let at = start; at < end; at += 2) entries[own++] = pairAt(text, at, end);
    for (const id of tokens) entries[own++] = id;
    this.#end = own;
    this.#count++;
    this.#slots[slot] = entry;
  }
}

/** The first number of an entry: units of the piece, which are few, and its tokens. */
function headOf(units: number, tokens: number): number {
  return units | (tokens << UNIT_BITS);
}

const UNIT_BITS = 7;

function unitsOf(head: number): number {
  return head & ((1 << UNIT_BITS) - 1);
}

function tokensOf(head: number): number {
  return head >>> UNIT_BITS;
}

/** Two units of a text as one number, or the last one. */
function pairAt(text: string, at: number, end: number): number {
  const unit = text.charCodeAt(at);
  return at + 1 < end ? unit | (text.charCodeAt(at + 1) << 16) : unit;
}
