import { gatherRows } from "../ops/gather.js";
import { concat, reshape } from "../ops/movement.js";
import { rotary } from "../ops/rotary.js";
import { placeholder, type Tensor } from "../tensor/tensor.js";
import type { Rope } from "./rope.js";
import { Sequence } from "./sequence.js";

/** Cosines and sines of a rotary embedding at the positions of the tokens, (batch · time, headDim / 2). */
export interface AngleInputs {
  readonly rope: Rope;
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/**
 * Tokens after a key-value cache. Everything that depends on their position is a placeholder: positions, angles, masks.
 */
export abstract class FedSequence extends Sequence {
  /** (batch · time) int32. */
  readonly positions: Tensor;
  readonly angles: Map<string, AngleInputs> = new Map();
  /**
   * Masks for the scores, (…, time, keys), by the number of keys that a query sees, including its own; undefined for
   * all.
   */
  readonly masks: Map<number | undefined, Tensor> = new Map();
  readonly #stacked: Map<string, Tensor> = new Map();

  constructor(batch: number, time: number) {
    super(batch, time);
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

  /** Shape of a mask. */
  protected abstract maskShape(window: number | undefined): readonly number[];

  /** Mask of so many stacked queries, shared by the layers. */
  protected stackedMask(window: number | undefined, queries: number): Tensor {
    const key = `${window}/${queries}`;
    const mask = this.#stacked.get(key) ?? stack(this.#maskOf(window), this.time === 1 ? 1 : queries);
    this.#stacked.set(key, mask);
    return mask;
  }

  #maskOf(window: number | undefined): Tensor {
    const mask = this.masks.get(window) ?? placeholder(`mask${this.masks.size}`, this.maskShape(window));
    this.masks.set(window, mask);
    return mask;
  }
}

function stack(mask: Tensor, times: number): Tensor {
  return times === 1 ? mask : concat(new Array<Tensor>(times).fill(mask), mask.rank - 2);
}
