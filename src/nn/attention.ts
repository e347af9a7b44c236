import { add, mul } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import { concat, reshape, slice, transpose } from "../ops/movement.js";
import { softmax } from "../ops/softmax.js";
import type { Tensor } from "../tensor/tensor.js";
import { softcap } from "./softcap.js";

export interface AttentionShape {
  readonly batch: number;
  readonly time: number;
  readonly numHeads: number;
  /** Divides numHeads. Fewer than numHeads is grouped-query attention (Ainslie et al. 2023, arXiv:2305.13245). */
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  /** Factor of the scores. Default 1 / √headDim. */
  readonly scale?: number;
  /** Scores are kept within ± softcap by softcap · tanh(score / softcap). Default: not capped. */
  readonly softcap?: number | undefined;
  /**
   * Tokens that a query sees, including its own (Beltagy et al. 2020, arXiv:2004.05150). Default: all up to its own.
   */
  readonly window?: number | undefined;
}

/** Added to masked scores. Finite, so that no device meets ∞ − ∞; e^(−1e30) is still 0 in float32. */
export const MASKED = -1e30;

/**
 * Scaled dot-product attention of `time` tokens to at least as many `keys`. q: (batch · time, numHeads · headDim), key
 * and value: (batch, numKeyValueHeads, keys, headDim); mask: added to the scores
 * (batch, numKeyValueHeads, numHeads / numKeyValueHeads · time, keys), to which it broadcasts →
 * (batch · time, numHeads · headDim).
 */
export function attendTo(q: Tensor, key: Tensor, value: Tensor, mask: Tensor, shape: AttentionShape): Tensor {
  const scores = mul(matmul(groupQueries(q, shape), key, { transposeB: true }), scaleOf(shape));
  return ungroup(matmul(weigh(scores, mask, shape), value), shape);
}

/** Keys and values of the same tokens, (batch, numKeyValueHeads, tokens, headDim) each. */
export interface KeysAndValues {
  readonly key: Tensor;
  readonly value: Tensor;
}

/**
 * Like `attendTo`, over cached keys and the tokens' own, which are never concatenated in memory. mask: columns for the
 * cached keys, then for the new ones.
 */
export function attendToBoth(
  q: Tensor,
  cached: KeysAndValues,
  own: KeysAndValues,
  mask: Tensor,
  shape: AttentionShape,
): Tensor {
  // Scaled before the products, because the kernel for a single query does not scale.
  const query = mul(groupQueries(q, shape), scaleOf(shape));
  const scores = [cached, own].map(({ key }) => matmul(query, key, { transposeB: true }));
  const weights = weigh(concat(scores, 3), mask, shape);
  const [keys, all] = [scores[0]!.shape[3]!, weights.shape[3]!];
  const ofCached = matmul(slice(weights, 3, 0, keys), cached.value);
  return ungroup(add(ofCached, matmul(slice(weights, 3, keys, all), own.value)), shape);
}

/** Turns the queries that share a key head into rows of one product, so that keys and values are never repeated. */
function groupQueries(q: Tensor, { batch, time, numHeads, numKeyValueHeads: groups, headDim }: AttentionShape): Tensor {
  const perGroup = numHeads / groups;
  return reshape(transpose(reshape(q, [batch, time, groups, perGroup, headDim]), [0, 2, 3, 1, 4]), [
    batch,
    groups,
    perGroup * time,
    headDim,
  ]);
}

function ungroup(
  attended: Tensor,
  { batch, time, numHeads, numKeyValueHeads: groups, headDim }: AttentionShape,
): Tensor {
  const byHead = reshape(attended, [batch, groups, numHeads / groups, time, headDim]);
  return reshape(transpose(byHead, [0, 3, 1, 2, 4]), [batch * time, numHeads * headDim]);
}

export function scaleOf({ headDim, scale = 1 / Math.sqrt(headDim) }: AttentionShape): number {
  return scale;
}

function weigh(scores: Tensor, mask: Tensor, shape: AttentionShape): Tensor {
  return softmax(add(softcap(scores, shape.softcap), mask));
}

/**
 * Splits keys or values into heads: (batch · time, numKeyValueHeads · headDim) →
 * (batch, numKeyValueHeads, time, headDim).
 */
export function splitHeads(x: Tensor, { batch, time, numKeyValueHeads, headDim }: AttentionShape): Tensor {
  return transpose(reshape(x, [batch, time, numKeyValueHeads, headDim]), [0, 2, 1, 3]);
}
