import { add, mul } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import { type Tensor, tensor } from "../tensor/tensor.js";

/** One term of an accumulated update: scaling · B · A with B (outFeatures, rank) and A (rank, inFeatures), row-major. */
export interface LowRankTerm {
  readonly rank: number;
  readonly scaling: number;
  readonly loraA: Float32Array;
  readonly loraB: Float32Array;
}

/**
 * One term that is the sum of the terms: A below A, B beside B. Its scaling is that of the first; B of a term with another
 * scaling is adapted to it, exactly where the two differ in sign alone.
 */
export function joinTerms(terms: readonly LowRankTerm[]): LowRankTerm {
  if (terms.length === 1) return terms[0]!;
  const { scaling } = terms[0]!;
  const rank = terms.reduce((sum, term) => sum + term.rank, 0);
  const outFeatures = terms[0]!.loraB.length / terms[0]!.rank;
  const loraA = new Float32Array(terms.reduce((sum, term) => sum + term.loraA.length, 0));
  const loraB = new Float32Array(outFeatures * rank);
  let [startOfA, column] = [0, 0];
  for (const term of terms) {
    const factor = term.scaling / scaling;
    loraA.set(term.loraA, startOfA);
    for (let row = 0; row < outFeatures; row++) {
      for (let k = 0; k < term.rank; k++) loraB[row * rank + column + k] = term.loraB[row * term.rank + k]! * factor;
    }
    startOfA += term.loraA.length;
    column += term.rank;
  }
  return { rank, scaling, loraA, loraB };
}

/** What an adapter that stands at `now` has learned since it started, of twice the rank if that was not at zero. */
export function sinceStart(now: LowRankTerm, start: Pick<LowRankTerm, "loraA" | "loraB"> | undefined): LowRankTerm {
  return start === undefined ? now : joinTerms([now, { rank: now.rank, scaling: -now.scaling, ...start }]);
}

/** scaling · B · A: (outFeatures, inFeatures). */
export function productOf({ rank, scaling, loraA, loraB }: LowRankTerm): Tensor {
  const [a, b] = [tensor(loraA, [rank, loraA.length / rank]), tensor(loraB, [loraB.length / rank, rank])];
  return mul(matmul(b, a), scaling);
}

/** weight + Σ scaling · B · A in float32, one product for all terms. weight: (outFeatures, inFeatures), left as it is. */
export async function addTerms(weight: Float32Array, terms: readonly LowRankTerm[]): Promise<Float32Array> {
  if (terms.length === 0) return weight;
  const update = productOf(joinTerms(terms));
  return (await add(tensor(weight, update.shape), update).data()) as Float32Array;
}
