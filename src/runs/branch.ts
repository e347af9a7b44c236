import { copyFile, filesBelow, folderOf, joinPath, makeFolder, writeFileAtomic, writeFolderAtomic } from "#platform";
import { ConfigError } from "../base/errors.js";
import { settingOf } from "../config/names.js";
import type { SettingKey, Settings } from "../config/settings.js";
import { planStep } from "../relora/plan.js";
import { checkpointName, verifyCheckpoint } from "./checkpoint.js";
import { writeSettings } from "./run-folder.js";

/** The same text for runs whose warm starts are the same to the last bit; null for a run without one. */
export function warmStartKey(settings: Settings): string | null {
  const { method, warmStartSteps } = settings;
  if (method === "full" || warmStartSteps === 0) return null;
  const values = Object.entries(settings).filter(([name]) => {
    const { warmStart, computesNothing = false } = settingOf(name as SettingKey);
    return warmStart === undefined && !computesNothing;
  });
  const rates = Array.from({ length: warmStartSteps }, (_, i) => planStep(i + 1, settings).lrMultiplier);
  return JSON.stringify([values, rates]);
}

/**
 * Makes the run folder `settings.out` with the checkpoint that another run has at the end of its warm start: going on
 * there gives, bit for bit, what these settings give from the first step. The folder appears whole or not at all.
 * @param from the other run's folder.
 * @throws ConfigError for settings with another warm start; CheckpointError where the checkpoint is missing or damaged.
 */
export async function branchRun(from: string, before: Settings, settings: Settings): Promise<void> {
  const { out, warmStartSteps } = settings;
  if (out === null) throw new ConfigError("branchRun: settings.out must name the folder of the new run");
  const key = warmStartKey(settings);
  if (key === null || key !== warmStartKey(before)) {
    throw new ConfigError(`branchRun: ${out} does not have the warm start of ${from}; train it from its first step`);
  }
  await verifyCheckpoint(from, warmStartSteps);
  const checkpoint = checkpointName(warmStartSteps);
  await writeFolderAtomic(out, async (folder) => {
    for (const name of ["base", checkpoint]) {
      for (const file of await filesBelow(joinPath(from, name))) {
        await makeFolder(folderOf(joinPath(folder, name, file)));
        await copyFile(joinPath(from, name, file), joinPath(folder, name, file));
      }
    }
    for (const file of ["env.json", "metrics.jsonl"]) await copyFile(joinPath(from, file), joinPath(folder, file));
    await writeFileAtomic(joinPath(folder, "last"), `${checkpoint}\n`);
    await writeSettings(folder, settings, out);
  });
}
