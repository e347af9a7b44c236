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
  /** Fall of the loss in each step since the cycle before began, or since the adapters began. */
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
};

/**
 * The training losses of a cycle, kept in at most 64 blocks, and the rule that says when its adapters
 * are full: when a step gains less than three quarters of what steps have gained in the mean over this cycle and the
 * one before. By the marginal value theorem (Charnov 1976, "Optimal foraging, the marginal value theorem") the mean is
 * highest for who leaves a patch, here the directions of an adapter, as soon as it gives less than that. The quarter
 * keeps a loss that slows down whatever adapters do from restarting them again and again: cycles grow then. The present
 * gain is that of the last half of the cycle, so that it is known the better the longer the cycle is, however loud the
 * losses are; half of its standard error is added. A cycle has at least 32 steps for each direction that restarts, for
 * a direction that is drawn at random takes some steps before it gains.
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

  /** @param loss of the next step, in nats. */
  add(loss: number): void {
    const { blockSize, sums, squares, open, last, before } = this.#state;
    const block = {
      count: open.count + 1,
      sum: open.sum + loss,
      squares: open.squares + (loss - (last ?? loss)) ** 2,
    };
    const rest = { last: loss, before };
    if (block.count < blockSize) {
      this.#state = { blockSize, sums, squares, open: block, ...rest };
      return;
    }
    const [all, allSquares] = [
      [...sums, block.sum],
      [...squares, block.squares],
    ];
    const blocks =
      all.length < MOST_BLOCKS
        ? { blockSize, sums: all, squares: allSquares }
        : { blockSize: 2 * blockSize, sums: inPairs(all), squares: inPairs(allSquares) };
    this.#state = { ...blocks, open: EMPTY.open, ...rest };
  }

  /** Begins the next cycle. */
  restart(): void {
    const { steps, first } = this.#quarters();
    this.#state = { ...EMPTY, before: { loss: first, steps: (7 / 8) * steps } };
  }

  /**
   * The reason why adapters should restart now; null where they are not full, or where fewer steps are left than half
   * of those that filled these.
   * @param left steps of the run after the last loss.
   * @param directions of each adapter that would restart.
   */
  fullness(left: number, directions: number): Fullness | null {
    const { blockSize, sums, open, before } = this.#state;
    if (open.count > 0 || sums.length % 4 !== 0 || sums.length * blockSize < LEAST_STEPS * directions) return null;
    const { steps, first, third, last, standardError } = this.#quarters();
    if (left < steps / 2) return null;
    const size = steps / 4;
    const gain = (third - last) / size;
    const start = before ?? { loss: first, steps: -size / 2 };
    const meanGain = (start.loss - last) / (start.steps + steps - size / 2);
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
