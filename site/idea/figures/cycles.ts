import {
  AdamW,
  grad,
  interpret,
  Linear,
  LoRAAdapter,
  type LowRankTerm,
  MergeableLinear,
  matrixSingularValues,
  mul,
  Parameter,
  Rng,
  schedules,
  singularValues,
  sub,
  sum,
  type Tensor,
  tensor,
} from "highrank";
import { SIZE, type Spectrum, targetOf } from "./targets.ts";

export interface CycleSettings {
  readonly rank: number;
  readonly cycles: number;
  /** Of each cycle. */
  readonly steps: number;
  readonly spectrum: Spectrum;
  /** Whether the optimizer's moments start anew with the adapter. */
  readonly resetMoments: boolean;
  /** Whether the learning rate rises from zero in the first fifth of each cycle. */
  readonly warmUp: boolean;
}

/** What is known before the first step. */
export interface CyclesStart {
  readonly cycle: 0;
  /** Singular values of the target, largest first. */
  readonly target: readonly number[];
  /** The smallest error that a matrix of the rank of one adapter can have (Eckart and Young 1936). */
  readonly limit: number;
}

/** One cycle, merged. */
export interface MergedCycle {
  readonly cycle: number;
  /** Singular values of the sum of all cycles so far, largest first. */
  readonly values: readonly number[];
  /** Number of those above a thousandth of the largest. */
  readonly rank: number;
  /** ‖sum − target‖ / ‖target‖ before each step of the cycle, and after the last. */
  readonly errors: readonly number[];
  /** The same for one adapter that is never merged. */
  readonly alone: readonly number[];
}

const LEARNING_RATE = 0.1;
const THRESHOLD = 1e-3;

/**
 * Learns a target by ReLoRA, and by one adapter of the same rank for as many steps. Plain loops compute it: a matrix of
 * this size needs no runtime.
 */
export function* learnInCycles(settings: CycleSettings): Generator<CyclesStart | MergedCycle> {
  const { rank, cycles, steps, spectrum, resetMoments, warmUp } = settings;
  /** Half a cosine over some steps, the first of which is not at zero yet. */
  const rateOver = (totalSteps: number) => {
    const warmupSteps = warmUp ? steps / 5 : 0;
    return (step: number) => schedules.cosine(step + 1, { totalSteps: totalSteps + 1, warmupSteps });
  };
  const values = targetOf(spectrum, new Rng(7));
  const spectrumOf = matrixSingularValues(values, SIZE);
  yield { cycle: 0, target: spectrumOf, limit: norm(spectrumOf.slice(rank)) / norm(spectrumOf) };

  const [relora, alone] = [new Learner(values, rank), new Learner(values, rank)];
  const terms: LowRankTerm[] = [];
  for (let cycle = 1; cycle <= cycles; cycle++) {
    const errors = relora.train(steps, rateOver(steps));
    terms.push(relora.merge(resetMoments));
    const before = steps * (cycle - 1);
    const once = alone.train(steps, (step) => rateOver(steps * cycles)(before + step));
    const sumOfCycles = singularValues(terms, SIZE, SIZE).slice(0, SIZE);
    const [largest = 0] = sumOfCycles;
    yield {
      cycle,
      values: sumOfCycles,
      rank: sumOfCycles.filter((value) => value > THRESHOLD * largest).length,
      errors,
      alone: once,
    };
  }
}

/** A layer whose weight starts at zero and is to become the target. */
class Learner {
  readonly #rng = new Rng(1);
  readonly #adapter: LoRAAdapter;
  readonly #layer: MergeableLinear;
  readonly #graph: readonly Tensor[];
  readonly #length: number;
  #optimizer: AdamW;

  constructor(target: Float32Array, rank: number) {
    const shape = [SIZE, SIZE];
    this.#adapter = new LoRAAdapter(SIZE, SIZE, { rank }, this.#rng);
    this.#layer = new MergeableLinear(new Linear(new Parameter(new Float32Array(SIZE * SIZE), shape)), this.#adapter);
    // The outputs for all unit vectors are the columns of the weight, and so of the target.
    const unit = Float32Array.from({ length: SIZE * SIZE }, (_, i) => Number(i % (SIZE + 1) === 0));
    const columns = target.map((_, i) => target[(i % SIZE) * SIZE + Math.floor(i / SIZE)]!);
    const error = sub(this.#layer.forward(tensor(unit, shape)), tensor(columns, shape));
    const loss = sum(mul(error, error));
    this.#graph = [loss, ...grad(loss, [this.#adapter.loraA, this.#adapter.loraB])];
    this.#length = norm(target);
    this.#optimizer = this.#fresh();
  }

  /** Errors before each of the steps, and after the last. */
  train(steps: number, rateAt: (step: number) => number): number[] {
    const errors: number[] = [];
    for (let step = 0; step < steps; step++) {
      const [loss, a, b] = interpret(this.#graph) as Float32Array[];
      errors.push(this.#errorOf(loss!));
      const gradients = new Map(Object.entries({ a: a!, b: b! }));
      this.#optimizer.step(gradients, { lrMultiplier: rateAt(step) });
    }
    const [loss] = interpret(this.#graph.slice(0, 1)) as Float32Array[];
    return [...errors, this.#errorOf(loss!)];
  }

  /** Merges what the adapter has learned, and starts it anew. */
  merge(resetMoments: boolean): LowRankTerm {
    const { rank, scaling, loraA, loraB } = this.#adapter;
    const term = { rank, scaling, loraA: loraA.values.slice(), loraB: loraB.values.slice() };
    const [update] = interpret([this.#adapter.calculateWeightUpdate()]) as [Float32Array];
    this.#layer.mergeUpdate(update);
    this.#adapter.reset(this.#rng);
    if (resetMoments) this.#optimizer = this.#fresh();
    return term;
  }

  #errorOf([squares]: Float32Array): number {
    return Math.sqrt(squares!) / this.#length;
  }

  #fresh(): AdamW {
    const parameters = new Map(Object.entries({ a: this.#adapter.loraA.values, b: this.#adapter.loraB.values }));
    const options = { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
    return new AdamW([{ parameters, lr: LEARNING_RATE, weightDecay: 0 }], options);
  }
}

function norm(values: ArrayLike<number>): number {
  return Math.sqrt(Array.from(values).reduce((total, value) => total + value * value, 0));
}
