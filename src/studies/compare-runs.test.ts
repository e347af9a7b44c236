import { cp, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { animalText } from "../../tests/animal-text.js";
import { SMALL_RUN } from "../../tests/small-run.js";
import { comparisonLines } from "../cli/compare-runs.js";
import { resolveSettings } from "../config/resolve.js";
import type { SettingKey, Settings } from "../config/settings.js";
import { train } from "../training/train.js";
import { compareRuns, HELD_OUT, holdsRuns } from "./compare-runs.js";
import { SHARED_SETTINGS } from "./study.js";

let folder = "";
const at = (name: string): string => path.join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-runs-"));
  await writeFile(at("text.txt"), animalText());
  await writeFile(at("other.txt"), animalText().replaceAll("cat", "dog"));
  const base = {
    ...SMALL_RUN,
    method: "full",
    threads: 1,
    sampleTokens: 0,
    maxSteps: 4,
    data: at("text.txt"),
  } as const;
  const run = async (name: string, change: Partial<Settings>): Promise<void> => {
    await train(resolveSettings({ flags: { ...base, ...change, out: at(name) } }));
  };
  await run("slow", { lr: 1e-5 });
  await run("fast", { lr: 1e-2, evalEvery: 2 });
  await run("seeded", { seed: 1 });
  await run("validated", { validData: at("other.txt") });
  await run("elsewhere", { data: at("other.txt"), vocabSize: 290 });
}, 300_000);
afterAll(() => rm(folder, { recursive: true }));

test("runs stand side by side with what came out and the settings that differ, and the best is named", async () => {
  const compared = await compareRuns([at("slow"), at("fast")]);
  expect(compared.runs.map(({ state, step, tokens }) => [state, step, tokens])).toEqual([
    ["done", 4, 512],
    ["done", 4, 512],
  ]);
  expect(compared.settings.map(({ key, values }) => [key, ...values])).toEqual([
    ["lr", 1e-5, 1e-2],
    ["evalEvery", 4, 2],
  ]);
  expect(compared.incomparable).toEqual([]);
  expect(compared.best).toBe(at("fast"));
  const lines = comparisonLines(compared).join("\n");
  expect(lines).toMatch(/^run +loss +best +at step +steps +tokens +trained +time +state$/m);
  expect(lines).toMatch(/^fast +\d\.\d{4} +\d\.\d{4} +\d +4\/4 +512 +.*done$/m);
  expect(lines).toMatch(/^lr +0\.00001 +0\.01$/m);
  expect(lines).toContain("The lowest is that of fast.");
});

test("a run is compared with another, not with itself", async () => {
  await expect(compareRuns([at("slow"), at("slow")])).rejects.toThrow(/^compare: .*slow is named twice; name each/);
  await symlink(at("slow"), at("link"));
  await expect(compareRuns([at("slow"), at("fast"), at("link")])).rejects.toThrow(
    /slow and .*link are the same folder/,
  );
});

test("losses that are not of the same tokens are not ranked, and the reasons are named", async () => {
  const compared = await compareRuns([at("slow"), at("seeded"), at("elsewhere")]);
  expect(compared.best).toBeNull();
  expect(compared.incomparable).toEqual([
    {
      folder: at("seeded"),
      reasons: expect.arrayContaining(["other held-out split: seed 1 instead of 0, which draws it"]),
    },
    {
      folder: at("elsewhere"),
      reasons: [
        `other data: ${at("other.txt")} instead of ${at("text.txt")}`,
        "other tokenizer: its tokens are other units",
      ],
    },
  ]);
  expect(comparisonLines(compared).join("\n")).toContain("Their losses do not compare with that of slow:\n  seeded: ");
});

test("other data for validation are the reason, and not a change of the others", async () => {
  const { incomparable } = await compareRuns([at("slow"), at("validated")]);
  expect(incomparable).toEqual([
    {
      folder: at("validated"),
      reasons: [
        `other held-out data: validData ${at("other.txt")} instead of none`,
        "other tokenizer: its tokens are other units",
      ],
    },
  ]);
});

test("a study's folder stands for its runs", async () => {
  await cp(at("slow"), at("study/runs/slow/seed-0"), { recursive: true });
  await cp(at("fast"), at("study/runs/fast/seed-0"), { recursive: true });
  expect(await holdsRuns(at("study"))).toBe(true);
  expect((await compareRuns([at("study")])).runs.map(({ folder }) => folder)).toEqual([
    at("study/runs/fast/seed-0"),
    at("study/runs/slow/seed-0"),
  ]);
});

test("one run is too few, and a folder without one is named", async () => {
  await expect(compareRuns([at("slow")])).rejects.toThrow("at least two runs");
  await expect(compareRuns([at("slow"), folder])).rejects.toThrow("holds no run");
});

test("whatever decides on the tokens of a held-out loss must be the same in all arms of a study", () => {
  const decisive: readonly SettingKey[] = [...HELD_OUT, "data", "validData", "evalTokens", "tokenizer"];
  expect(decisive.filter((key) => !SHARED_SETTINGS.includes(key))).toEqual([]);
});
