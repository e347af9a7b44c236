import { type Kind, NOT_NEGATIVE, requireArguments } from "../base/arguments.js";

/**
 * Learning-rate schedules as pure functions of time: the result multiplies the peak learning rate. `step` counts
 * completed steps and may be fractional. Past its end, a decay stays at its last value.
 */
export interface WarmupOptions {
  /** Steps of the linear rise from 0 to 1 at the start; 0 (the default) for none. */
  readonly warmupSteps?: number;
}

export interface DecayOptions extends WarmupOptions {
  /** End of the decay, warm-up included. */
  readonly totalSteps: number;
}

export interface CosineOptions extends DecayOptions {
  /** Value at the end of the cosine, from 0 to 1. Default 0. */
  readonly minLrRatio?: number;
  /** Steps after which the schedule warms up and decays again from the full peak. Default: never. */
  readonly cycleLength?: number;
}

export interface CosineRestartsOptions extends DecayOptions {
  /** Steps between restarts. */
  readonly cycleLength: number;
  /** Steps of the linear rise from 0 back to the cosine after each restart; below cycleLength. */
  readonly restartWarmupSteps: number;
  /** Value at the end of the cosine, from 0 to 1. Default 0. */
  readonly minLrRatio?: number;
}

export interface JaggedOptions {
  /** Steps between restarts. */
  readonly restartEvery: number;
  /** Steps of the linear rise after each restart. */
  readonly restartWarmupSteps: number;
  /** Steps of the linear fall before each restart. */
  readonly annealSteps: number;
  /** Share of the learning rate that is left at a restart, from 0 to 1. Default 0.001. */
  readonly minScale?: number;
}

const POSITIVE: Kind = {
  words: "a finite number above 0",
  holds: (value) => Number.isFinite(value) && Number(value) > 0,
};
const SHARE: Kind = { words: "from 0 to 1", holds: (value) => NOT_NEGATIVE.holds(value) && Number(value) <= 1 };

const KINDS = {
  step: NOT_NEGATIVE,
  multiplier: NOT_NEGATIVE,
  warmupSteps: NOT_NEGATIVE,
  restartWarmupSteps: NOT_NEGATIVE,
  annealSteps: NOT_NEGATIVE,
  totalSteps: POSITIVE,
  cycleLength: POSITIVE,
  restartEvery: POSITIVE,
  minLrRatio: SHARE,
  minScale: SHARE,
} as const satisfies Readonly<Record<string, Kind>>;

/** @throws ConfigError with every number that is not of its range. */
function requireNumbers(schedule: string, given: Partial<Record<keyof typeof KINDS, number>>): void {
  const kinds = Object.keys(given).map((name) => [name, KINDS[name as keyof typeof KINDS]] as const);
  requireArguments(schedule, Object.fromEntries(kinds), given);
}

/** Warm-up, then 1. @throws ConfigError for numbers out of their ranges, as the others do. */
export function constant(step: number, { warmupSteps = 0 }: WarmupOptions = {}): number {
  requireNumbers("constant", { step, warmupSteps });
  return step < warmupSteps ? step / warmupSteps : 1;
}

/** Warm-up, then a straight line to 0 at totalSteps. */
export function linear(step: number, { totalSteps, warmupSteps = 0 }: DecayOptions): number {
  requireNumbers("linear", { step, totalSteps, warmupSteps });
  return step < warmupSteps ? step / warmupSteps : 1 - progress(step, warmupSteps, totalSteps);
}

/**
 * Warm-up, then half a cosine from 1 to minLrRatio at totalSteps; with cycleLength, repeated. The first two steps of a
 * repeated warm-up are 1e-7, as in the official ReLoRA code.
 */
export function cosine(
  step: number,
  { totalSteps, warmupSteps = 0, minLrRatio = 0, cycleLength }: CosineOptions,
): number {
  requireNumbers("cosine", { step, totalSteps, warmupSteps, minLrRatio, cycleLength: cycleLength ?? totalSteps });
  const inCycle = cycleLength === undefined ? step : step % cycleLength;
  if (inCycle >= warmupSteps) {
    return cosineDecay(progress(inCycle, warmupSteps, cycleLength ?? totalSteps), minLrRatio);
  }
  return step !== inCycle && inCycle < 2 ? 1e-7 : inCycle / warmupSteps;
}

/**
 * The jagged cosine of ReLoRA (Lialin et al. 2023, arXiv:2307.05695, section 3): one cosine over the whole run. At
 * every multiple of cycleLength the rate falls to 0, then rises back to the cosine within restartWarmupSteps.
 */
export function cosineRestarts(
  step: number,
  { totalSteps, warmupSteps = 0, cycleLength, restartWarmupSteps, minLrRatio = 0 }: CosineRestartsOptions,
): number {
  requireNumbers("cosineRestarts", { step, totalSteps, warmupSteps, cycleLength, restartWarmupSteps, minLrRatio });
  if (step < warmupSteps) return step / warmupSteps;
  const inCycle = step % cycleLength;
  if (step < cycleLength || inCycle >= restartWarmupSteps) {
    return cosineDecay(progress(step, warmupSteps, totalSteps), minLrRatio);
  }
  const warm = step - inCycle + restartWarmupSteps;
  return (inCycle / restartWarmupSteps) * cosineDecay(progress(warm, warmupSteps, totalSteps), minLrRatio);
}

/**
 * axolotl's restarts around any schedule. `multiplier`, that schedule's value at `step`, is scaled down to minScale at
 * every multiple of restartEvery, with a linear fall before it and a rise after it. The first cycle rises by the inner
 * schedule's own warm-up.
 */
export function jagged(
  multiplier: number,
  step: number,
  { restartEvery, restartWarmupSteps, annealSteps, minScale = 0.001 }: JaggedOptions,
): number {
  requireNumbers("jagged", { multiplier, step, restartEvery, restartWarmupSteps, annealSteps, minScale });
  if (step < restartEvery - annealSteps) return multiplier;
  const inCycle = step % restartEvery;
  let height = 1;
  if (inCycle < restartWarmupSteps) height = inCycle / restartWarmupSteps;
  else if (inCycle > restartEvery - annealSteps) height = (restartEvery - inCycle) / annealSteps;
  return multiplier * (height * (1 - minScale) + minScale);
}

/** Progress of `step` from `start` to `end`, from 0 to 1. */
function progress(step: number, start: number, end: number): number {
  return Math.min(1, (step - start) / Math.max(1, end - start));
}

function cosineDecay(progress: number, minLrRatio: number): number {
  return minLrRatio + (1 - minLrRatio) * 0.5 * (1 + Math.cos(Math.PI * progress));
}
