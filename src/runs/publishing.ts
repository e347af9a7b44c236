import { joinPath } from "#platform";
import { type CompanionFiles, floatConfig, modelBytes, saveModel } from "../loading/model-source.js";
import { mergedTensors } from "../loading/unmerged-model.js";
import { isMerged, openRun, restoreTrained, type SavedRun, unmergedRun } from "./saved-run.js";
import { adapterBytes, saveAdapter } from "./saving.js";

/** Waits until the disk has room for so many bytes of what is named. */
export type WaitForSpace = (bytes: number, purpose: string) => Promise<void>;

/**
 * Writes RUN/model, in float32, and RUN/adapter, where there are adapters, from one of the run's checkpoints. Returns
 * the model's folder.
 * @throws CheckpointError as `openRun`.
 */
export async function publishCheckpoint(
  runFolder: string,
  step: number,
  companions: CompanionFiles,
  waitForSpace: WaitForSpace,
): Promise<string> {
  const run = await openRun(runFolder, step);
  const unmerged = await unmergedRun(run);
  const config = floatConfig(unmerged.source.config, "float32");
  const model = { config, tensors: mergedTensors(unmerged, "F32") };
  const folder = joinPath(runFolder, "model");
  await waitForSpace(modelBytes(model), "the finished model");
  await saveModel(folder, model, companions);
  if (run.state.phase === "adapter") await publishAdapter(run, waitForSpace);
  return folder;
}

async function publishAdapter(run: SavedRun, waitForSpace: WaitForSpace): Promise<void> {
  const { folder, settings, state } = run;
  const model = restoreTrained(run);
  await waitForSpace(adapterBytes(model) * (state.deltas.length + 1), "the adapter");
  await saveAdapter(folder, { model, settings, state, merged: isMerged(run) });
}
