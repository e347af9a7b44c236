import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { animalText } from "../../tests/animal-text.js";
import { runContents } from "../../tests/run-contents.js";
import { SMALL_RUN } from "../../tests/small-run.js";
import { ConfigError } from "../base/errors.js";
import { completeSettings, resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { type MetricsRecord, parseMetrics, type StartRecord } from "../runs/metrics.js";
import { checkRun } from "../verbs/doctor/check-run.js";
import { resume } from "./resume.js";
import { train } from "./train.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-length-"));
  await writeFile(path.join(folder, "text.txt"), animalText());
});
afterAll(() => rm(folder, { recursive: true }));

function settingsOf(name: string, change: Partial<Settings>): Settings {
  const base = { ...SMALL_RUN, threads: 1, sampleTokens: 0, data: path.join(folder, "text.txt") };
  return completeSettings(resolveSettings({ flags: { ...base, out: path.join(folder, name), ...change } }));
}

async function recordsOf(run: string): Promise<MetricsRecord[]> {
  return parseMetrics(await readFile(path.join(run, "metrics.jsonl"), "utf8"));
}

async function ratesOf(run: string): Promise<number[]> {
  return (await recordsOf(run)).flatMap((record) => (record.kind === "step" ? [record.learningRate] : []));
}

const CONSTANT = { schedule: "constant", warmupSteps: 0, saveEvery: null, evalEvery: null, loadBest: false } as const;

describe("a finished run whose last step merged only because it was the last takes its adapters up again", () => {
  test.each<[name: string, change: Partial<Settings>]>([
    ["lora", { method: "lora", warmStartSteps: 0 }],
    ["dora", { method: "lora", warmStartSteps: 0, adapterKind: "dora" }],
    ["relora within a cycle", { warmStartSteps: 1 }],
    ["relora on nf4, residual, within a cycle", { warmStartSteps: 1, quantize: "nf4", mergePolicy: "residual" }],
    ["full", { method: "full" }],
  ])("%s: to the bits of a run planned so", async (name, change) => {
    const settings = settingsOf(`longer ${name}`, { ...CONSTANT, ...change, maxSteps: 5 });
    await train(settings);
    const starts: StartRecord[] = [];
    const onRecord = (record: MetricsRecord): void => void (record.kind === "start" && starts.push(record));
    await resume(settings.out!, { changes: { maxSteps: 7 } }, { onRecord });
    expect(starts[0]!.change).toContain("5 steps become 7; the learning rate is that of a run planned so");
    const long = await train(settingsOf(`long ${name}`, { ...CONSTANT, ...change, maxSteps: 7 }));
    const [made, wanted] = [await runContents(settings.out!), await runContents(long.runFolder)];
    for (const file of Object.keys(wanted)) {
      if (/safetensors$|adapter_config/.test(file)) expect(made[file], file).toEqual(wanted[file]);
    }
    expect(
      Object.keys(made)
        .filter((file) => file.startsWith("deltas"))
        .sort(),
    ).toEqual(
      Object.keys(wanted)
        .filter((file) => file.startsWith("deltas"))
        .sort(),
    );
    expect((await checkRun(settings.out!)).findings.filter(({ state }) => state !== "ok")).toEqual([]);
  });

  test("of which a share would have restarted, all of it has, and that is said", async () => {
    const change = { ...CONSTANT, warmStartSteps: 1, reloraEvery: 2, restartShare: 0.5, maxSteps: 5 } as const;
    const settings = settingsOf("share", change);
    await train(settings);
    const starts: StartRecord[] = [];
    const onRecord = (record: MetricsRecord): void => void (record.kind === "start" && starts.push(record));
    await resume(settings.out!, { changes: { maxSteps: 8 } }, { onRecord });
    expect(starts[0]!.change).toMatch(
      /the last step has merged and restarted all directions, of which it would have taken 50%$/,
    );
    const resets = (await recordsOf(settings.out!)).filter((record) => record.kind === "reset");
    expect(resets.map(({ step, zeroedFraction }) => [step, zeroedFraction])).toEqual([
      [3, 0.5],
      [5, 1],
      [7, 0.5],
    ]);
  });

  test("cores, whose bases are gone, cannot, which is said before anything changes", async () => {
    const change = { ...CONSTANT, method: "lora", warmStartSteps: 0, adapterKind: "core", maxSteps: 4 } as const;
    const settings = settingsOf("cores", change);
    await train(settings);
    const before = await runContents(settings.out!);
    const longer = resume(settings.out!, { changes: { maxSteps: 8 } });
    await expect(longer).rejects.toThrow(ConfigError);
    await expect(resume(settings.out!, { changes: { maxSteps: 8 } })).rejects.toThrow(/with its adapters merged/);
    expect(await runContents(settings.out!)).toEqual(before);
  });
});

describe.each<Partial<Settings>>([
  { method: "lora", warmStartSteps: 0, schedule: "cosine", warmupSteps: 2 },
  { method: "lora", warmStartSteps: 0, schedule: "linear", warmupSteps: 2 },
  { method: "relora", warmStartSteps: 3, schedule: "cosine_restarts", restartWarmupSteps: 1 },
])("with schedule $schedule", (change) => {
  const name = change.schedule!;

  test("a finished run goes on without a jump, and again to the same bits when it is interrupted", async () => {
    const settings = settingsOf(name, { ...change, adapterLr: 1e-2, lr: 1e-2, maxSteps: 7, evalEvery: null });
    await train(settings);
    const out = settings.out!;
    const again = `${out} interrupted`;
    await cp(out, again, { recursive: true });
    const first = await ratesOf(out);
    const starts: StartRecord[] = [];
    const onRecord = (record: MetricsRecord): void => void (record.kind === "start" && starts.push(record));
    expect(await resume(out, { changes: { maxSteps: "21" } }, { onRecord })).toMatchObject({
      outcome: "done",
      step: 21,
    });
    const rates = await ratesOf(out);
    expect(rates).toHaveLength(21);
    expect(rates.slice(0, 7)).toEqual(first);
    // From the end of the old schedule to the new one, and down with that.
    expect(rates[7]! - rates[6]!).toBeLessThan(0.3 * Math.max(...rates));
    expect(Math.max(...rates.slice(7))).toBeGreaterThan(0.5e-2);
    expect(rates.at(-1)).toBeLessThan(0.15e-2);
    expect(starts[0]!.change).toContain(`7 steps become 21; the learning rate stood at ${first[6]!.toExponential(2)}`);
    expect(starts[0]!.change).toContain(`ends at ${rates.at(-1)!.toExponential(2)}`);

    // Before its first new checkpoint, and after one.
    await resume(again, { changes: { maxSteps: 21 } }, { untilStep: 10 });
    await resume(again, {}, { untilStep: 15 });
    await resume(again, {});
    expect(await ratesOf(again)).toEqual(rates);
    const [made, wanted] = [await runContents(again), await runContents(out)];
    for (const file of Object.keys(wanted))
      if (/safetensors$/.test(file)) expect(made[file], file).toEqual(wanted[file]);
  });
});

test("a run that was stopped on the way goes on from where its rate stood, to more steps or to fewer", async () => {
  const settings = settingsOf("stopped", {
    method: "full",
    schedule: "cosine",
    warmupSteps: 0,
    lr: 1e-2,
    maxSteps: 20,
  });
  await train(settings, { untilStep: 10 });
  await cp(settings.out!, `${settings.out!} shorter`, { recursive: true });
  await resume(settings.out!, { changes: { maxSteps: 40 } });
  const longer = await ratesOf(settings.out!);
  expect(longer).toHaveLength(40);
  await resume(`${settings.out!} shorter`, { changes: { maxSteps: 14 } });
  const shorter = await ratesOf(`${settings.out!} shorter`);
  expect(shorter).toHaveLength(14);
  expect(longer[9]).toBe(shorter[9]);
  expect(longer.slice(10, 14).every((rate, i) => rate > longer[9 + i]!)).toBe(true);
  expect(shorter.slice(10).every((rate, i) => rate < shorter[9 + i]!)).toBe(true);
});
