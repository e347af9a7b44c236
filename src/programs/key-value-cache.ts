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
  /** (heads, slots, headDim) each. */
  key: Float32Array;
  value: Float32Array;
}

/**
 * Keys and values of the tokens that a model has read, layer by layer. A layer that looks back on a window keeps no
 * more tokens than that window: the token at position p lies in slot p modulo the number of slots.
 */
export class KeyValueCache {
  readonly #layers: ReadonlyMap<number, LayerStore>;
  #capacity = 0;
  #length = 0;

  constructor(layers: ReadonlyMap<number, CachedLayer>) {
    this.#layers = new Map(
      [...layers].map(([layer, { window, cached }]) => {
        const [, heads, , headDim] = cached.key.shape as [number, number, number, number];
        return [layer, { window, heads, headDim, key: new Float32Array(0), value: new Float32Array(0) }] as const;
      }),
    );
  }

  /** Tokens read so far. */
  get length(): number {
    return this.#length;
  }

  /** Forgets all tokens; the memory stays. */
  clear(): void {
    this.#length = 0;
  }

  /** Slots of the layers with a window, at least one. */
  slots(window: number | undefined): number {
    return Math.max(1, Math.min(this.#capacity, (window ?? Infinity) - 1));
  }

  /** Makes room for so many tokens in all. */
  reserve(tokens: number): void {
    if (tokens <= this.#capacity) return;
    const before = new Map([...this.#layers.values()].map(({ window }) => [window, this.slots(window)] as const));
    const held = this.#capacity;
    this.#capacity = Math.ceil((this.#capacity === 0 ? tokens : (9 * tokens) / 8) / GROWTH) * GROWTH;
    for (const store of this.#layers.values()) {
      const [old, slots] = [held === 0 ? 0 : before.get(store.window)!, this.slots(store.window)];
      if (old === slots) continue;
      // Slots were fewer than the window so far, so that each position lies in the slot of its number.
      for (const half of ["key", "value"] as const) {
        const grown = new Float32Array(store.heads * slots * store.headDim);
        for (let head = 0; head < store.heads; head++) {
          const [from, width] = [head * old * store.headDim, old * store.headDim];
          grown.set(store[half].subarray(from, from + width), head * slots * store.headDim);
        }
        store[half] = grown;
      }
    }
  }

  /** Values for the placeholders of the layers. */
  feeds(): Feeds {
    const feeds: Record<string, Float32Array> = {};
    for (const [layer, { key, value }] of this.#layers) {
      feeds[`key${layer}`] = key;
      feeds[`value${layer}`] = value;
    }
    return feeds;
  }

  /** The mask of `time` new tokens over the slots, then over themselves, (time, slots + time). */
  mask(window: number | undefined, time: number): Float32Array {
    const slots = this.slots(window);
    const reach = window ?? Infinity;
    const width = slots + time;
    const mask = new Float32Array(time * width).fill(MASKED);
    const end = this.#length;
    for (let row = 0; row < time; row++) {
      const start = row * width;
      const first = end + row - reach + 1;
      for (let slot = 0; slot < Math.min(slots, end); slot++) {
        const position = slot + slots * Math.floor((end - 1 - slot) / slots);
        if (position >= first) mask[start + slot] = 0;
      }
      mask.fill(0, start + slots + Math.max(0, row - reach + 1), start + slots + row + 1);
    }
    return mask;
  }

  /** Adds the first `count` of the tokens that a step computed, whose keys and values are its outputs. */
  append(outputs: Readonly<Record<string, HostTensor>>, count: number): void {
    for (const [layer, store] of this.#layers) {
      const slots = this.slots(store.window);
      for (const half of ["key", "value"] as const) {
        const { data, shape } = outputs[`${half}${layer}`]!;
        const time = shape[2]!;
        // From the first token that its own followers do not push out; each stretch ends where the slots begin anew.
        for (let token = Math.max(0, count - slots); token < count; ) {
          const slot = (this.#length + token) % slots;
          const stretch = Math.min(count - token, slots - slot);
          copyTokens(data as Float32Array, store, half, { token, time, slot, slots, stretch });
          token += stretch;
        }
      }
    }
    this.#length += count;
  }
}

interface Stretch {
  readonly token: number;
  readonly time: number;
  readonly slot: number;
  readonly slots: number;
  readonly stretch: number;
}

function copyTokens(
  from: Float32Array,
  { heads, headDim, ...store }: LayerStore,
  half: "key" | "value",
  { token, time, slot, slots, stretch }: Stretch,
): void {
  for (let head = 0; head < heads; head++) {
    const start = (head * time + token) * headDim;
    store[half].set(from.subarray(start, start + stretch * headDim), (head * slots + slot) * headDim);
  }
}
