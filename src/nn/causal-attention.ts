import { withGradient } from "../autograd/custom.js";
import { sum } from "../ops/broadcast.js";
import { add, mul, sub } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import { concat, reshape, slice, transpose } from "../ops/movement.js";
import { softmax } from "../ops/softmax.js";
import { computeTogether, type Tensor, tensor } from "../tensor/tensor.js";
import { type AttentionShape, MASKED, scaleOf, splitHeads } from "./attention.js";
import { softcap, softcapSlope } from "./softcap.js";

/** Tokens of a row that attend together, and the keys that any of them sees. */
export interface QueryBlock {
  /** The queries' places in the row. */
  readonly start: number;
  readonly end: number;
  /** The keys, of which the last can be beyond the last query. */
  readonly firstKey: number;
  readonly endKey: number;
  /** Added to the scores: 0 where the query sees the key, −1e30 elsewhere. (end − start, 1, endKey − firstKey). */
  readonly mask: Tensor;
}

/** Blocks per row, unless they would be shorter or longer than these. */
const BLOCKS = 4;
const SHORTEST = 32;
/** ONNX Runtime holds memory for each shape of scores: few numbers of keys are worth the scores that are masked. */
const NUMBERS_OF_KEYS = 4;
const LONGEST = 512;
/** Blocks that see a window all have one size. */
const LONGEST_IN_WINDOW = 256;

/**
 * Divides the queries of a row into blocks, so that most of the scores that causality or a window masks are never
 * computed.
 * @param window tokens that a query sees, including its own. Default: all up to its own.
 */
export function causalBlocks(time: number, window: number = time): QueryBlock[] {
  const longest = window < time ? LONGEST_IN_WINDOW : LONGEST;
  const length = Math.min(longest, Math.max(SHORTEST, Math.ceil(time / BLOCKS)));
  const keyStep = window < time ? length : length * Math.ceil(time / length / NUMBERS_OF_KEYS);
  const blocks: QueryBlock[] = [];
  for (let start = 0; start < time; start += length) {
    const end = Math.min(time, start + length);
    const firstKey = Math.max(0, start - window + 1);
    const endKey = Math.min(time, keyStep * Math.ceil(end / keyStep));
    const mask = blockMask({ start, end, firstKey, endKey }, window);
    blocks.push({ start, end, firstKey, endKey, mask: tensor(mask, [end - start, 1, endKey - firstKey]) });
  }
  return blocks;
}

/** The mask of a block, (end − start, endKey − firstKey). @param window as for `causalBlocks`. */
export function blockMask(
  { start, end, firstKey, endKey }: Omit<QueryBlock, "mask">,
  window: number = end,
): Float32Array {
  const keys = endKey - firstKey;
  const mask = new Float32Array((end - start) * keys);
  for (let query = start; query < end; query++) {
    const row = (query - start) * keys;
    mask.fill(MASKED, row, row + Math.max(0, query - window + 1 - firstKey));
    mask.fill(MASKED, row + query + 1 - firstKey, row + keys);
  }
  return mask;
}

/**
 * Causal scaled dot-product attention, block by block. The gradient computes the probabilities of a block again right
 * before it needs them (Dao et al. 2022, arXiv:2205.14135, section 3.1), so that those of one block exist at a time.
 * q: (batch · time, numHeads · headDim), k and v: (batch · time, numKeyValueHeads · headDim), blocks: from
 * `causalBlocks` → (batch · time, numHeads · headDim).
 */
export function causalAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  blocks: readonly QueryBlock[],
  shape: AttentionShape,
): Tensor {
  const inputs = [groupByTime(q, shape), splitHeads(k, shape), splitHeads(v, shape)] as const;
  const attended = blocks.map((block) => {
    const { weights, value } = weigh(inputs, block, shape);
    return matmul(weights, value);
  });
  return withGradient(ungroup(joined(attended), shape), inputs, (dy, current, output) => {
    return attentionGradients(dy, current as unknown as AttentionInputs, output, blocks, shape);
  });
}

/**
 * Queries (batch, numKeyValueHeads, time · heads of a key, headDim), keys and values
 * (batch, numKeyValueHeads, time, headDim).
 */
type AttentionInputs = readonly [query: Tensor, key: Tensor, value: Tensor];

/** The inputs of a block, and its probabilities (batch, numKeyValueHeads, queries · heads of a key, keys). */
interface WeighedBlock {
  readonly query: Tensor;
  readonly key: Tensor;
  readonly value: Tensor;
  /** Scores with their cap, before the mask. */
  readonly scores: Tensor;
  readonly weights: Tensor;
}

function weigh([queries, keys, values]: AttentionInputs, block: QueryBlock, shape: AttentionShape): WeighedBlock {
  const { firstKey, endKey, mask } = block;
  const query = queriesOf(queries, block, shape);
  const [key, value] = [rowsOf(keys, firstKey, endKey), rowsOf(values, firstKey, endKey)];
  const scores = softcap(mul(matmul(query, key, { transposeB: true }), scaleOf(shape)), shape.softcap);
  // The heads that share a key also share its mask.
  const [batch, groups] = scores.shape as [number, number];
  const byQuery = reshape(scores, [batch, groups, mask.shape[0]!, headsOfKey(shape), mask.shape[2]!]);
  return { query, key, value, scores, weights: softmax(reshape(add(byQuery, mask), scores.shape)) };
}

/** With P = softmax(S) and O = P V: dS = P ∘ (dO Vᵀ − rowsum(dO ∘ O)). */
function attentionGradients(
  dy: Tensor,
  inputs: AttentionInputs,
  output: Tensor,
  blocks: readonly QueryBlock[],
  shape: AttentionShape,
): AttentionInputs {
  const dOutput = groupByTime(dy, shape);
  const shares = groupByTime(sum(byHead(mul(dy, output), shape), { axes: [2] }), { ...shape, headDim: 1 });
  const dQueries: Tensor[] = [];
  const dKeys = new OverlappingSum();
  const dValues = new OverlappingSum();
  // The last block has the most keys, and is done while the least else is kept.
  let done: readonly Tensor[] = [];
  for (const block of [...blocks].reverse()) {
    const { query, key, value, scores, weights } = weigh(inputs, block, shape);
    const dBlock = queriesOf(dOutput, block, shape);
    const dValue = dValues.add(matmul(weights, dBlock, { transposeA: true }), block);
    const dWeights = matmul(dBlock, value, { transposeB: true });
    const share = queriesOf(shares, block, shape);
    // A block waits for the one before, so that the probabilities of both do not exist at once.
    if (done.length > 0) computeTogether(share, done);
    const dMasked = mul(weights, sub(dWeights, share));
    const slope = softcapSlope(scores, shape.softcap);
    const dScores = slope === undefined ? dMasked : mul(dMasked, slope);
    const dQuery = mul(matmul(dScores, key), scaleOf(shape));
    dQueries.unshift(dQuery);
    const dKey = dKeys.add(mul(matmul(dScores, query, { transposeA: true }), scaleOf(shape)), block);
    done = [dQuery, dKey, dValue];
  }
  return [joined(dQueries), dKeys.total(), dValues.total()];
}

/** Adds up gradients of keys or values, block by block from the last, each for the keys that the block sees. */
class OverlappingSum {
  /** The sums in the order of the keys; only the first can still grow. */
  #sums: readonly Tensor[] = [];
  /** The first key of the first sum. */
  #first = 0;

  /** Returns the sum for the keys of the block. */
  add(gradient: Tensor, { firstKey, endKey }: QueryBlock): Tensor {
    const [open, ...done] = this.#sums;
    if (open === undefined) {
      this.#sums = [gradient];
    } else {
      const [shared, fresh] = [endKey - this.#first, this.#first - firstKey];
      const [both] = part(gradient, fresh, endKey - firstKey);
      const sum = both === undefined ? [] : [add(both, rowsOf(open, 0, shared))];
      const rest = part(open, shared, open.shape[2]!);
      this.#sums = [joined([...part(gradient, 0, fresh), ...sum]), ...rest, ...done];
    }
    this.#first = firstKey;
    return this.#sums[0]!;
  }

  total(): Tensor {
    return joined(this.#sums);
  }
}

/** The rows from `start` to `end`, if there are any. */
function part(x: Tensor, start: number, end: number): Tensor[] {
  if (start === end) return [];
  return [start === 0 && end === x.shape[2] ? x : slice(x, 2, start, end)];
}

function rowsOf(x: Tensor, start: number, end: number): Tensor {
  return part(x, start, end)[0]!;
}

function queriesOf(x: Tensor, { start, end }: QueryBlock, shape: AttentionShape): Tensor {
  return rowsOf(x, start * headsOfKey(shape), end * headsOfKey(shape));
}

function joined(parts: readonly Tensor[]): Tensor {
  return parts.length === 1 ? parts[0]! : concat(parts, 2);
}

function headsOfKey({ numHeads, numKeyValueHeads }: AttentionShape): number {
  return numHeads / numKeyValueHeads;
}

function byHead(x: Tensor, { batch, time, numHeads, headDim }: AttentionShape): Tensor {
  return reshape(x, [batch * time, numHeads, headDim]);
}

/**
 * Puts the heads that share a key below one another, token by token, so that a block of tokens is a block of rows:
 * (batch · time, numHeads · headDim) → (batch, numKeyValueHeads, time · numHeads / numKeyValueHeads, headDim).
 */
function groupByTime(x: Tensor, shape: AttentionShape): Tensor {
  const { batch, time, numKeyValueHeads: groups, headDim } = shape;
  const byGroup = transpose(reshape(x, [batch, time, groups, headsOfKey(shape) * headDim]), [0, 2, 1, 3]);
  return reshape(byGroup, [batch, groups, time * headsOfKey(shape), headDim]);
}

/** The reverse of `groupByTime`. */
function ungroup(x: Tensor, shape: AttentionShape): Tensor {
  const { batch, time, numHeads, numKeyValueHeads: groups, headDim } = shape;
  const byGroup = transpose(reshape(x, [batch, groups, time, headsOfKey(shape) * headDim]), [0, 2, 1, 3]);
  return reshape(byGroup, [batch * time, numHeads * headDim]);
}
