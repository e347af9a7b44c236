import type { Rng } from "../../src/tensor/random.js";

export function pick<T>(rng: Rng, items: readonly T[]): T {
  return items[rng.below(items.length)]!;
}

export function chance(rng: Rng, probability: number): boolean {
  return rng.uniform() < probability;
}

/** One of the functions, drawn by weight, called. */
export function weighted<T>(rng: Rng, choices: readonly (readonly [weight: number, make: () => T])[]): T {
  let rest = rng.uniform() * choices.reduce((sum, [weight]) => sum + weight, 0);
  for (const [weight, make] of choices) {
    rest -= weight;
    if (rest < 0) return make();
  }
  return choices.at(-1)![1]();
}
