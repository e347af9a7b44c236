import { MASKED } from "../nn/attention.js";
import type { CachedLayer } from "../nn/cached-sequence.js";
import type { Feeds } from "../runtime/program.js";
import type { HostTensor } from "../tensor/dtype.js";

/** Room is made for an eighth more tokens than are needed, and for a multiple of this. */
const GROWTH = 32;

interface LayerStore {
  readonly window: number | undefined;
  readonly heads: number;
  readonly headDim: number;
  /** (rows, heads, slots, headDim) each. */
  key: Float32Array;
  value: Float32Array;
}

/** Bytes of a row with so many tokens. */
export function rowBytes(layers: ReadonlyMap<number, CachedLayer>, tokens: number): number {
  let bytes = 0;
  for (const { window = Infinity, cached } of layers.values()) {
    const [, heads, , headDim] = cached.key.shape as [number, number, number, number];
    bytes += 2 * heads * Math.max(1, Math.min(tokens, window - 1)) * headDim * Float32Array.BYTES_PER_ELEMENT;
  }
  return bytes;
}

/** Tokens of one text in a pass. */
export interface Stretch {
  /** Row of the cache that holds the text so far. */
  readonly row: number;
  /** Row of the pass. */
  readonly batch: number;
  /** Place of the first of them in that row. */
  readonly start: number;
  readonly count: number;
}

/**
 * The part of the cache that a pass sees: all rows, each text its own; one row, with which its texts begin; or none,
 * where they begin in the pass.
 */
export type SeenRows = "all" | number | "none";

/**
 * Keys and values of the tokens that a model has read, layer by layer, of several texts in a row each. A layer that
 * looks back on a window keeps no more tokens than that window: the token at position p lies in slot p modulo the
 * number of slots.
 */
export class KeyValueCache {
  readonly #layers: ReadonlyMap<number, LayerStore>;
  readonly #lengths: number[];
  #capacity = 0;

  constructor(layers: ReadonlyMap<number, CachedLayer>, rows = 1) {
    this.#lengths = new Array<number>(rows).fill(0);
    this.#layers = new Map(
      [...layers].map(([layer, { window, cached }]) => {
        const [, heads, , headDim] = cached.key.shape as [number, number, number, number];
        return [layer, { window, heads, headDim, key: new Float32Array(0), value: new Float32Array(0) }] as const;
      }),
    );
  }

  get rows(): number {
    return this.#lengths.length;
  }

  /** Tokens of a row that were read so far. */
  lengthOf(row: number): number {
    return this.#lengths[row]!;
  }

  /** Forgets the tokens of a row; the memory stays. */
  clear(row: number): void {
    this.#lengths[row] = 0;
  }

  /** Slots that a pass sees in the layers with a window, at least one. */
  slots(window: number | undefined, seen: SeenRows): number {
    return seen === "none" ? 1 : this.#slots(window);
  }

  #slots(window: number | undefined): number {
    return Math.max(1, Math.min(this.#capacity, (window ?? Infinity) - 1));
  }

  /** True if a row has all of so many tokens in every layer: none is pushed out of a window. */
  holdsAll(tokens: number): boolean {
    return [...this.#layers.values()].every(({ window }) => tokens <= this.#slots(window));
  }

  /** Gives an empty row the first tokens of one that has all its tokens. */
  copy(from: number, to: number, tokens: number): void {
    for (const store of this.#layers.values()) {
      const time = this.#slots(store.window);
      for (const half of ["key", "value"] as const) {
        copyTokens(store[half], { block: from, time, at: 0 }, store[half], { block: to, time, at: 0 }, tokens, store);
      }
    }
    this.#lengths[to] = tokens;
  }

  /** Makes room for so many tokens of each row. */
  reserve(tokens: number): void {
    if (tokens <= this.#capacity) return;
    const before = new Map([...this.#layers.values()].map(({ window }) => [window, this.#slots(window)] as const));
    const held = this.#capacity;
    this.#capacity = Math.ceil((this.#capacity === 0 ? tokens : (9 * tokens) / 8) / GROWTH) * GROWTH;
    for (const store of this.#layers.values()) {
      const [old, slots] = [held === 0 ? 0 : before.get(store.window)!, this.#slots(store.window)];
      if (old === slots) continue;
      // Slots were fewer than the window so far, so that each position lies in the slot of its number.
      const blocks = this.rows * store.heads;
      for (const half of ["key", "value"] as const) {
        const grown = new Float32Array(blocks * slots * store.headDim);
        for (let block = 0; block < blocks; block++) {
          const [from, width] = [block * old * store.headDim, old * store.headDim];
          grown.set(store[half].subarray(from, from + width), block * slots * store.headDim);
        }
        store[half] = grown;
      }
    }
  }

  /** Values for the placeholders of the layers. */
  feeds(seen: SeenRows): Feeds {
    const feeds: Record<string, Float32Array> = {};
    for (const [layer, { window, heads, headDim, key, value }] of this.#layers) {
      const size = heads * this.slots(window, seen) * headDim;
      const [start, end] =
        seen === "all" ? [0, key.length] : seen === "none" ? [0, size] : [seen * size, (seen + 1) * size];
      feeds[`key${layer}`] = start === 0 && end === key.length ? key : key.subarray(start, end);
      feeds[`value${layer}`] = start === 0 && end === key.length ? value : value.subarray(start, end);
    }
    return feeds;
  }

  /**
   * The mask of the new tokens of a pass over the slots that it sees, then over themselves,
   * (batch, 1, time, slots + time). A text sees its own tokens alone.
   */
  mask(
    window: number | undefined,
    stretches: readonly Stretch[],
    { batch, time, seen }: { readonly batch: number; readonly time: number; readonly seen: SeenRows },
  ): Float32Array {
    const slots = this.slots(window, seen);
    const reach = window ?? Infinity;
    const width = slots + time;
    const mask = new Float32Array(batch * time * width).fill(MASKED);
    for (const { row, batch: at, start, count } of stretches) {
      const end = this.lengthOf(row);
      for (let token = 0; token < count; token++) {
        const query = (at * time + start + token) * width;
        const first = end + token - reach + 1;
        for (let slot = 0; slot < Math.min(slots, end); slot++) {
          const position = slot + slots * Math.floor((end - 1 - slot) / slots);
          if (position >= first) mask[query + slot] = 0;
        }
        const own = query + slots + start;
        mask.fill(0, own + Math.max(0, token - reach + 1), own + token + 1);
      }
    }
    return mask;
  }

  /** Adds the tokens of a pass, whose keys and values are its outputs. */
  append(outputs: Readonly<Record<string, HostTensor>>, stretches: readonly Stretch[]): void {
    for (const [layer, store] of this.#layers) {
      const slots = this.#slots(store.window);
      for (const half of ["key", "value"] as const) {
        const { data, shape } = outputs[`${half}${layer}`]!;
        const time = shape[2]!;
        for (const { row, batch, start, count } of stretches) {
          // From the first token that its own followers do not push out; each part ends where the slots begin anew.
          for (let token = Math.max(0, count - slots); token < count; ) {
            const slot = (this.lengthOf(row) + token) % slots;
            const part = Math.min(count - token, slots - slot);
            const [from, to] = [
              { block: batch, time, at: start + token },
              { block: row, time: slots, at: slot },
            ];
            copyTokens(data as Float32Array, from, store[half], to, part, store);
            token += part;
          }
        }
      }
    }
    for (const { row, count } of stretches) this.#lengths[row]! += count;
  }
}

/** A token's place in an array (blocks, heads, time, headDim). */
interface TokenPlace {
  readonly block: number;
  readonly time: number;
  readonly at: number;
}

/** Copies so many tokens of every head. */
function copyTokens(
  source: Float32Array,
  from: TokenPlace,
  target: Float32Array,
  to: TokenPlace,
  count: number,
  { heads, headDim }: LayerStore,
): void {
  for (let head = 0; head < heads; head++) {
    const start = ((from.block * heads + head) * from.time + from.at) * headDim;
    target.set(
      source.subarray(start, start + count * headDim),
      ((to.block * heads + head) * to.time + to.at) * headDim,
    );
  }
}
