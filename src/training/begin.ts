import { joinPath, removeFolderAtomic } from "#platform";
import { mergeableLayers } from "../adapters/inject.js";
import type { BaseIdentity } from "../loading/base-identity.js";
import { openWeights } from "../loading/folder-source.js";
import { fillModel, trainedParameters } from "../loading/model-source.js";
import type { CompiledPhase } from "../relora/compiled-phase.js";
import { truncateDeltas } from "../relora/delta-log.js";
import { type LayerWeight, MasterWeights } from "../relora/master-weights.js";
import { planStep } from "../relora/plan.js";
import { goBackTo, listCheckpoints, pruneCheckpoints } from "../runs/checkpoint.js";
import { bestOf } from "../runs/early-stop.js";
import type { StartRecord } from "../runs/metrics.js";
import { Progress } from "../runs/progress.js";
import type { RunFolder } from "../runs/run-folder.js";
import { restoreInto, type SavedRun, savedMoments } from "../runs/saved-run.js";
import { adapterPhase, compilePhase, type Quantized, quantizeFrozen, saveRunBase } from "./phases.js";
import type { PreparedRun } from "./prepare.js";

/** A run that is ready for its next step. Its phase must be released. */
export interface ReadyRun {
  readonly progress: Progress;
  readonly phase: CompiledPhase;
  readonly master: MasterWeights;
  /** RUN/base as the adapters know it. */
  readonly base: BaseIdentity;
  /** The folder of the last checkpoint; null where there is none. */
  readonly checkpoint: string | null;
}

/** Brings a run to where its first step can begin, and makes its folder once that step is compiled. */
export async function beginRun(
  run: PreparedRun,
  folder: RunFolder,
  start: StartRecord,
): Promise<ReadyRun & { readonly quantized: Quantized | null }> {
  const { model, source, settings, threads } = run;
  const progress = Progress.fresh("log");
  const master = masterWeights(folder, run);
  const isAdapted = planStep(1, settings).addAdapters;
  // Before the other weights are read, so that no quantized layer is ever held in float32.
  const quantized = isAdapted ? await quantizeFrozen(run, source) : null;
  await fillModel(model, source);
  const phase = await (isAdapted ? adapterPhase(run, source, master, progress.step) : compilePhase(run));
  return releasedOnFailure(phase, async () => {
    await folder.create(settings, threads);
    await folder.record(start);
    const base = await folder.share((path) => saveRunBase(path, run, source));
    return { progress, phase, master, base, checkpoint: null, quantized };
  });
}

/** Brings a run to where the checkpoint has it, and its folder back to what belongs to that. */
export async function restoreRun(
  run: PreparedRun,
  folder: RunFolder,
  start: StartRecord,
  saved: SavedRun,
): Promise<ReadyRun> {
  const { model, cursor, settings } = run;
  const { checkpoint, state } = saved;
  const { step } = checkpoint;
  const progress = Progress.savedAt(step, state);
  const master = masterWeights(folder, run);
  cursor.seek(state.dataPosition);
  await restoreInto(model, saved, master);
  const phase = await compilePhase(run, savedMoments(saved, trainedParameters(model).keys()));
  return releasedOnFailure(phase, async () => {
    progress.best = bestOf(step, state, await listCheckpoints(folder.path));
    await folder.write(async (path) => {
      // In this order: wherever it ends, `last` names a checkpoint with all that it builds on.
      await goBackTo(path, step, progress.best?.step ?? null);
    });
    // A cycle that goes on stays in the log until a checkpoint does without it.
    await folder.share((path) => truncateDeltas(path, saved.reopened?.cycle ?? state.deltas.length));
    await folder.write(async (path) => {
      // They are of another step than this process will end with.
      for (const published of ["model", "adapter"]) await removeFolderAtomic(joinPath(path, published));
      if (settings.keepCheckpoints !== null) await pruneCheckpoints(path, settings.keepCheckpoints);
    });
    await folder.goOn(settings, { step, records: state.records, reopens: saved.reopened !== undefined });
    await folder.record(start);
    return { progress, phase, master, base: state.base, checkpoint: checkpoint.folder };
  });
}

/** Finishes work on a run whose phase is compiled, and releases that if the work fails. */
export async function releasedOnFailure<T>(phase: CompiledPhase, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await phase.release();
    throw error;
  }
}

/** The master weights over RUN/base, which is opened when the first is asked for, and again where it was moved. */
function masterWeights(folder: RunFolder, { model, quantizer }: PreparedRun): MasterWeights {
  let [opened, weights]: [string | null, ReturnType<typeof openWeights> | null] = [null, null];
  const base: LayerWeight = async (layer) => {
    const { path } = folder;
    if (weights === null || path !== opened) [opened, weights] = [path, openWeights(joinPath(path, "base"))];
    return (await weights)(`${layer}.weight`);
  };
  const held: LayerWeight = (layer) => mergeableLayers(model).get(layer)!.exactWeight();
  return new MasterWeights(folder, { base, held: quantizer === null ? held : null });
}
