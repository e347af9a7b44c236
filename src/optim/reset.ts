import { BELOW_ONE, OBJECT, oneOf, requireArguments, requireEach } from "../base/arguments.js";
import type { Rng } from "../tensor/random.js";
import type { AdamWState } from "./adamw.js";

/** Ways to zero a share of a moment's entries, `ratio`. */
const PRUNINGS = { magnitude: pruneByMagnitude, random: pruneAtRandom } as const satisfies Readonly<
  Record<string, (values: Float32Array, ratio: number, rng: Rng) => void>
>;
export type PruningMethod = keyof typeof PRUNINGS;
export const PRUNING_METHODS: readonly PruningMethod[] = Object.keys(PRUNINGS) as PruningMethod[];

/** True if the optimizer reset of that name prunes. */
export function isPruning(method: string): method is PruningMethod {
  return Object.hasOwn(PRUNINGS, method);
}

/** Treatment of the adapters' moments at a restart. `ratio` is from 0 to below 1. */
export type OptimizerReset = { readonly method: "reset" } | { readonly method: PruningMethod; readonly ratio: number };

/** Share of zeros among all moments of the states, from 0 to 1; 0 without any moments. */
export function zeroShare(states: Iterable<AdamWState>): number {
  let [zeros, total] = [0, 0];
  for (const { expAvg, expAvgSq } of states) {
    zeros += countZeros(expAvg) + countZeros(expAvgSq);
    total += expAvg.length + expAvgSq.length;
  }
  return total === 0 ? 0 : zeros / total;
}

/**
 * Resets the given states in place.
 *
 * `reset` zeroes both moments and the step counter: the next update is sized like a first update. The prunings are
 * those of ReLoRA's official code: each moment is pruned by itself, and the step counter stays.
 * @param rng draws the entries that random pruning drops, from one stream per tensor and moment.
 */
export function resetOptimizerState(
  states: Iterable<readonly [name: string, state: AdamWState]>,
  reset: OptimizerReset,
  rng: Rng,
): void {
  const methods = ["reset", ...PRUNING_METHODS];
  requireArguments("resetOptimizerState", { reset: OBJECT }, { reset });
  requireArguments("resetOptimizerState: reset", { method: oneOf(methods) }, { method: reset.method });
  if (reset.method !== "reset") requireEach("resetOptimizerState: reset", BELOW_ONE, { ratio: reset.ratio });
  for (const [name, state] of states) {
    for (const moment of ["expAvg", "expAvgSq"] as const) {
      const values = state[moment];
      if (reset.method === "reset") values.fill(0);
      else PRUNINGS[reset.method](values, reset.ratio, rng.fork(`${name}/${moment}`));
    }
    if (reset.method === "reset") state.step = 0;
  }
}

/** Zeroes all entries except those whose magnitude is above the `ratio`-quantile of all magnitudes; ties are zeroed. */
export function pruneByMagnitude(values: Float32Array, ratio: number): void {
  if (values.length === 0) return;
  const threshold = Math.fround(magnitudeQuantile(values, ratio));
  for (let i = 0; i < values.length; i++) {
    if (!(Math.abs(values[i]!) > threshold)) values[i] = 0;
  }
}

/** Zeroes each entry with probability `ratio`. */
export function pruneAtRandom(values: Float32Array, ratio: number, rng: Rng): void {
  for (let i = 0; i < values.length; i++) {
    if (!(rng.uniform() > ratio)) values[i] = 0;
  }
}

/** The q-quantile of the magnitudes, interpolated linearly between neighbours in order, like torch.quantile. */
export function magnitudeQuantile(values: Float32Array, q: number): number {
  const position = q * (values.length - 1);
  const lower = Math.floor(position);
  const below = magnitudeOfRank(values, lower);
  if (position === lower) return below;
  return below + (position - lower) * (magnitudeOfRank(values, lower + 1) - below);
}

/**
 * The magnitude at position `rank` in ascending order. Without the sign bit, float32 numbers have the order of their
 * bits: two counting passes, by the upper 16 bits and then by the lower 15, find it without a sort.
 */
function magnitudeOfRank(values: Float32Array, rank: number): number {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const upperCounts = new Uint32Array(2 ** 16);
  for (let i = 0; i < bits.length; i++) upperCounts[(bits[i]! & 0x7fffffff) >>> 15]!++;
  const [upper, rest] = binOfRank(upperCounts, rank);
  const lowerCounts = new Uint32Array(2 ** 15);
  for (let i = 0; i < bits.length; i++) {
    const magnitude = bits[i]! & 0x7fffffff;
    if (magnitude >>> 15 === upper) lowerCounts[magnitude & 0x7fff]!++;
  }
  const [lower] = binOfRank(lowerCounts, rest);
  return new Float32Array(Uint32Array.of((upper << 15) | lower).buffer)[0]!;
}

/** The bin that holds the element of this rank, and the element's rank within it. */
function binOfRank(counts: Uint32Array, rank: number): [bin: number, rest: number] {
  let [bin, rest] = [0, rank];
  while (rest >= counts[bin]!) rest -= counts[bin++]!;
  return [bin, rest];
}

function countZeros(values: Float32Array): number {
  let zeros = 0;
  for (let i = 0; i < values.length; i++) if (values[i] === 0) zeros++;
  return zeros;
}
