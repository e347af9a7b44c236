import { mkdtemp, open, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { animalText } from "../../tests/animal-text.js";
import { runContents } from "../../tests/run-contents.js";
import { SMALL_RUN } from "../../tests/small-run.js";
import { DataError } from "../base/errors.js";
import { completeSettings, resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { checkRun } from "../verbs/doctor/check-run.js";
import { resume } from "./resume.js";
import { train } from "./train.js";

const STEPS = { method: "full", maxSteps: 4, evalEvery: null, evalMilestones: false, saveEvery: 2 } as const;

let folder = "";
let text = "";
let settings: Settings;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-kept-"));
  text = path.join(folder, "text.txt");
  // More than 4 million tokens with a vocabulary of 300.
  await writeFile(text, animalText().repeat(Math.ceil(26e6 / animalText().length)));
  const flags = {
    ...SMALL_RUN,
    ...STEPS,
    warmStartSteps: undefined,
    threads: 1,
    data: text,
    out: path.join(folder, "run"),
  };
  settings = completeSettings(resolveSettings({ flags }));
}, 60_000);
afterAll(() => rm(folder, { recursive: true }));

/** Goes on with a run, to the end or to a step. Returns what is said: that tokens are kept, where they were made. */
async function goOn(options: { untilStep?: number } = {}): Promise<string[]> {
  const notices: string[] = [];
  await resume(settings.out!, {}, { onNotice: (notice) => notices.push(notice), ...options });
  return notices;
}

test("a run on large data keeps their tokens, and goes on from them to the same bits", async () => {
  const notices: string[] = [];
  const whole = path.join(folder, "whole");
  await train({ ...settings, out: whole }, { onNotice: (notice) => notices.push(notice) });
  expect(notices).toEqual([]);
  expect(await readdir(path.join(whole, "tokens"))).toEqual(["checksums.json", "tokens.bin", "tokens.json"]);
  await train(settings, { untilStep: 2 });
  expect(await goOn({ untilStep: 3 })).toEqual([]);
  const area = async () => (await checkRun(settings.out!)).findings.find((finding) => finding.area === "tokens");
  expect(await area()).toMatchObject({ state: "ok" });
  const tokens = await open(path.join(settings.out!, "tokens", "tokens.bin"), "r+");
  await tokens.write(Uint8Array.of(255), 0, 1, 1000);
  await tokens.close();
  expect(await area()).toMatchObject({ state: "repairable", wayOut: "resume makes them anew of the data" });
  expect(await goOn()).toEqual([]);
  expect(await area()).toMatchObject({ state: "ok" });
  expect(await runContents(settings.out!)).toEqual(await runContents(whole));
  expect(await readdir(path.join(whole, "model"))).not.toContain("tokens");
}, 300_000);

test("other data are noticed though tokens are kept", async () => {
  const out = path.join(folder, "changed");
  await train({ ...settings, out }, { untilStep: 2 });
  await writeFile(text, `${animalText().repeat(40)}Something else.`);
  await expect(resume(out)).rejects.toThrow(DataError);
  await expect(resume(out)).rejects.toThrow("its tokens are not those that");
}, 300_000);
