import { placeholder, type Tensor } from "../tensor/tensor.js";
import { attendToBoth, type KeysAndValues, splitHeads } from "./attention.js";
import { FedSequence } from "./fed-sequence.js";
import type { AttentionSizes } from "./sequence.js";

/** The cache of one layer. */
export interface CachedLayer {
  /** Keys that a query sees, including its own; undefined for all. */
  readonly window: number | undefined;
  /** Inputs of a run, (batch, numKeyValueHeads, slots, headDim) each: placeholders. */
  readonly cached: KeysAndValues;
  /** Keys and values that the tokens add, (batch, numKeyValueHeads, time, headDim) each. */
  readonly own: KeysAndValues;
}

/**
 * Tokens after a key-value cache outside the graph. A slot of the cache may hold any token or none, and a row of the
 * pass may hold the tokens of several texts: the masks, (batch, 1, time, slots + time), say what a query sees of both.
 */
export class CachedSequence extends FedSequence {
  readonly layers: Map<number, CachedLayer> = new Map();
  readonly #slotsOf: (window: number | undefined) => number;

  /** @param slotsOf number of slots in layers with this window, or its stand-in if each run decides. */
  constructor(batch: number, time: number, slotsOf: (window: number | undefined) => number) {
    super(batch, time);
    this.#slotsOf = slotsOf;
  }

  override attend(layer: number, q: Tensor, k: Tensor, v: Tensor, sizes: AttentionSizes): Tensor {
    const { numHeads, numKeyValueHeads, headDim, window } = sizes;
    const { batch, time } = this;
    const shape = { batch, time, ...sizes };
    const input = (name: string): Tensor =>
      placeholder(`${name}${layer}`, [batch, numKeyValueHeads, this.#slotsOf(window), headDim]);
    const cached = { key: input("key"), value: input("value") };
    const own = { key: splitHeads(k, shape), value: splitHeads(v, shape) };
    this.layers.set(layer, { window, cached, own });
    return attendToBoth(q, cached, own, this.stackedMask(window, numHeads / numKeyValueHeads), shape);
  }

  protected override maskShape(window: number | undefined): readonly number[] {
    return [this.batch, 1, this.time, this.#slotsOf(window) + this.time];
  }
}
