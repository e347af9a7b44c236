import { withGradient } from "../autograd/custom.js";
import { gatherRows } from "../ops/gather.js";
import { reshape } from "../ops/movement.js";
import { rotary } from "../ops/rotary.js";
import { placeholder, type Tensor } from "../tensor/tensor.js";
import { blockMask, causalAttention, type QueryBlock } from "./causal-attention.js";
import { type Rope, type RotaryAngles, rotaryAngles } from "./rope.js";
import { type AttentionSizes, known, Sequence } from "./sequence.js";

/** Sizes of samples that stand one after another. */
export interface SampleSizes {
  /** Tokens of all samples, and at least one of padding. */
  readonly tokens: number;
  readonly samples: number;
  /** Blocks of queries that attention computes one after another. */
  readonly blocks: number;
  /** Tokens of a block. Blocks together have room for the longest sample; all samples, for one token more. */
  readonly blockLength: number;
  /** Tokens of the longest sample that any batch can have. */
  readonly longest: number;
}

/**
 * Samples one after another, without padding between them, each from its first token on. Whatever looks at one token
 * at a time computes no more than the samples have. Attention alone gives each sample a row of its own, so that none
 * sees another. Padding comes last; nothing of it reaches the samples, and its gradients are zero.
 */
export class SampleSequence extends Sequence {
  /** Tokens by the slots of attention's rows, (samples · row) int32; a token of padding where a slot has none. */
  readonly places: Tensor;
  /** The reverse: the slot of each token, (tokens) int32; a slot without a token for padding. */
  readonly slots: Tensor;
  /** Places of the tokens in their samples, (tokens) int32. */
  readonly positions: Tensor;
  /** Masks of the blocks by the number of tokens that a query sees; undefined for all up to its own. */
  readonly masks: Map<number | undefined, readonly QueryBlock[]> = new Map();
  readonly #angles: Map<string, RotaryAngles<Tensor>> = new Map();
  readonly #sizes: SampleSizes;

  constructor(sizes: SampleSizes) {
    super(1, sizes.tokens);
    const { tokens, samples, blocks, blockLength } = sizes;
    this.#sizes = sizes;
    this.places = placeholder("places", [samples * blocks * blockLength], "int32");
    this.slots = placeholder("slots", [tokens], "int32");
    this.positions = placeholder("positions", [tokens], "int32");
  }

  protected override turn(x: Tensor, rope: Rope): Tensor {
    const { cos, sin } = known(this.#angles, JSON.stringify(rope), () => {
      const table = rotaryAngles(this.#sizes.longest, rope);
      return { cos: gatherRows(table.cos, this.positions), sin: gatherRows(table.sin, this.positions) };
    });
    return reshape(rotary(reshape(x, [1, ...x.shape]), cos, sin), x.shape);
  }

  override lookUp(table: Tensor): Tensor {
    return gatherRows(table, this.positions);
  }

  override attend(_layer: number, q: Tensor, k: Tensor, v: Tensor, sizes: AttentionSizes): Tensor {
    const { samples, blocks, blockLength, longest } = this.#sizes;
    const window = sizes.window !== undefined && sizes.window < longest ? sizes.window : undefined;
    const [query, key, value] = [q, k, v].map((x) => moveRows(x, this.places, this.slots)) as [Tensor, Tensor, Tensor];
    const shape = { batch: samples, time: blocks * blockLength, ...sizes };
    const attended = causalAttention(
      query,
      key,
      value,
      known(this.masks, window, () => this.#blocks()),
      shape,
    );
    return moveRows(attended, this.slots, this.places);
  }

  #blocks(): QueryBlock[] {
    const { blocks, blockLength } = this.#sizes;
    return Array.from({ length: blocks }, (_, i) => {
      const end = (i + 1) * blockLength;
      const mask = placeholder(`mask${this.masks.size}.${i}`, [blockLength, 1, end]);
      return { start: i * blockLength, end, firstKey: 0, endKey: end, mask };
    });
  }
}

/** The values of the masks that a block has, by the name of its placeholder. */
export function maskFeeds({ masks }: SampleSequence, blockLength: number): Record<string, Float32Array> {
  const feeds: Record<string, Float32Array> = {};
  for (const [window, blocks] of masks) {
    for (const [i, { mask }] of blocks.entries()) {
      const [start, end] = [i * blockLength, (i + 1) * blockLength];
      const { name } = mask.source as { readonly name: string };
      feeds[name] = blockMask({ start, end, firstKey: 0, endKey: end }, window);
    }
  }
  return feeds;
}

/**
 * The rows of `x` at `there`. The gradient is taken back by `back`, which names a row for each one of `x`: the gradient
 * at rows that `there` does not name must be zero, as that of padding is.
 */
function moveRows(x: Tensor, there: Tensor, back: Tensor): Tensor {
  return withGradient(gatherRows(x, there), [x], (dy) => [gatherRows(dy, back)]);
}
