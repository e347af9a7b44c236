import { concat } from "../ops/movement.js";
import { placeholder, type Tensor } from "../tensor/tensor.js";
import { attendTo, type KeysAndValues, splitHeads } from "./attention.js";
import { FedSequence } from "./fed-sequence.js";
import type { AttentionSizes } from "./sequence.js";

/** Key-value cache of one layer before and after a run. (batch, numKeyValueHeads, keys, headDim) each. */
export interface LayerCache {
  readonly past: KeysAndValues;
  readonly present: KeysAndValues;
}

/** Tokens after a key-value cache, for an exported model that computes the placeholders from its inputs. */
export class ExportedSequence extends FedSequence {
  /** Tokens in the cache. */
  readonly past: number;
  readonly layers: Map<number, LayerCache> = new Map();

  constructor(batch: number, time: number, past: number) {
    super(batch, time);
    this.past = past;
  }

  override attend(layer: number, q: Tensor, k: Tensor, v: Tensor, sizes: AttentionSizes): Tensor {
    const { batch, time } = this;
    const shape = { batch, time, ...sizes };
    const past = this.#past(layer, sizes);
    const present = {
      key: concat([past.key, splitHeads(k, shape)], 2),
      value: concat([past.value, splitHeads(v, shape)], 2),
    };
    this.layers.set(layer, { past, present });
    const mask = this.stackedMask(sizes.window, sizes.numHeads / sizes.numKeyValueHeads);
    return attendTo(q, present.key, present.value, mask, shape);
  }

  #past(layer: number, { numKeyValueHeads, headDim }: AttentionSizes): KeysAndValues {
    const input = (half: string): Tensor =>
      placeholder(`past_key_values.${layer}.${half}`, [this.batch, numKeyValueHeads, this.past, headDim]);
    return { key: input("key"), value: input("value") };
  }

  protected override maskShape(): readonly number[] {
    const { batch, time, past } = this;
    return [batch, 1, time, past + time];
  }
}
