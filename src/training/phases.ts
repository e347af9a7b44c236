import { collectGarbage, joinPath } from "#platform";
import { createMergePolicy } from "../adapters/merge-policies.js";
import { type BaseIdentity, identify } from "../loading/base-identity.js";
import { type ModelSource, saveBase } from "../loading/model-source.js";
import type { QuantizationError } from "../loading/quantization-error.js";
import { quantizeLayers } from "../loading/quantizing.js";
import type { AdamWState } from "../optim/adamw.js";
import { describeQuantizer } from "../quant/quantizer.js";
import { CompiledPhase } from "../relora/compiled-phase.js";
import type { MasterWeights } from "../relora/master-weights.js";
import { startFromResiduals } from "../relora/merging.js";
import { primeCores, startCores } from "../relora/restarts.js";
import { addAdapters } from "../relora/settings-adapters.js";
import { Rng } from "../tensor/random.js";
import type { PreparedRun } from "./prepare.js";
import { requireAllOptimized } from "./startup-checks.js";

/** Compiles the phase of the model as it is built now. @param known the optimizer's state to go on from. */
export async function compilePhase(run: PreparedRun, known?: ReadonlyMap<string, AdamWState>): Promise<CompiledPhase> {
  // Weights that were read, drawn or quantized would stay beside what the phase needs.
  collectGarbage();
  const phase = await CompiledPhase.compile(run, known);
  requireAllOptimized(phase.model, phase.optimizer);
  return phase;
}

/**
 * Gives the model its adapters and compiles the phase that trains them.
 * @param source its weights as they are before they are quantized.
 * @param step the last one, from 0.
 * @param known the optimizer's state to go on from.
 */
export async function adapterPhase(
  run: PreparedRun,
  { readWeight }: ModelSource,
  master: MasterWeights,
  step: number,
  known?: ReadonlyMap<string, AdamWState>,
): Promise<CompiledPhase> {
  const { model, settings } = run;
  const rng = new Rng(settings.seed, "adapters", step);
  addAdapters(model, settings, rng, (layer) => createMergePolicy(settings.mergePolicy, () => master.weight(layer)));
  await run.start?.give(model);
  await startFromResiduals(run, (layer) => readWeight(`${layer}.weight`), rng);
  const seen = await startCores(run, step);
  const phase = await compilePhase(run, known);
  primeCores(run, phase.optimizer, seen);
  return phase;
}

/** Weights that were quantized, in what and at what loss. */
export interface Quantized extends QuantizationError {
  /** The format in words. */
  readonly quantizer: string;
}

/** Quantizes the weights that adapters freeze; null where the run does not ask for it, or the model comes so. */
export async function quantizeFrozen(
  { model, quantizer }: PreparedRun,
  { readWeight }: ModelSource,
): Promise<Quantized | null> {
  if (quantizer === null) return null;
  const error = await quantizeLayers(model, quantizer, readWeight);
  return error.layers.length > 0 ? { quantizer: describeQuantizer(quantizer), ...error } : null;
}

/** Writes RUN/base, which checkpoints and the delta log build on: the model that the adapters start from. */
export async function saveRunBase(
  runFolder: string,
  { companions, quantizer }: PreparedRun,
  source: ModelSource,
): Promise<BaseIdentity> {
  const folder = joinPath(runFolder, "base");
  await saveBase(folder, source, companions);
  return identify(folder, source, quantizer);
}
