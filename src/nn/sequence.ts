import { broadcastTo } from "../ops/broadcast.js";
import { concat, reshape, slice } from "../ops/movement.js";
import { rotary } from "../ops/rotary.js";
import type { Tensor } from "../tensor/tensor.js";
import type { AttentionShape } from "./attention.js";
import { causalAttention, causalBlocks, type QueryBlock } from "./causal-attention.js";
import { type Rope, rotaryAngles } from "./rope.js";

/** The sizes of one attention layer. */
export type AttentionSizes = Omit<AttentionShape, "batch" | "time">;

/**
 * The tokens of a forward pass and those that they may look back on. Architectures ask it for everything that depends
 * on a token's position, so they are the same for a whole text and for one token after a cache.
 */
export abstract class Sequence {
  readonly batch: number;
  /** Tokens per row that the pass computes. */
  readonly time: number;

  constructor(batch: number, time: number) {
    this.batch = batch;
    this.time = time;
  }

  /** Turns the heads of queries or keys by their positions. x: (batch · time, heads · headDim) → same. */
  rotate(x: Tensor, rope: Rope): Tensor {
    const { headDim, rotaryDim = headDim } = rope;
    if (rotaryDim === headDim) return this.turn(x, rope);
    const [rows, width] = x.shape as [number, number];
    const byHead = reshape(x, [rows, width / headDim, headDim]);
    const part = reshape(slice(byHead, 2, 0, rotaryDim), [rows, (width / headDim) * rotaryDim]);
    const turned = reshape(this.turn(part, { ...rope, headDim: rotaryDim }), [rows, width / headDim, rotaryDim]);
    return reshape(concat([turned, slice(byHead, 2, rotaryDim, headDim)], 2), x.shape);
  }

  /** Like `rotate`, for heads whose features all turn. */
  protected abstract turn(x: Tensor, rope: Rope): Tensor;

  /** Rows of a table of learned positions, one for each token. table: (positions, dim) → (batch · time, dim). */
  abstract lookUp(table: Tensor): Tensor;

  /**
   * Causal attention of layer number `layer`, from 0. q: (batch · time, numHeads · headDim), k and v:
   * (batch · time, numKeyValueHeads · headDim), rotated if the architecture rotates →
   * (batch · time, numHeads · headDim).
   */
  abstract attend(layer: number, q: Tensor, k: Tensor, v: Tensor, sizes: AttentionSizes): Tensor;
}

/** Whole rows from their first token on, as in training. */
export class WholeSequence extends Sequence {
  /** Shared by the layers. */
  readonly #angles: Map<string, { readonly cos: Tensor; readonly sin: Tensor }> = new Map();
  readonly #blocks: Map<number | undefined, readonly QueryBlock[]> = new Map();

  protected override turn(x: Tensor, rope: Rope): Tensor {
    const { cos, sin } = known(this.#angles, JSON.stringify(rope), () => rotaryAngles(this.time, rope));
    return reshape(rotary(reshape(x, [this.batch, this.time, x.shape[1]!]), cos, sin), x.shape);
  }

  override lookUp(table: Tensor): Tensor {
    const { batch, time } = this;
    const dim = table.shape[1]!;
    return reshape(broadcastTo(slice(table, 0, 0, time), [batch, time, dim]), [batch * time, dim]);
  }

  override attend(_layer: number, q: Tensor, k: Tensor, v: Tensor, sizes: AttentionSizes): Tensor {
    const { batch, time } = this;
    const blocks = known(this.#blocks, sizes.window, () => causalBlocks(time, sizes.window));
    return causalAttention(q, k, v, blocks, { batch, time, ...sizes });
  }
}

/** The value of a key, which is made when it is asked for first. */
export function known<K, V>(values: Map<K, V>, key: K, make: () => V): V {
  const value = values.get(key) ?? make();
  values.set(key, value);
  return value;
}
