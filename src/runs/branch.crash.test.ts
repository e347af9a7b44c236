import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { animalText } from "../../tests/animal-text.js";
import { runContents } from "../../tests/run-contents.js";
import { SMALL_RUN } from "../../tests/small-run.js";
import { completeSettings, resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { resume } from "../training/resume.js";
import { train } from "../training/train.js";
import { branchRun, warmStartKey } from "./branch.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-branch-"));
  await writeFile(path.join(folder, "text.txt"), animalText());
});
afterAll(() => rm(folder, { recursive: true }));

/** Cycles that end beyond the warm start's schedule, so that arms may differ in them. */
function settingsOf(name: string, change: Partial<Settings> = {}): Settings {
  const own = { data: path.join(folder, "text.txt"), out: path.join(folder, name) };
  return completeSettings(
    resolveSettings({ flags: { ...SMALL_RUN, threads: 1, warmupSteps: 1, saveEvery: 11, ...own, ...change } }),
  );
}

/** Trains the warm start alone. */
async function warmStart(name: string, change: Partial<Settings> = {}): Promise<Settings> {
  const settings = settingsOf(name, change);
  await train(settings, { untilStep: settings.warmStartSteps });
  return settings;
}

describe("a run that takes over another's warm start", () => {
  test.each<[name: string, change: Partial<Settings>]>([
    ["relora", {}],
    ["relora on nf4", { quantize: "nf4", mergePolicy: "delta-log", reloraEvery: 4 }],
    ["relora of cores", { adapterKind: "core", restartBatches: 1 }],
    ["relora of a share", { restartShare: 0.5, optimizerReset: "primed", schedule: "cosine" }],
  ])("%s ends as if it had made its own, to the last bit", async (name, change) => {
    const warm = await warmStart(`${name}, warm`, { method: "lora", rank: 2 });
    const [whole, branch] = [settingsOf(`${name}, whole`, change), settingsOf(`${name}, branch`, change)];
    await branchRun(warm.out!, warm, branch);
    await resume(branch.out!, {});
    await train(whole);
    expect(await runContents(branch.out!)).toEqual(await runContents(whole.out!));
  });

  test("is refused where the warm starts differ, and leaves nothing behind", async () => {
    const warm = await warmStart("other lr", { method: "lora" });
    const branch = settingsOf("refused", { lr: 1e-3 });
    await expect(branchRun(warm.out!, warm, branch)).rejects.toThrow("does not have the warm start of");
    expect(await readdir(folder)).not.toContain("refused");
  });

  test("is refused where the checkpoint is missing", async () => {
    const settings = settingsOf("stopped before", { method: "lora" });
    await train(settings, { untilStep: 2 });
    await expect(branchRun(settings.out!, settings, settingsOf("no checkpoint"))).rejects.toThrow("checkpoint-000003");
    expect(await readdir(folder)).not.toContain("no checkpoint");
  });
});

describe("the key of a warm start", () => {
  test("does not depend on what comes after it", () => {
    const key = warmStartKey(settingsOf("a"));
    for (const change of [
      { method: "lora" },
      { rank: 2 },
      { quantize: "nf4" },
      { reloraEvery: 4 },
      { adapterLr: 1 },
    ] as const) {
      expect(warmStartKey(settingsOf("b", change))).toBe(key);
    }
  });

  test("depends on data, model, seed, length and learning rates", () => {
    const key = warmStartKey(settingsOf("a"));
    for (const change of [
      { seed: 1 },
      { lr: 1e-3 },
      { warmStartSteps: 4 },
      { batchSize: 4 },
      { maxSteps: 12 },
      { evalEvery: 3 },
    ] as const) {
      expect(warmStartKey(settingsOf("b", change))).not.toBe(key);
    }
    expect(warmStartKey(settingsOf("c", { warmStartSteps: 0 }))).toBeNull();
    expect(warmStartKey(settingsOf("d", { method: "full" }))).toBeNull();
  });
});
