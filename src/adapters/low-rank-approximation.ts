import { matmul } from "../ops/matmul.js";
import type { Rng } from "../tensor/random.js";
import { type Tensor, tensor } from "../tensor/tensor.js";
import { orthonormalColumns } from "./orthonormal.js";

/** Power iterations on the Gram matrix; its spectrum is squared, so few are enough. */
const ITERATIONS = 8;

/** Inputs of a layer: (rows, inFeatures), row-major. */
export interface LayerInputs {
  readonly rows: number;
  readonly data: Float32Array;
}

/**
 * left · right with left (outFeatures, rank) of orthonormal columns, some of them zero where the rank is not needed.
 */
export interface LowRankProduct {
  readonly left: Float32Array;
  readonly right: Float32Array; // (rank, inFeatures)
}

/**
 * The product of rank at most `rank` that comes nearest to `matrix` (outFeatures, inFeatures) in what it makes of the
 * inputs X: it minimizes ‖X (M − left · right)ᵀ‖. That is reduced-rank regression: left spans the leading right
 * singular vectors of X Mᵀ, found by subspace iteration, and right = leftᵀ M. Without inputs it is the truncated
 * singular value decomposition.
 */
export async function approximateLowRank(
  matrix: Float32Array,
  [outFeatures, inFeatures]: readonly [number, number],
  rank: number,
  rng: Rng,
  inputs?: LayerInputs,
): Promise<LowRankProduct> {
  const m = tensor(matrix, [outFeatures, inFeatures]);
  const outputs =
    inputs === undefined
      ? undefined
      : tensor(await floats(matmul(tensor(inputs.data, [inputs.rows, inFeatures]), m, { transposeB: true })), [
          inputs.rows,
          outFeatures,
        ]);
  let left: Float32Array = Float32Array.from({ length: outFeatures * rank }, () => rng.normal());
  for (let i = 0; i < ITERATIONS; i++) {
    const v = tensor(left, [outFeatures, rank]);
    const image =
      outputs === undefined
        ? matmul(m, matmul(m, v, { transposeA: true }))
        : matmul(outputs, matmul(outputs, v), { transposeA: true });
    left = orthonormalColumns(await floats(image), outFeatures, rank);
  }
  const right = await floats(matmul(tensor(left, [outFeatures, rank]), m, { transposeA: true }));
  return { left, right };
}

async function floats(x: Tensor): Promise<Float32Array> {
  return (await x.data()) as Float32Array;
}
