import { redrawDropout } from "../adapters/inject.js";
import type { Settings } from "../config/settings.js";
import type { Batch } from "../data/packing.js";
import type { AdamW } from "../optim/adamw.js";
import { clipCoefficient, globalNorm } from "../optim/clip.js";
import { discardGradient } from "../optim/gradient.js";
import { zeroShare } from "../optim/reset.js";
import { Rng } from "../tensor/random.js";
import type { CompiledPhase, TrainedRun } from "./compiled-phase.js";
import { type SeenUpdate, startInGradient, startsInGradients } from "./core-bases.js";
import type { StepPlan } from "./plan.js";
import {
  GradientMoments,
  type PartState,
  partStates,
  type RestartedDirections,
  resetMoments,
} from "./restart-moments.js";

// The beginning of adapters, at first and after merges, beside zeros and random draws: starts in gradients, and
// moments.

/**
 * Gives adapters that a merge has restarted what they begin with, unless no step follows.
 * @param directions the directions that were restarted; by default all.
 * @returns the share of the adapters' moments that is zero afterwards; null where they were not reset.
 */
export async function restart(
  run: TrainedRun,
  phase: CompiledPhase,
  { step, resetOptimizer }: Pick<StepPlan, "step" | "resetOptimizer">,
  directions: RestartedDirections = new Map(),
): Promise<number | null> {
  if (step === run.settings.maxSteps) return null;
  // The graph that finds bases does not need to fit beside those that train.
  const seen = startsInGradients(run.model) ? await phase.aside(() => startCores(run, step)) : [];
  return resetOptimizer ? resetOptimizerState(run, phase, step, directions, seen) : null;
}

/**
 * Finds the bases of cores, where the run has some, in the gradients of the updates that come next.
 * @param step the last one, from 0.
 * @returns those updates, as far as moments are primed with them.
 */
export async function startCores(run: TrainedRun, step: number): Promise<readonly SeenUpdate[]> {
  const { model, settings, threads, ranks, shapes } = run;
  if (!startsInGradients(model)) return [];
  const { seed, device, deterministic, lossChunk, checkpointing } = settings;
  const redraw = (update: number, batch: number, tokens: number): void =>
    redrawDropout(model, new Rng(seed, `bases/${update}/${batch}`, step), tokens);
  const options = { ...shapes.train, lossChunk, checkpointing, device, threads, deterministic, ranks };
  const seen = await startInGradient(model, comingUpdates(run), new Rng(seed, "bases", step), options, redraw);
  return primes(settings) ? seen : [];
}

/** Lets the first cores begin with the moments that restarts give those after them. */
export function primeCores(run: TrainedRun, { state, options }: AdamW, seen: readonly SeenUpdate[]): void {
  if (!startsInGradients(run.model) || !primes(run.settings)) return;
  const states = partStates(run.model, state);
  seenMoments(run, states, seen).prime(states, new Map(), options);
}

/** Resets the moments of what a merge restarted, as the settings say. Returns the share of the moments that is zero. */
async function resetOptimizerState(
  run: TrainedRun,
  phase: CompiledPhase,
  step: number,
  directions: RestartedDirections,
  seen: readonly SeenUpdate[],
): Promise<number> {
  const { settings, model } = run;
  const { state, options } = phase.optimizer;
  const states = partStates(model, state);
  resetMoments(states, directions, settings, new Rng(settings.seed, "prune", step));
  if (primes(settings)) {
    const searched = startsInGradients(model);
    const moments = searched ? seenMoments(run, states, seen) : await comingMoments(run, phase, step, states);
    moments.prime(states, directions, options);
  }
  return zeroShare(states.map((each) => each.state));
}

function primes({ method, optimizerReset }: Settings): boolean {
  return method === "relora" && optimizerReset === "primed";
}

/** Moments of updates that a search for bases saw. */
function seenMoments(
  { settings }: TrainedRun,
  states: readonly PartState[],
  seen: readonly SeenUpdate[],
): GradientMoments {
  const moments = new GradientMoments(states);
  for (const { gradients, norm } of seen) moments.add(gradients, clipCoefficient(norm, settings.clipGradNorm));
  return moments;
}

/** Moments of the updates that come next. */
async function comingMoments(
  run: TrainedRun,
  phase: CompiledPhase,
  step: number,
  states: readonly PartState[],
): Promise<GradientMoments> {
  const { seed, clipGradNorm } = run.settings;
  const moments = new GradientMoments(states);
  for (const [update, batches] of comingUpdates(run).entries()) {
    const redraw = (i: number, tokens: number): void =>
      redrawDropout(run.model, new Rng(seed, `restart/${update}/${i}`, step), tokens);
    const { gradients } = await phase.step.runAll(batches, redraw);
    const norm = globalNorm(gradients.values());
    if (Number.isFinite(norm)) moments.add(gradients, clipCoefficient(norm, clipGradNorm));
    for (const gradient of gradients.values()) discardGradient(gradient);
  }
  return moments;
}

/** The micro-batches of the next restartBatches updates, which stay to be trained on. */
function comingUpdates({ cursor, settings }: TrainedRun): Batch[][] {
  const { position } = cursor;
  const { restartBatches, totalBatchSize, batchSize } = settings;
  const updates = Array.from({ length: restartBatches }, () => cursor.take(totalBatchSize / batchSize));
  cursor.seek(position);
  return updates;
}
