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

/** A term that is read when it is asked for. */
export interface LazyTerm {
  readonly rank: number;
  read(): Promise<LowRankTerm>;
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

/** weight + Σ scaling · B · A in float32, term after term. weight: (outFeatures, inFeatures), left as it is. */
export async function addTerms(
  weight: Float32Array,
  terms: Iterable<LowRankTerm> | AsyncIterable<LowRankTerm>,
): Promise<Float32Array> {
  let sum = weight;
  for await (const term of terms) {
    const update = productOf(term);
    // A graph that is the same for every term, so that it is compiled once.
    sum = (await add(tensor(sum, update.shape), update).data()) as Float32Array;
  }
  return sum;
}
