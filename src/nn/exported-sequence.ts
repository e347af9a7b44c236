import { gatherRows } from "../ops/gather.js";
import { concat, reshape } from "../ops/movement.js";
import { rotary } from "../ops/rotary.js";
import { placeholder, type Tensor } from "../tensor/tensor.js";
import { attendTo, splitHeads } from "./attention.js";
import type { Rope } from "./rope.js";
import { type AttentionSizes, Sequence } from "./sequence.js";

/** A key-value cache of one layer: what a run is given, and what the next one is. (batch, numKeyValueHeads, keys, headDim) each. */
export interface LayerCache {
  readonly past: KeysAndValues;
  readonly present: KeysAndValues;
}

export interface KeysAndValues {
  readonly key: Tensor;
  readonly value: Tensor;
}

/** Cosines and sines of a rotary embedding at the positions of the tokens, (batch · time, headDim / 2). */
export interface AngleInputs {
  readonly rope: Rope;
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/**
 * Tokens after a key-value cache, for a model in a file of its own. All that depends on where tokens stand is a placeholder, which the
 * file computes of its inputs: positions, angles and masks.
 */
export class ExportedSequence extends Sequence {
  /** Tokens in the cache. */
  readonly past: number;
  readonly layers: Map<number, LayerCache> = new Map();
  readonly angles: Map<string, AngleInputs> = new Map();
  /** What is added to scores, (batch, 1, time, past + time), by how many keys a query sees, its own included; undefined for all. */
  readonly masks: Map<number | undefined, Tensor> = new Map();
  readonly #stacked: Map<string, Tensor> = new Map();
  /** (batch · time) int32. */
  readonly positions: Tensor;

  constructor(batch: number, time: number, past: number) {
    super(batch, time);
    this.past = past;
    this.positions = placeholder("positions", [batch * time], "int32");
  }

  protected override turn(x: Tensor, rope: Rope): Tensor {
    const { cos, sin } = this.#anglesOf(rope);
    return reshape(rotary(reshape(x, [1, ...x.shape]), cos, sin), x.shape);
  }

  #anglesOf(rope: Rope): AngleInputs {
    const key = JSON.stringify(rope);
    let angles = this.angles.get(key);
    if (angles === undefined) {
      const shape = [this.batch * this.time, rope.headDim / 2];
      const name = `angles${this.angles.size}`;
      angles = { rope, cos: placeholder(`${name}.cos`, shape), sin: placeholder(`${name}.sin`, shape) };
      this.angles.set(key, angles);
    }
    return angles;
  }

  override lookUp(table: Tensor): Tensor {
    return gatherRows(table, this.positions);
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
    const mask = this.#stackedMask(sizes.window, sizes.numHeads / sizes.numKeyValueHeads);
    return attendTo(q, present.key, present.value, mask, shape);
  }

  #past(layer: number, { numKeyValueHeads, headDim }: AttentionSizes): KeysAndValues {
    const input = (half: string): Tensor =>
      placeholder(`past_key_values.${layer}.${half}`, [this.batch, numKeyValueHeads, this.past, headDim]);
    return { key: input("key"), value: input("value") };
  }

  /** The mask of so many stacked queries, shared by the layers. */
  #stackedMask(window: number | undefined, queries: number): Tensor {
    const key = `${window}/${queries}`;
    const mask = this.#stacked.get(key) ?? concat(new Array<Tensor>(queries).fill(this.#maskOf(window)), 2);
    this.#stacked.set(key, mask);
    return mask;
  }

  #maskOf(window: number | undefined): Tensor {
    const { batch, time, past } = this;
    const mask = this.masks.get(window) ?? placeholder(`mask${this.masks.size}`, [batch, 1, time, past + time]);
    this.masks.set(window, mask);
    return mask;
  }
}
