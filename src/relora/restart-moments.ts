import { loraAdapters } from "../adapters/inject.js";
import type { Settings } from "../config/settings.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { AdamWOptions, AdamWState } from "../optim/adamw.js";
import { type Gradient, readGradient } from "../optim/gradient.js";
import { isPruning, resetOptimizerState } from "../optim/reset.js";
import type { Rng } from "../tensor/random.js";

/** The directions of adapters that were restarted, by layer; a layer that is missing was restarted as a whole. */
export type RestartedDirections = ReadonlyMap<string, readonly number[]>;

/** Optimizer state of a trained part of an adapter: a factor, (rank, in) or (out, rank), or a core. */
export interface FactorState {
  readonly name: string;
  readonly layer: string;
  readonly factor: "loraA" | "loraB" | "core";
  readonly rank: number;
  readonly state: AdamWState;
}

/** The states of all that is trained of a model's adapters, but for magnitudes. */
export function factorStates(model: CausalLM, states: ReadonlyMap<string, AdamWState>): FactorState[] {
  return [...loraAdapters(model)].flatMap(([layer, { rank }]) =>
    (["loraA", "loraB", "core"] as const).flatMap((factor) => {
      const name = `${layer}.adapter.${factor}`;
      const state = states.get(name);
      return state === undefined ? [] : [{ name, layer, factor, rank, state }];
    }),
  );
}

/**
 * Resets the optimizer's state of what a merge restarted, whole adapters or some of their directions. A tensor's step
 * counter starts anew only with the whole tensor.
 */
export function resetMoments(
  states: readonly FactorState[],
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

/** Sums up what some gradients would have made of Adam's moments. */
export class GradientMoments {
  readonly #sums: Map<string, { readonly sum: Float64Array; readonly squares: Float64Array }>;
  #count = 0;

  constructor(states: readonly FactorState[]) {
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
      const values = readGradient(gradients.get(name)!, 0, sum.length);
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
   * of a first update, which is the learning rate in every entry. A factor without any gradient, as A while B is
   * zero, stays fresh, and all do where no gradient was added.
   */
  prime(states: readonly FactorState[], directions: RestartedDirections, { beta1, beta2 }: AdamWOptions): void {
    if (this.#count === 0) return;
    for (const each of states) {
      const { expAvg, expAvgSq } = each.state;
      const { sum, squares } = this.#sums.get(each.name)!;
      const part = directions.get(each.layer);
      if (part === undefined && squares.every((value) => value === 0)) continue;
      if (part === undefined) each.state.step = this.#count;
      // What bias correction will divide by.
      const [share1, share2] = [1 - beta1 ** each.state.step, 1 - beta2 ** each.state.step];
      for (const i of part === undefined ? expAvg.keys() : entriesOf(each, part)) {
        expAvg[i] = (share1 * sum[i]!) / this.#count;
        expAvgSq[i] = (share2 * squares[i]!) / this.#count;
      }
    }
  }
}

/** Where the entries of these directions lie: rows of A, columns of B. */
function* entriesOf(
  { factor, rank, state: { expAvg } }: FactorState,
  directions: readonly number[],
): Generator<number, void> {
  const features = expAvg.length / rank;
  for (const k of directions) {
    for (let i = 0; i < features; i++) yield factor === "loraA" ? k * features + i : i * rank + k;
  }
}
