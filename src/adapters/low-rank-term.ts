import { stopGradient } from "../autograd/custom.js";
import { ConfigError } from "../base/errors.js";
import { sum } from "../ops/broadcast.js";
import { add, div, mul, sqrt, sub } from "../ops/elementwise.js";
import { matmul } from "../ops/matmul.js";
import { reshape } from "../ops/movement.js";
import { type Tensor, tensor } from "../tensor/tensor.js";
import { entriesAlong } from "./directions.js";

/**
 * One term of an accumulated update: scaling · B · A with B (outFeatures, rank) and A (rank, inFeatures), row-major.
 */
export interface LowRankTerm {
  readonly rank: number;
  readonly scaling: number;
  readonly loraA: Float32Array;
  readonly loraB: Float32Array;
  /** (outFeatures): the rows of the weight with this term added are scaled to these lengths, as DoRA does. */
  readonly magnitude?: Float32Array;
}

/** A term that is read when it is asked for. */
export interface LazyTerm {
  readonly rank: number;
  /** That of the weight. */
  readonly shape: readonly [outFeatures: number, inFeatures: number];
  read(): Promise<LowRankTerm>;
}

/**
 * One term that is the sum of the terms: A below A, B beside B. Its scaling is that of the first; B of a term with
 * another scaling is adapted to it, exactly where the two differ in sign alone.
 * @throws RangeError for several terms of which one has a magnitude: their sum is no such term.
 */
export function joinTerms(terms: readonly LowRankTerm[]): LowRankTerm {
  if (terms.length === 1) return terms[0]!;
  if (terms.some(({ magnitude }) => magnitude !== undefined)) {
    throw new RangeError("joinTerms: a term with a magnitude cannot be joined with others");
  }
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

/**
 * A whole update, (outFeatures, inFeatures) row-major, as the term that is exactly it: one of the factors is the
 * identity.
 */
export function wholeTerm(update: Float32Array, outFeatures: number, inFeatures: number): LowRankTerm {
  const rank = Math.min(outFeatures, inFeatures);
  const identity = new Float32Array(rank * rank);
  for (let i = 0; i < rank; i++) identity[i * rank + i] = 1;
  const factors = rank === inFeatures ? { loraA: identity, loraB: update } : { loraA: update, loraB: identity };
  return { rank, scaling: 1, ...factors };
}

export interface WeightedTerm {
  readonly term: LowRankTerm;
  readonly weight: number;
}

/**
 * One term of several by weights, with PEFT's meaning. `cat`: Σ weight · ΔW. `linear`: A and B are Σ √|weight ·
 * scaling| times those of each term, A with the sign of the weight.
 * @throws ConfigError for terms of several ranks with `linear`.
 */
export function combineTerms(terms: readonly WeightedTerm[], kind: "linear" | "cat"): LowRankTerm {
  if (kind === "cat") {
    return joinTerms(terms.map(({ term, weight }) => ({ ...scaledB(term, weight * term.scaling), scaling: 1 })));
  }
  const [{ term: first }] = terms as [WeightedTerm];
  const ranks = [...new Set(terms.map(({ term }) => term.rank))];
  if (ranks.length > 1) {
    throw new ConfigError(`combine: linear needs adapters of one rank, got ${ranks.join(", ")}; use cat`);
  }
  const [loraA, loraB] = [new Float32Array(first.loraA.length), new Float32Array(first.loraB.length)];
  for (const { term, weight } of terms) {
    const factor = Math.sqrt(Math.abs(weight * term.scaling));
    const signed = factor * Math.sign(weight * term.scaling);
    for (let i = 0; i < loraA.length; i++) loraA[i]! += signed * term.loraA[i]!;
    for (let i = 0; i < loraB.length; i++) loraB[i]! += factor * term.loraB[i]!;
  }
  return { rank: first.rank, scaling: 1, loraA, loraB };
}

function scaledB(term: LowRankTerm, factor: number): LowRankTerm {
  return { ...term, loraB: term.loraB.map((value) => value * factor) };
}

/** Some of the rank-one parts that the term is the sum of: rows of A and columns of B. */
export function partOf({ rank, scaling, loraA, loraB }: LowRankTerm, directions: readonly number[]): LowRankTerm {
  const [inFeatures, outFeatures, count] = [loraA.length / rank, loraB.length / rank, directions.length];
  const [rows, columns] = [
    entriesAlong([rank, inFeatures], 0, directions),
    entriesAlong([outFeatures, rank], 1, directions),
  ];
  const part = {
    loraA: Float32Array.from(rows, (i) => loraA[i]!),
    loraB: Float32Array.from(columns, (i) => loraB[i]!),
  };
  return { rank: count, scaling, ...part };
}

/** scaling · B · A: (outFeatures, inFeatures). */
export function productOf({ rank, scaling, loraA, loraB }: LowRankTerm): Tensor {
  const [a, b] = [tensor(loraA, [rank, loraA.length / rank]), tensor(loraB, [loraB.length / rank, rank])];
  return mul(matmul(b, a), scaling);
}

/**
 * The change that a term makes to the weight that it is added to, as part of a graph: (outFeatures, inFeatures) both.
 */
export function updateOf(term: LowRankTerm, weight: Tensor): Tensor {
  const product = productOf(term);
  if (term.magnitude === undefined) return product;
  return sub(scaledRows(add(weight, product), tensor(term.magnitude, [term.magnitude.length])), weight);
}

/**
 * The matrix with its rows scaled to the lengths given; no gradient flows through the lengths that they have. (rows,
 * columns), (rows) → same.
 */
export function scaledRows(matrix: Tensor, lengths: Tensor): Tensor {
  return mul(matrix, reshape(div(lengths, stopGradient(rowLengths(matrix))), [lengths.size, 1]));
}

/** The L2 norms of the rows: (rows, columns) → (rows). */
export function rowLengths(matrix: Tensor): Tensor {
  return sqrt(sum(mul(matrix, matrix), { axes: [1] }));
}

/** weight + Σ scaling · B · A in float32, term after term. weight: (outFeatures, inFeatures), left as it is. */
export async function addTerms(
  weight: Float32Array,
  terms: Iterable<LowRankTerm> | AsyncIterable<LowRankTerm>,
): Promise<Float32Array> {
  let total = weight;
  for await (const term of terms) {
    const before = tensor(total, [term.loraB.length / term.rank, term.loraA.length / term.rank]);
    // A graph that is the same for every term, so that it is compiled once.
    total = (await add(before, updateOf(term, before)).data()) as Float32Array;
  }
  return total;
}
