import { entriesAlong } from "../adapters/directions.js";
import { adapterParts } from "../adapters/inject.js";
import type { Settings } from "../config/settings.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { AdamWOptions, AdamWState } from "../optim/adamw.js";
import { type Gradient, readGradient } from "../optim/gradient.js";
import { isPruning, resetOptimizerState } from "../optim/reset.js";
import type { Rng } from "../tensor/random.js";
import type { Shape } from "../tensor/shape.js";

/** The directions of adapters that were restarted, by layer; a layer that is missing was restarted as a whole. */
export type RestartedDirections = ReadonlyMap<string, readonly number[]>;

/** Optimizer state of a trained tensor of an adapter. */
export interface PartState {
  readonly name: string;
  readonly layer: string;
  readonly shape: Shape;
  /** The axis that counts the adapter's directions; undefined where a direction has no entries of its own. */
  readonly axis: number | undefined;
  readonly state: AdamWState;
}

/** The states of all that is trained of a model's adapters. */
export function partStates(model: CausalLM, states: ReadonlyMap<string, AdamWState>): PartState[] {
  return [...adapterParts(model)].flatMap(
    ([
      name,
      {
        layer,
        parameter: { shape },
        axis,
      },
    ]) => {
      const state = states.get(name);
      return state === undefined ? [] : [{ name, layer, shape, axis, state }];
    },
  );
}

/**
 * Resets the optimizer's state of what a merge restarted, whole adapters or some of their directions. A tensor's step
 * counter starts anew only with the whole tensor.
 */
export function resetMoments(
  states: readonly PartState[],
  directions: RestartedDirections,
  { optimizerReset, pruneRatio: ratio }: Pick<Settings, "optimizerReset" | "pruneRatio">,
  rng: Rng,
): void {
  const reset = isPruning(optimizerReset)
    ? ({ method: optimizerReset, ratio } as const)
    : ({ method: "reset" } as const);
  const whole = states.filter(({ layer }) => !directions.has(layer));
  resetOptimizerState(
    whole.map(({ name, state }) => [name, state] as const),
    reset,
    rng,
  );
  for (const each of states) {
    for (const i of entriesOf(each, directions.get(each.layer) ?? [])) {
      each.state.expAvg[i] = each.state.expAvgSq[i] = 0;
    }
  }
}

/** Sums of gradients and of their squares, to be made into Adam's moments. */
export class GradientMoments {
  readonly #sums: Map<string, { readonly sum: Float64Array; readonly squares: Float64Array }>;
  #count = 0;

  constructor(states: readonly PartState[]) {
    this.#sums = new Map(
      states.map(({ name, state: { expAvg } }) => {
        return [name, { sum: new Float64Array(expAvg.length), squares: new Float64Array(expAvg.length) }] as const;
      }),
    );
  }

  /** @param scale the clipping coefficient. */
  add(gradients: ReadonlyMap<string, Gradient>, scale: number): void {
    this.#count++;
    for (const [name, { sum, squares }] of this.#sums) {
      const values = readGradient(gradients.get(name)!);
      for (let i = 0; i < sum.length; i++) {
        const value = values[i]! * scale;
        sum[i]! += value;
        squares[i]! += value * value;
      }
    }
  }

  /**
   * Gives what was restarted the mean of the gradients as first moment and that of their squares as second, as if
   * those had been seen in as many steps. So the first updates have the size that noise of this much allows, not that
   * of a first update, which is the learning rate in every entry. A tensor without any gradient, as A while B is
   * zero, stays fresh, and all do where no gradient was added.
   */
  prime(states: readonly PartState[], directions: RestartedDirections, { beta1, beta2 }: AdamWOptions): void {
    if (this.#count === 0) return;
    for (const each of states) {
      const { expAvg, expAvgSq } = each.state;
      const { sum, squares } = this.#sums.get(each.name)!;
      const part = directions.get(each.layer);
      if (part === undefined && squares.every((value) => value === 0)) continue;
      if (part === undefined) each.state.step = this.#count;
      // Bias correction will divide by them.
      const [share1, share2] = [1 - beta1 ** each.state.step, 1 - beta2 ** each.state.step];
      for (const i of part === undefined ? expAvg.keys() : entriesOf(each, part)) {
        expAvg[i] = (share1 * sum[i]!) / this.#count;
        expAvgSq[i] = (share2 * squares[i]!) / this.#count;
      }
    }
  }
}

/** Indices of the entries of these directions. */
function entriesOf({ shape, axis }: PartState, directions: readonly number[]): Iterable<number> {
  return axis === undefined ? [] : entriesAlong(shape, axis, directions);
}
