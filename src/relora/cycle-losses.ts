import { z } from "zod";
import { COUNT, type Fields, MEASURED } from "../base/fields.js";
import { sum } from "../base/numbers.js";

/** Share of the mean gain below which the present one says that the adapters are full. */
const SHARE = 3 / 4;
/** Standard errors of the present gain by which it has to lie below. */
const CERTAINTY = 1 / 2;
/** Losses of a block at first. */
const FIRST_BLOCK = 4;
/** Blocks at most; beyond that, each two become one. */
const MOST_BLOCKS = 64;
/** Steps of a cycle for each direction that restarts, at least. */
const LEAST_STEPS = 32;
/** Bits that a weight holds of what it has seen a hundred times (Allen-Zhu and Li 2024, arXiv:2404.05405). */
const BITS_OF_A_WEIGHT = 1;

const NUMBERS: z.ZodType<readonly number[]> = z.array(z.number());

/** The fields of a {@link CycleLossesState}. */
export const CYCLE_LOSSES = {
  /** Losses of a block. */
  blockSize: z.int().min(1),
  /** The sum of the losses of each block. */
  sums: NUMBERS,
  /** The sum, for each block, of the squares of the differences between its losses and those before them. */
  squares: NUMBERS,
  /** The block that is not yet full. */
  open: z.object({ count: COUNT, sum: z.number(), squares: z.number() }),
  /** The last loss; null where there is none. */
  last: z.number().nullable(),
  /** Mean loss of the first quarter of the cycle before, and steps from its middle to the restart; null for none. */
  before: z.object({ loss: z.number(), steps: z.number() }).nullable(),
  /** Since the adapters began: the losses of all tokens in nats, the tokens, and the weights that were restarted. */
  since: z.object({ nats: z.number(), tokens: COUNT, weights: COUNT }).default({ nats: 0, tokens: 0, weights: 0 }),
};

/** The losses since a restart, in blocks. */
export interface CycleLossesState extends Fields<typeof CYCLE_LOSSES> {}

/** The fields of a {@link Fullness}. */
export const FULLNESS = {
  /** Steps since the last restart, or since the adapters began. */
  steps: COUNT,
  /** Fall of the mean loss in each step from the third quarter of those steps to the last, in nats. */
  gain: MEASURED,
  /** Its standard error, by the spread of the losses. */
  standardError: MEASURED,
  /** The same since the cycle before began, or since the adapters or a cycle that outgrew it did. */
  meanGain: MEASURED,
};

/** The losses that say that adapters are full. */
export interface Fullness extends Fields<typeof FULLNESS> {}

const EMPTY: CycleLossesState = {
  blockSize: FIRST_BLOCK,
  sums: [],
  squares: [],
  open: { count: 0, sum: 0, squares: 0 },
  last: null,
  before: null,
  since: { nats: 0, tokens: 0, weights: 0 },
};

/** The part of the adapters that a restart begins anew. */
export interface RestartingPart {
  /** Directions of each adapter. */
  readonly directions: number;
  /** Trained weights of these directions. */
  readonly weights: number;
}

/**
 * The training losses of a cycle, kept in at most 64 blocks, and the rule that says when its adapters are full: when a
 * step gains less than three quarters of what steps have gained in the mean over this cycle and the one before. By the
 * marginal value theorem (Charnov 1976, "Optimal foraging, the marginal value theorem") the mean is highest for who
 * leaves a patch, here the directions of an adapter, as soon as it gives less than that. The quarter keeps a loss that
 * slows down whatever adapters do from restarting them again and again: cycles grow then. A cycle that is more than
 * twice as long as the one before is judged by itself too, as the few losses at the start of a short one may be low by
 * chance, and nothing would ever seem too little.
 *
 * The present gain is that of the last half of the cycle, so that it is known the better the longer the cycle is,
 * however loud the losses are; half of its standard error is added. A cycle has at least 32 steps for each direction
 * that restarts, for a direction that is drawn at random takes some steps before it gains.
 *
 * A loss also slows down while adapters have room. So none restart before the run has learned a bit for each weight of
 * all adapters up to then. It has learned at most what it would have saved on its tokens with the present loss (the
 * prequential code; Blier and Ollivier 2018, arXiv:1802.07044).
 */
export class CycleLosses {
  #state: CycleLossesState;

  /** @param state of a checkpoint; null for no losses. */
  constructor(state: CycleLossesState | null = null) {
    this.#state = state ?? EMPTY;
  }

  /** Null while nothing is known. */
  get state(): CycleLossesState | null {
    return this.#state === EMPTY ? null : this.#state;
  }

  /**
   * @param loss of the next step, in nats a token.
   * @param tokens that it is the mean of.
   */
  add(loss: number, tokens: number): void {
    const { blockSize, sums, squares, open, last, before, since } = this.#state;
    const block = {
      count: open.count + 1,
      sum: open.sum + loss,
      squares: open.squares + (loss - (last ?? loss)) ** 2,
    };
    const all = { ...since, nats: since.nats + loss * tokens, tokens: since.tokens + tokens };
    const rest = { last: loss, before, since: all };
    if (block.count < blockSize) {
      this.#state = { blockSize, sums, squares, open: block, ...rest };
      return;
    }
    const [longer, longerSquares] = [
      [...sums, block.sum],
      [...squares, block.squares],
    ];
    const blocks =
      longer.length < MOST_BLOCKS
        ? { blockSize, sums: longer, squares: longerSquares }
        : { blockSize: 2 * blockSize, sums: inPairs(longer), squares: inPairs(longerSquares) };
    this.#state = { ...blocks, open: EMPTY.open, ...rest };
  }

  /**
   * Begins the next cycle.
   * @param weights that restart, of all adapters together.
   */
  restart(weights: number): void {
    const { since } = this.#state;
    const { steps, first } = this.#quarters();
    const before = { loss: first, steps: (7 / 8) * steps };
    this.#state = { ...EMPTY, before, since: { ...since, weights: since.weights + weights } };
  }

  /**
   * The reason why adapters should restart now; null where they are not full, or where fewer steps are left than half
   * of those that filled these.
   * @param left steps of the run after the last loss.
   */
  fullness(left: number, { directions, weights }: RestartingPart): Fullness | null {
    const { blockSize, sums, open, before, since } = this.#state;
    if (open.count > 0 || sums.length % 4 !== 0 || sums.length * blockSize < LEAST_STEPS * directions) return null;
    const { steps, first, third, last, standardError } = this.#quarters();
    if (left < steps / 2) return null;
    const learned = (since.nats - last * since.tokens) / Math.LN2;
    if (learned < BITS_OF_A_WEIGHT * (since.weights + weights)) return null;
    const size = steps / 4;
    const gain = (third - last) / size;
    const start = before ?? { loss: first, steps: -size / 2 };
    const gainOfBoth = (start.loss - last) / (start.steps + steps - size / 2);
    const outgrows = before !== null && steps > 2 * before.steps;
    const meanGain = outgrows ? Math.max(gainOfBoth, (first - last) / (steps - size)) : gainOfBoth;
    if (gain + CERTAINTY * (standardError / size) >= SHARE * meanGain) return null;
    return { steps, gain, standardError: standardError / size, meanGain };
  }

  /** The steps in whole blocks, mean losses of their quarters, and the standard error of a difference of two. */
  #quarters(): { steps: number; first: number; third: number; last: number; standardError: number } {
    const { blockSize, sums, squares } = this.#state;
    const quarter = sums.length / 4;
    const size = quarter * blockSize;
    const [first, , third, last] = [0, 1, 2, 3].map(
      (index) => sum(sums.slice(index * quarter, (index + 1) * quarter)) / size,
    ) as [number, number, number, number];
    // A difference of two losses in a row has twice the variance of one; in the first quarter it has the fall as well.
    const variance = sum(squares.slice(quarter)) / (3 * size) / 2;
    return { steps: 4 * size, first, third, last, standardError: Math.sqrt((2 * variance) / size) };
  }
}

function inPairs(values: readonly number[]): number[] {
  return Array.from({ length: values.length / 2 }, (_, index) => values[2 * index]! + values[2 * index + 1]!);
}
