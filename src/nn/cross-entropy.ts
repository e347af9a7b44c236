import { withGradient } from "../autograd/custom.js";
import { broadcastTo, sum } from "../ops/broadcast.js";
import { constant } from "../ops/constant.js";
import { add, cast, less, log, mul, sub, where } from "../ops/elementwise.js";
import { addPerRow, takePerRow } from "../ops/gather.js";
import { matmul } from "../ops/matmul.js";
import { concat, reshape, slice } from "../ops/movement.js";
import { max } from "../ops/reduce.js";
import { softmax } from "../ops/softmax.js";
import { computeTogether, type Tensor } from "../tensor/tensor.js";
import { softcap, softcapSlope } from "./softcap.js";

export interface CrossEntropyOptions {
  /** Scalar factor of the summed loss, such as 1 / number of scored tokens in the whole step. Default 1. */
  readonly scale?: Tensor;
  /** Tokens whose logits exist at the same time. Default 256. */
  readonly chunkSize?: number;
  /** Logits are kept within ± softcap, as by the function `softcap`. Default: not capped. */
  readonly softcap?: number | undefined;
}

/**
 * Output projection and cross-entropy in one, by chunks of tokens, so that the full logits never exist: scale · Σ −log
 * softmax(hidden Wᵀ)[label], in nats. hidden: (n, d), weight: (vocabSize, d), labels: (n) int32; negative labels are
 * not scored.
 */
export function linearCrossEntropy(
  hidden: Tensor,
  weight: Tensor,
  labels: Tensor,
  options: CrossEntropyOptions = {},
): Tensor {
  const { total, chunks } = scoreInChunks(hidden, weight, labels, options);
  return withGradient(total, [hidden, weight], (dy, [, w]) => {
    const dHidden: Tensor[] = [];
    let dWeight: Tensor | undefined;
    for (const chunk of chunks) {
      // d loss / d logits = (probabilities − one-hot(target)) · token weight; the weight is applied to the thin
      // factors.
      const minusOne = broadcastTo(constant(-1), [chunk.targets.size, 1]);
      const dCapped = addPerRow(chunk.probabilities, chunk.targets, minusOne);
      const dLogits = chunk.slope === undefined ? dCapped : mul(dCapped, chunk.slope);
      const dChunk = mul(matmul(dLogits, w!), chunk.weights);
      const outer = matmul(dLogits, mul(chunk.hidden, chunk.weights), { transposeA: true });
      dWeight = dWeight === undefined ? outer : add(dWeight, outer);
      dHidden.push(dChunk);
      // A chunk's gradients follow its loss at once, so its probabilities can be freed before the next chunk's exist.
      computeTogether(chunk.loss, [dChunk, dWeight]);
    }
    return [mul(concat(dHidden, 0), dy), mul(dWeight!, dy)];
  });
}

/** The same loss beside that of each token, (n, 1), without gradients. */
export function linearTokenLosses(
  hidden: Tensor,
  weight: Tensor,
  labels: Tensor,
  options: CrossEntropyOptions = {},
): { readonly total: Tensor; readonly each: Tensor } {
  const { total, chunks } = scoreInChunks(hidden, weight, labels, options);
  const losses = chunks.map(({ loss }) => loss);
  return { total, each: concat(losses, 0) };
}

function scoreInChunks(
  hidden: Tensor,
  weight: Tensor,
  labels: Tensor,
  { scale = constant(1), chunkSize = 256, softcap: cap }: CrossEntropyOptions,
): { readonly total: Tensor; readonly chunks: readonly Chunk[] } {
  const tokens = hidden.shape[0]!;
  const ignored = less(labels, 0);
  const targets = where(ignored, 0, labels);
  const weights = mul(reshape(cast(where(ignored, 0, 1), "float32"), [tokens, 1]), scale);
  const chunks: Chunk[] = [];
  let total = constant(0);
  for (let start = 0; start < tokens; start += chunkSize) {
    const part = (x: Tensor) => slice(x, 0, start, Math.min(tokens, start + chunkSize));
    const chunk = scoreChunk(part(hidden), weight, part(targets), part(weights), cap);
    chunks.push(chunk);
    // Added before the next chunk is created: programs run in order of creation if they can.
    total = add(total, sum(chunk.loss));
  }
  return { total, chunks };
}

/** The weighted negative log-likelihood of each token (n, 1), and what its gradient needs. */
interface Chunk {
  readonly hidden: Tensor;
  readonly targets: Tensor;
  readonly weights: Tensor;
  readonly probabilities: Tensor;
  /** Derivative of the cap at each logit; undefined without a cap. */
  readonly slope: Tensor | undefined;
  readonly loss: Tensor;
}

function scoreChunk(hidden: Tensor, weight: Tensor, targets: Tensor, weights: Tensor, cap: number | undefined): Chunk {
  const logits = softcap(matmul(hidden, weight, { transposeB: true }), cap);
  const slope = softcapSlope(logits, cap);
  const target = takePerRow(logits, targets);
  // The largest probability is 1 / Σ e^(z − max z): exact where the target's own probability underflows.
  const largest = max(logits, { axes: [1], keepDims: true });
  // Created after everything else that reads the logits, so that devices may overwrite them.
  const probabilities = softmax(logits);
  const logNormalizer = sub(largest, log(max(probabilities, { axes: [1], keepDims: true })));
  const loss = mul(sub(logNormalizer, target), weights);
  return { hidden, targets, weights, probabilities, slope, loss };
}
