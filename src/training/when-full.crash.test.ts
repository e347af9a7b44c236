import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { animalText } from "../../tests/animal-text.js";
import { runContents } from "../../tests/run-contents.js";
import { completeSettings, resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { CycleLosses } from "../relora/cycle-losses.js";
import { restartingPart } from "../relora/plan.js";
import { type MergeRecord, type MetricsRecord, parseMetrics } from "../runs/metrics.js";
import { checkRun } from "../verbs/doctor/check-run.js";
import { mergeTarget } from "../verbs/merge.js";
import { resume } from "./resume.js";
import { train } from "./train.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-when-full-"));
  await writeFile(path.join(folder, "text.txt"), animalText());
});
afterAll(() => rm(folder, { recursive: true }));

const STEPS = 160;

const settingsOf = (name: string, change: Partial<Settings>): Settings => {
  const flags: Partial<Settings> = {
    ...(change.method !== "lora" && { method: "relora", restart: "when-full" }),
    ...{ model: "tiny", rank: 2, targetModules: ["o_proj", "down_proj"] },
    ...{ vocabSize: 300, sequenceLength: 64, batchSize: 8, maxSteps: STEPS, warmStartSteps: 2, warmupSteps: 2 },
    ...{ lr: 3e-3, adapterLr: 2e-2 },
    ...{ trainModules: [], evalEvery: 40, evalTokens: 300, sampleTokens: 0, saveEvery: 40, threads: 1 },
    ...{ data: path.join(folder, "text.txt"), out: path.join(folder, name) },
    ...change,
  };
  return completeSettings(resolveSettings({ flags }));
};

async function recordsOf(out: string): Promise<MetricsRecord[]> {
  return [...parseMetrics(await readFile(path.join(out, "metrics.jsonl"), "utf8"))];
}

const restartsIn = (records: readonly MetricsRecord[]): MergeRecord[] =>
  records.filter((record): record is MergeRecord => record.kind === "merge" && record.step < STEPS);

const CASES: readonly (readonly [name: string, change: Partial<Settings>])[] = [
  ["float32", {}],
  ["a half, primed", { restartShare: 0.5, optimizerReset: "primed", restartBatches: 2, dropout: 0.1 }],
  ["nf4", { quantize: "nf4", mergePolicy: "delta-log" }],
];

describe.each(CASES)("adapters that restart when they are full, %s", (name, change) => {
  test("do so after the steps that the recorded losses say, and are whole", async () => {
    const settings = settingsOf(name, change);
    const { runFolder } = await train(settings);
    const records = await recordsOf(runFolder);
    const losses = new CycleLosses();
    const start = records.find((record) => record.kind === "start")!;
    // Nothing but adapters trains after the warm start.
    const part = restartingPart(settings, start.trainableParameters);
    const expected: unknown[] = [];
    let before = 0;
    for (const record of records) {
      if (record.kind !== "step") continue;
      const tokens = record.tokens - before;
      before = record.tokens;
      if (record.phase !== "adapter") continue;
      losses.add(record.loss, tokens);
      const fullness = losses.fullness(STEPS - record.step, part);
      if (fullness === null) continue;
      losses.restart(part.weights);
      expected.push([record.step, fullness]);
    }
    const merges = restartsIn(records);
    expect(merges.length).toBeGreaterThan(0);
    expect(merges.map(({ step, fullness }) => [step, fullness])).toEqual(expected);
    const cycles = records.flatMap((record) => (record.kind === "step" ? [[record.step, record.cycle]] : []));
    for (const [index, { step, cycle }] of merges.entries()) {
      expect(cycle).toBe(index + 1);
      expect(cycles[step - 1]).toEqual([step, index + 1]);
      expect(cycles[step]).toEqual([step + 1, index + 2]);
    }
    const { findings } = await checkRun(runFolder);
    expect(findings.filter(({ state }) => state === "damaged")).toEqual([]);
    const out = path.join(folder, `${name}-merged`);
    const { verification } = await mergeTarget(runFolder, { out, base: null, dtype: "float32", verify: true });
    expect(verification!.relativeChange).toBeLessThan(1e-5);
  });

  test.each([-1, 0, 1, 30])("go on where they were stopped, %i steps from a restart", async (offset) => {
    const whole = path.join(folder, name);
    const [first] = restartsIn(await recordsOf(whole));
    const settings = settingsOf(`${name} ${offset}`, change);
    let at = 0;
    const onRecord = (record: MetricsRecord): void => {
      if (record.kind === "step") at = record.step;
    };
    const { step } = await train(settings, { onRecord, stopRequested: () => at === first!.step + offset });
    expect(step).toBe(first!.step + offset);
    expect(await resume(settings.out!)).toMatchObject({ outcome: "done", step: STEPS });
    expect(await runContents(settings.out!)).toEqual(await runContents(whole));
  });
});

test("adapters that can hold more than the run has learned do not restart: the run is that of LoRA", async () => {
  const change = { rank: 8 };
  const [asRelora, asLora] = await Promise.all([
    train(settingsOf("roomy", change)),
    train(settingsOf("lora", { ...change, method: "lora" })),
  ]);
  const lossesOf = async (out: string): Promise<number[]> =>
    (await recordsOf(out)).flatMap((record) => (record.kind === "step" ? [record.loss] : []));
  const losses = await lossesOf(asRelora.runFolder);
  expect(restartsIn(await recordsOf(asRelora.runFolder))).toEqual([]);
  expect(losses).toEqual(await lossesOf(asLora.runFolder));
  expect(losses).toHaveLength(STEPS);
});

test("a run that is made longer goes on with the restarts it had", async () => {
  const settings = settingsOf("longer", { maxSteps: STEPS, schedule: "constant" });
  const { runFolder } = await train(settings);
  const before = restartsIn(await recordsOf(runFolder)).map(({ step }) => step);
  await resume(runFolder, { changes: { maxSteps: 2 * STEPS } });
  const after = (await recordsOf(runFolder)).flatMap((record) => (record.kind === "merge" ? [record.step] : []));
  expect(after.slice(0, before.length)).toEqual(before);
  expect(after.at(-1)).toBe(2 * STEPS);
  expect(after).not.toContain(STEPS);
});

test("cosine_restarts and periods of a fixed cycle are refused beside it", () => {
  expect(() => settingsOf("none", { schedule: "cosine_restarts" })).toThrow("use cosine, or restart fixed");
  expect(settingsOf("none", {}).schedule).toBe("cosine");
  expect(settingsOf("none", { restart: "fixed" }).schedule).toBe("cosine_restarts");
});
