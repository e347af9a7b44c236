import { cp, rm } from "node:fs/promises";
import path from "node:path";
import { exists, recoverReplaced } from "#platform";
import { listCheckpoints, readCheckpoint } from "../../src/runs/checkpoint.js";
import { isRunFolder } from "../../src/runs/run-folder.js";
import { checkRun } from "../../src/verbs/doctor/check-run.js";

/**
 * Looks at what a kill left: nothing in it may count as damaged, and in a copy that is put in order `last` and `best`, where they
 * are, must name whole checkpoints, and all others must be whole too. Returns the step to go on from; null where there is no checkpoint.
 */
export async function checkLeft(folder: string): Promise<number | null> {
  if (await isRunFolder(folder)) {
    const { state, findings } = await checkRun(folder);
    if (state === "damaged") {
      throw new Error(`it is damaged: ${JSON.stringify(findings.filter((finding) => finding.state === state))}`);
    }
  }
  const copy = `${folder}-left`;
  await cp(folder, copy, { recursive: true });
  try {
    for (const inner of [copy, path.join(copy, "deltas")]) await recoverReplaced(inner);
    const steps = await listCheckpoints(copy);
    for (const step of steps) await readCheckpoint(copy, step);
    if (await exists(path.join(copy, "best"))) await readCheckpoint(copy, "best");
    return steps.length > 0 ? (await readCheckpoint(copy, "last")).step : null;
  } finally {
    await rm(copy, { recursive: true });
  }
}
