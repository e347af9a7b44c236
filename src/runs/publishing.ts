import { joinPath } from "#platform";
import { type CompanionFiles, floatConfig, type ModelToSave, modelBytes, saveModel } from "../loading/model-source.js";
import { mergedTensors } from "../loading/unmerged-model.js";
import { isMerged, openRun, restoreTrained, unmergedRun } from "./saved-run.js";
import { type AdapterToSave, adapterBytes, saveAdapter } from "./saving.js";

/** Waits until the disk has room for so many bytes; `purpose` names them. */
export type WaitForSpace = (bytes: number, purpose: string) => Promise<void>;

/** Writes RUN/model. Returns its folder. */
export async function publishModel(
  runFolder: string,
  model: ModelToSave,
  companions: CompanionFiles,
  waitForSpace: WaitForSpace,
): Promise<string> {
  const folder = joinPath(runFolder, "model");
  await waitForSpace(modelBytes(model), "the finished model");
  await saveModel(folder, model, companions);
  return folder;
}

/** Joins all cycles into RUN/adapter, which grows with every cycle. So no checkpoint has one. */
export async function publishAdapter(
  runFolder: string,
  adapter: AdapterToSave,
  waitForSpace: WaitForSpace,
): Promise<void> {
  await waitForSpace(adapterBytes(adapter.model) * (adapter.state.deltas.length + 1), "the adapter");
  await saveAdapter(runFolder, adapter);
}

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
  const { state, settings } = run;
  const unmerged = await unmergedRun(run);
  const config = floatConfig(unmerged.source.config, "float32");
  const tensors = mergedTensors(unmerged, "F32");
  const folder = await publishModel(runFolder, { config, tensors }, companions, waitForSpace);
  if (state.phase === "adapter") {
    const adapter = { model: restoreTrained(run), settings, state, merged: isMerged(run) };
    await publishAdapter(runFolder, adapter, waitForSpace);
  }
  return folder;
}
