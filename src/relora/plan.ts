import { directionsOf } from "../adapters/directions.js";
import { adapterKind } from "../adapters/kinds.js";
import { COUNT, OBJECT, requireArguments, requireEach } from "../base/arguments.js";
import type { Settings } from "../config/settings.js";
import { constant, cosine, cosineRestarts, type DecayOptions, linear } from "../optim/schedules.js";
import type { RestartingPart } from "./cycle-losses.js";

/** The settings that make the plan of a run. */
export type ReloraConfig = Pick<
  Settings,
  | "method"
  | "maxSteps"
  | "warmStartSteps"
  | "reloraEvery"
  | "restartShare"
  | "cycleLength"
  | "restartWarmupSteps"
  | "warmupSteps"
  | "schedule"
  | "minLrRatio"
  | "optimizerReset"
> & {
  /** When adapters restart. Default: `fixed`, every `reloraEvery` steps. */
  readonly restart?: Settings["restart"];
  /** Lengths that the run was planned for before `maxSteps`, in order. Default: none. */
  readonly stretches?: readonly Stretch[];
  /** Steps after which full adapters were restarted up to here, in order, where `restart` says so. Default: none. */
  readonly restarts?: readonly number[];
};

/** The first steps of a run whose length was changed on the way. */
export interface Stretch {
  /** The last step that was done under that length. */
  readonly until: number;
  readonly maxSteps: number;
}

export const PHASE_NAMES = ["full", "warm-start", "adapter"] as const;

/** `warm-start` and `full` train every weight; `adapter` trains adapters on frozen weights. */
export type PhaseName = (typeof PHASE_NAMES)[number];

/** The work of one optimizer step, in the order of the fields. */
export interface StepPlan {
  /** From 1 to maxSteps. */
  readonly step: number;
  readonly phase: PhaseName;
  /** The merge period that the step belongs to, from 1; 0 outside the adapter phase. */
  readonly cycle: number;
  /** Before the update: freeze the target layers, put adapters on them and drop the layers' own optimizer state. */
  readonly addAdapters: boolean;
  /** The update's learning rate as a share of the peak. */
  readonly lrMultiplier: number;
  /** After the update: fold the adapters into the weights and start them anew. */
  readonly merge: boolean;
  /** The share of each adapter's directions that a merge takes, from above 0 to 1; 1 where there is none. */
  readonly mergeShare: number;
  /** After the merge: reset the adapters' optimizer state by the method of the settings. */
  readonly resetOptimizer: boolean;
}

/**
 * The state machine of ReLoRA (Lialin et al. 2023, arXiv:2307.05695, algorithm 1) as a function of the step and, where
 * adapters restart when they are full, of the restarts so far: a resumed run does what an uninterrupted one does.
 *
 * A cycle ends with its lowest learning rate; then come merge, fresh adapters, reset moments, and the learning rate's
 * re-warm over the next steps. With a restartShare below 1 only the weakest directions are merged and start anew, and
 * the others go on with their moments. The last step of a run always merges everything, however short its cycle,
 * because the finished model is to contain every cycle; nothing is reset for a step that does not come.
 */
export function planStep(step: number, config: ReloraConfig): StepPlan {
  requirePlan("planStep", config);
  if (!Number.isInteger(step) || step < 1 || step > config.maxSteps) {
    throw new RangeError(`planStep: step must be an integer from 1 to ${config.maxSteps}, got ${step}`);
  }
  const warmStartSteps = config.method === "full" ? 0 : config.warmStartSteps;
  const phase = config.method === "full" ? "full" : step <= warmStartSteps ? "warm-start" : "adapter";
  const lrMultiplier = learningRateMultiplier(step, config);
  if (phase !== "adapter") {
    return { step, phase, cycle: 0, addAdapters: false, lrMultiplier, ...NO_MERGE };
  }
  const stepInPhase = step - warmStartSteps;
  const last = step === config.maxSteps;
  const { cycle, ends, resets } = cycleAt(stepInPhase, config);
  return {
    step,
    phase,
    cycle,
    addAdapters: stepInPhase === 1,
    lrMultiplier,
    merge: last || ends,
    mergeShare: last || !ends ? 1 : config.restartShare,
    resetOptimizer: resets && !last && config.optimizerReset !== "none",
  };
}

/** @throws ConfigError for what is no plan's settings. */
function requirePlan(call: string, config: ReloraConfig): void {
  requireArguments(call, { config: OBJECT }, { config });
  requireEach(`${call}: config`, COUNT, { maxSteps: config.maxSteps });
}

/** The place of a step with adapters, counted from 1, among the cycles. */
function cycleAt(step: number, config: ReloraConfig): { cycle: number; ends: boolean; resets: boolean } {
  const { method, reloraEvery, cycleLength, restarts = [], warmStartSteps } = config;
  if (method !== "relora") return { cycle: 1, ends: false, resets: false };
  if (restartsWhenFull(config)) {
    const before = restarts.filter((restart) => restart - warmStartSteps < step).length;
    const ends = restarts[before] === step + warmStartSteps;
    return { cycle: before + 1, ends, resets: ends };
  }
  return { cycle: Math.ceil(step / reloraEvery), ends: step % reloraEvery === 0, resets: step % cycleLength === 0 };
}

/** True if the losses say when the adapters restart, and not the plan. */
export function restartsWhenFull({ method, restart }: Pick<ReloraConfig, "method" | "restart">): boolean {
  return method === "relora" && restart === "when-full";
}

/**
 * The part of adapters that a restart takes: by its directions it is full the later, by its weights it holds the more.
 * Adapters whose directions do not restart alone, as those that begin in a gradient, count as one direction.
 * @param trained weights of all adapters.
 */
export function restartingPart(
  { adapterKind: name, restartShare, rank }: Pick<Settings, "adapterKind" | "restartShare" | "rank">,
  trained: number,
): RestartingPart {
  if (!adapterKind(name).hasDirections) return { directions: 1, weights: trained };
  return { directions: directionsOf(restartShare, rank), weights: Math.round(restartShare * trained) };
}

const NO_MERGE = { merge: false, mergeShare: 1, resetOptimizer: false } as const;

/**
 * The learning rate of a step as a share of the peak. After a change of the run's length it follows the schedule over
 * the new length, as if that had been the length from the start. It gets there from where it stood in a straight line,
 * within {@link transitionSteps}: a rate that has decayed warms up again (Ibrahim et al. 2024, arXiv:2403.08763).
 */
function learningRateMultiplier(step: number, config: ReloraConfig): number {
  const { stretches = [] } = config;
  const own = stretches.findIndex(({ until }) => step <= until);
  if (own >= 0) {
    const { maxSteps } = stretches[own]!;
    return learningRateMultiplier(step, { ...config, maxSteps, stretches: stretches.slice(0, own) });
  }
  const planned = scheduleAt(step, config);
  const last = stretches.at(-1);
  if (last === undefined) return planned;
  const transition = transitionSteps(last.until, config);
  const time = step - last.until - 0.5;
  if (time >= transition) return planned;
  const stood = learningRateMultiplier(last.until, config);
  return stood + (planned - stood) * (time / transition);
}

/**
 * The steps within which the learning rate moves to the schedule of a length that was changed after step `until`: a
 * tenth of those that are left, at most 100, and none beyond the end of the phase or the next restart, which begin at
 * 0.
 */
export function transitionSteps(until: number, config: ReloraConfig): number {
  const { method, maxSteps, warmStartSteps, schedule, cycleLength } = config;
  const start = startOfSchedule(until, config);
  let end = maxSteps;
  if (method !== "full" && until <= warmStartSteps) end = warmStartSteps;
  else if (schedule === "cosine_restarts") end = start + Math.ceil((until - start) / cycleLength) * cycleLength;
  return Math.min(100, Math.ceil((maxSteps - until) / 10), end - until);
}

/** The step, from 0, after which the schedule of a step begins. */
function startOfSchedule(step: number, { method, warmStartSteps }: ReloraConfig): number {
  return method !== "full" && step > warmStartSteps ? warmStartSteps : 0;
}

/**
 * The schedule's value in the middle of the step, so that no update is spent on the zero at the start of a warm-up. The
 * warm start runs the first part of what full-rank training of maxSteps would run, without restarts. The adapters then
 * have a schedule of their own over the remaining steps, which begins with a re-warm.
 */
function scheduleAt(step: number, config: ReloraConfig): number {
  const { maxSteps, warmupSteps, restartWarmupSteps, cycleLength, minLrRatio, schedule } = config;
  const start = startOfSchedule(step, config);
  const isWarmStart = config.method !== "full" && step <= config.warmStartSteps;
  const time = step - start - 0.5;
  const options: DecayOptions = {
    totalSteps: maxSteps - start,
    warmupSteps: start > 0 ? restartWarmupSteps : warmupSteps,
  };
  if (schedule === "constant") return constant(time, options);
  if (schedule === "linear") return linear(time, options);
  if (schedule === "cosine" || isWarmStart) return cosine(time, { ...options, minLrRatio });
  return cosineRestarts(time, { ...options, minLrRatio, cycleLength, restartWarmupSteps });
}

/** Steps of one kind, both ends included. */
export interface Phase {
  readonly name: PhaseName;
  readonly firstStep: number;
  readonly lastStep: number;
}

/** The whole plan of a run. */
export interface RunPlan {
  readonly phases: readonly Phase[];
  /** True if the losses to come say when the adapters are merged, beside the merges of which the steps are known. */
  readonly restartsWhenFull: boolean;
  /** Steps after which the adapters are merged, as far as they are known. */
  readonly merges: readonly number[];
  /** Steps after which the adapters' optimizer state is reset. */
  readonly optimizerResets: readonly number[];
}

/** The plan that {@link planStep} makes of all steps, in a time that grows with the merges and not with the steps. */
export function planRun(config: ReloraConfig): RunPlan {
  requirePlan("planRun", config);
  const { method, maxSteps, warmStartSteps, reloraEvery, cycleLength, optimizerReset, restarts = [] } = config;
  const whenFull = restartsWhenFull(config);
  const none = { restartsWhenFull: whenFull, merges: [], optimizerResets: [] };
  if (method === "full") return { phases: [{ name: "full", firstStep: 1, lastStep: maxSteps }], ...none };
  const phases: Phase[] = [];
  if (warmStartSteps > 0) {
    phases.push({ name: "warm-start", firstStep: 1, lastStep: Math.min(warmStartSteps, maxSteps) });
  }
  if (warmStartSteps >= maxSteps) return { phases, ...none };
  phases.push({ name: "adapter", firstStep: warmStartSteps + 1, lastStep: maxSteps });
  const restartsOf = (every: number): readonly number[] => {
    if (whenFull) return restarts.filter((step) => step < maxSteps);
    return method === "relora" ? stepsBefore(maxSteps, warmStartSteps, every) : [];
  };
  return {
    phases,
    restartsWhenFull: whenFull,
    merges: [...restartsOf(reloraEvery), maxSteps],
    optimizerResets: optimizerReset === "none" ? [] : restartsOf(cycleLength),
  };
}

/** The steps at multiples of `every` after `start`, up to before `end`. */
function stepsBefore(end: number, start: number, every: number): number[] {
  return Array.from({ length: Math.ceil((end - start) / every) - 1 }, (_, index) => start + (index + 1) * every);
}

/** True if the adapters hold nothing that they have learned after a step: all of it was merged. */
export function isMergedWhole({ merge, mergeShare }: StepPlan): boolean {
  return merge && mergeShare === 1;
}

/** Directions that all merges of a run take from an adapter of that rank, which bound the rank of what it learned. */
export function mergedDirections(config: ReloraConfig, rank: number): number {
  const merges = planRun(config).merges.map((step) => planStep(step, config).mergeShare);
  return merges.reduce((sum, share) => sum + directionsOf(share, rank), 0);
}

/** One line: "200 full-rank steps, then 600 with adapters; 4 merges, after steps 350, 500, 650, 800". */
export function describePlan({ phases, merges, restartsWhenFull: whenFull }: RunPlan): string {
  const parts = phases.map(({ name, firstStep, lastStep }) => {
    const steps = lastStep - firstStep + 1;
    return name === "adapter" ? `${count(steps, "step")} with adapters` : count(steps, "full-rank step");
  });
  const text = parts.join(", then ");
  if (merges.length === 0) return text;
  if (whenFull) {
    const done = merges.length === 1 ? "" : `, so far after ${stepList(merges.slice(0, -1))}`;
    return `${text}; merged and restarted when they are full${done}, and merged after step ${merges.at(-1)}`;
  }
  return `${text}; ${count(merges.length, "merge")}, after ${stepList(merges)}`;
}

function stepList(steps: readonly number[]): string {
  const shown = steps.length <= 6 ? steps : [...steps.slice(0, 3), "…", steps.at(-1)];
  return `${steps.length === 1 ? "step" : "steps"} ${shown.join(", ")}`;
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
