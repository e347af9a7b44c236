import { placeholder, type Tensor } from "../tensor/tensor.js";
import { attendToBoth, type KeysAndValues, splitHeads } from "./attention.js";
import { FedSequence } from "./fed-sequence.js";
import type { AttentionSizes } from "./sequence.js";

/** The cache of one layer. */
export interface CachedLayer {
  /** Keys that a query sees, including its own; undefined for all. */
  readonly window: number | undefined;
  /** Inputs of a run, (1, numKeyValueHeads, slots, headDim) each: placeholders. */
  readonly cached: KeysAndValues;
  /** Keys and values that the tokens add, (1, numKeyValueHeads, time, headDim) each. */
  readonly own: KeysAndValues;
}

/**
 * Tokens of one row after a key-value cache outside the graph. A slot of the cache may hold any token or none: the
 * masks, (time, slots + time), say which slots a query sees.
 */
export class CachedSequence extends FedSequence {
  readonly layers: Map<number, CachedLayer> = new Map();
  readonly #slotsOf: (window: number | undefined) => number;

  /** @param slotsOf number of slots in layers with this window, or its stand-in if each run decides. */
  constructor(time: number, slotsOf: (window: number | undefined) => number) {
    super(1, time);
    this.#slotsOf = slotsOf;
  }

  override attend(layer: number, q: Tensor, k: Tensor, v: Tensor, sizes: AttentionSizes): Tensor {
    const { numHeads, numKeyValueHeads, headDim, window } = sizes;
    const shape = { batch: 1, time: this.time, ...sizes };
    const input = (name: string): Tensor =>
      placeholder(`${name}${layer}`, [1, numKeyValueHeads, this.#slotsOf(window), headDim]);
    const cached = { key: input("key"), value: input("value") };
    const own = { key: splitHeads(k, shape), value: splitHeads(v, shape) };
    this.layers.set(layer, { window, cached, own });
    return attendToBoth(q, cached, own, this.stackedMask(window, numHeads / numKeyValueHeads), shape);
  }

  protected override maskShape(window: number | undefined): readonly number[] {
    return [this.time, this.#slotsOf(window) + this.time];
  }
}
