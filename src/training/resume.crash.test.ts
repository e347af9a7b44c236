import { mkdirSync, writeFileSync } from "node:fs";
import { appendFile, cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { animalText } from "../../tests/animal-text.js";
import { installFaults } from "../../tests/file-faults/faults.mjs";
import { runContents } from "../../tests/run-contents.js";
import { changeTensors } from "../../tests/small-model.js";
import { SMALL_RUN } from "../../tests/small-run.js";
import { CheckpointError, ConfigError, DataError } from "../base/errors.js";
import { completeSettings, resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { writeChecksums } from "../files/checksums.js";
import { readCheckpoint } from "../runs/checkpoint.js";
import { type MetricsRecord, parseMetrics } from "../runs/metrics.js";
import type { RunState } from "../runs/run-state.js";
import { resume } from "./resume.js";
import { train } from "./train.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-resume-"));
  await writeFile(path.join(folder, "text.txt"), animalText());
  await writeFile(path.join(folder, "short.txt"), animalText().slice(0, 2600));
});
afterAll(() => rm(folder, { recursive: true }));

const SMALL: Partial<Settings> = { ...SMALL_RUN, threads: 1 };

function settingsOf(name: string, change: Partial<Settings>): Settings {
  return completeSettings(
    resolveSettings({
      flags: { ...SMALL, data: path.join(folder, "text.txt"), out: path.join(folder, name), ...change },
    }),
  );
}

/** Trains and stops after that step, as an interrupt does. */
async function stoppedAt(step: number, settings: Settings): Promise<string> {
  let at = 0;
  const onRecord = (record: MetricsRecord): void => {
    if (record.kind === "step" || record.kind === "skip") at = record.step;
  };
  await train(settings, { onRecord, stopRequested: () => at === step });
  return settings.out!;
}

/** The run without an interruption, once for each name. */
const whole = new Map<string, Promise<Record<string, unknown>>>();
function wholeRun(name: string, change: Partial<Settings>): Promise<Record<string, unknown>> {
  const made =
    whole.get(name) ?? train(settingsOf(`${name}-whole`, change)).then(({ runFolder }) => runContents(runFolder));
  whole.set(name, made);
  return made;
}

/**
 * What is trained, and the steps to stop after: before, at and after the switch to adapters, within a cycle, after a
 * merge.
 */
const CASES: readonly (readonly [name: string, change: Partial<Settings>, steps: readonly number[]])[] = [
  ["full", { method: "full" }, [5]],
  ["lora", { method: "lora", warmStartSteps: 0 }, [6]],
  ["lora on int8", { method: "lora", warmStartSteps: 2, quantize: "int8" }, [2, 5]],
  ["relora", { optimizerReset: "magnitude" }, [2, 3, 5, 6, 10]],
  ["relora, moments pruned at random", { optimizerReset: "random", warmStartSteps: 0 }, [6]],
  [
    "relora, half of the directions, primed",
    { restartShare: 0.5, optimizerReset: "primed", restartBatches: 3 },
    [5, 6],
  ],
  ["nf4, a quarter of the directions", { quantize: "nf4", mergePolicy: "delta-log", restartShare: 0.25 }, [9]],
  ["relora of cores", { adapterKind: "core", rank: 8, restartBatches: 2, dropout: 0.1 }, [2, 3, 5, 6]],
  ["nf4, cores, primed", { quantize: "nf4", adapterKind: "core", restartBatches: 1, optimizerReset: "primed" }, [6, 8]],
  ["data of less than one epoch", { data: "short.txt" }, [9]],
  ["nf4, delta-log", { quantize: "nf4", doubleQuant: true, mergePolicy: "delta-log" }, [3, 7]],
  ["nf4, residual", { quantize: "nf4", mergePolicy: "residual" }, [5, 9]],
  ["nf4, error-feedback", { quantize: "nf4", mergePolicy: "error-feedback" }, [10]],
  ["fp4, stochastic", { quantize: "fp4", mergePolicy: "stochastic" }, [10]],
  ["int8, requantize", { quantize: "int8", mergePolicy: "requantize" }, [10]],
];

describe.each(CASES)("%s", (name, change, steps) => {
  const changes = (): Partial<Settings> =>
    change.data === undefined ? change : { ...change, data: path.join(folder, change.data) };

  test.each(steps)("stopped after step %i it ends as it would have", async (step) => {
    const expected = await wholeRun(name, changes());
    const out = await stoppedAt(step, settingsOf(`${name}-${step}`, changes()));
    const result = await resume(out, { changes: { threads: 2 } });
    expect(result).toMatchObject({ outcome: "done", step: 11 });
    expect(await runContents(out)).toEqual(expected);
    const { dataPosition } = (await readCheckpoint(out, "last")).state as unknown as RunState;
    expect(dataPosition.epoch).toBe(change.data === undefined ? 0 : 1);
  });
});

/** A run stopped after step 8, for tests to change a copy of. */
async function copyOfStopped(name: string): Promise<string> {
  const from = path.join(folder, "stopped");
  if (!(await readdir(folder)).includes("stopped")) await stoppedAt(8, settingsOf("stopped", { evalEvery: 2 }));
  const to = path.join(folder, name);
  await cp(from, to, { recursive: true });
  return to;
}

const noticesOf = async (run: (onNotice: (text: string) => void) => Promise<unknown>): Promise<string> => {
  const notices: string[] = [];
  await run((text) => void notices.push(text));
  return notices.join("\n");
};

test("a run killed before its first checkpoint begins anew, one that is done stays as it is", async () => {
  const settings = settingsOf("no-checkpoint", {});
  const expected = await wholeRun("relora-plain", {});
  await stoppedAt(3, settings);
  for (const name of await readdir(settings.out!)) {
    if (/^checkpoint|last|best|adapter/.test(name)) await rm(path.join(settings.out!, name), { recursive: true });
  }
  expect(await noticesOf((onNotice) => resume(settings.out!, {}, { onNotice }))).toContain("no checkpoint yet");
  expect(await runContents(settings.out!)).toEqual(expected);
  const before = await readFile(path.join(settings.out!, "metrics.jsonl"));
  const said = await noticesOf(async (onNotice) => {
    expect(await resume(settings.out!, {}, { onNotice })).toMatchObject({ outcome: "done", step: 11 });
  });
  expect(said).toContain("nothing is left of its 11 steps");
  // What was so before, and what no number depends on, may be named.
  await resume(settings.out!, { changes: { maxSteps: 11, threads: 1 } });
  const late = resume(settings.out!, { changes: { data: "moved.txt", lr: 0.5, saveEvery: settings.saveEvery } });
  await expect(late).rejects.toThrow(ConfigError);
  await expect(late).rejects.toThrow(
    /^data, lr: cannot change any more, as .* is done: nothing is left of its 11 steps; leave them out, or .* maxSteps$/,
  );
  expect(await readFile(path.join(settings.out!, "metrics.jsonl"))).toEqual(before);
});

test("a run goes on from an earlier checkpoint to the same end, a torn line of metrics notwithstanding", async () => {
  const settings = settingsOf("earlier", { keepCheckpoints: null });
  await stoppedAt(10, settings);
  const metrics = path.join(settings.out!, "metrics.jsonl");
  await writeFile(metrics, `${await readFile(metrics, "utf8")}{"kind":"st`);
  await resume(settings.out!, { checkpoint: 4, changes: { keepCheckpoints: 1 } });
  expect(await runContents(settings.out!)).toEqual(await wholeRun("relora-plain", {}));
  // The clock of the records goes on from the checkpoint's.
  const records = parseMetrics(await readFile(metrics, "utf8"));
  const seconds = records.flatMap((record) => ("seconds" in record ? [record.seconds!] : []));
  expect(seconds).toHaveLength(11 + 5 + 1);
  expect(seconds).toEqual([...seconds].sort((a, b) => a - b));
  expect(seconds[0]).toBeGreaterThan(0);
});

test.each<[name: string, change: Partial<Settings>]>([
  ["adapters", {}],
  ["cores", { adapterKind: "core", restartBatches: 2 }],
])(
  "with a constant learning rate a run of %s can be made longer; its end is that of a run planned so",
  async (kind, adapters) => {
    const change = { schedule: "constant", saveEvery: null, evalEvery: 3, ...adapters } as const;
    const settings = settingsOf(`longer, ${kind}`, { ...change, maxSteps: 9 });
    await train(settings);
    expect(await resume(settings.out!, { changes: { maxSteps: "12" } })).toMatchObject({ outcome: "done", step: 12 });
    const long = await train(settingsOf(`long, ${kind}`, { ...change, maxSteps: 12 }));
    const [made, wanted] = [await runContents(settings.out!), await runContents(long.runFolder)];
    for (const name of ["model/model.safetensors", "checkpoint-000012/optimizer.safetensors"]) {
      expect(made[name]).toEqual(expect.any(String));
      expect(made[name]).toBe(wanted[name]);
    }
  },
);

test("files of the user's in what a resume removes are refused by name; nothing is written before", async () => {
  const out = settingsOf("users-files", {}).out!;
  const change = { schedule: "constant", maxSteps: 6, evalEvery: null, saveEvery: 3, keepCheckpoints: null } as const;
  await train(settingsOf("users-files", change));
  for (const mine of ["model/README.md", "adapter/Modelfile", "checkpoint-000006/notes"]) {
    await writeFile(path.join(out, mine), "mine");
    const before = await runContents(out);
    // The first two stay where nothing is left to do.
    const onward = mine.startsWith("checkpoint") ? { checkpoint: 3 } : { changes: { maxSteps: 7 } };
    if ("changes" in onward) expect(await resume(out)).toMatchObject({ outcome: "done", step: 6 });
    const refused = resume(out, onward);
    await expect(refused).rejects.toThrow(ConfigError);
    await expect(refused).rejects.toThrow(`${out} holds ${mine} in folders of the run`);
    expect(await runContents(out)).toEqual(before);
    expect(await readFile(path.join(out, mine), "utf8")).toBe("mine");
    await rm(path.join(out, mine));
  }
  expect(await resume(out, { checkpoint: 3, changes: { maxSteps: 7 } })).toMatchObject({ outcome: "done", step: 7 });
});

test("half a model is never taken for a finished one", async () => {
  const out = settingsOf("half", {}).out!;
  await train(settingsOf("half", { schedule: "constant", maxSteps: 6, evalEvery: null, saveEvery: null }));
  const finished = await runContents(out);
  await cp(out, `${out} longer`, { recursive: true });
  const { calls, ...counted } = installFaults({ folder: `${out} longer`, kinds: ["rm"] });
  await resume(`${out} longer`, { changes: { maxSteps: 7 } }).finally(counted.remove);
  const at = 1 + calls.findIndex((call) => /^\.?model\b/.test(call.path));
  const killed = installFaults({ folder: out, kinds: ["rm"], at, when: "half", mode: "dead" });
  await expect(resume(out, { changes: { maxSteps: 7 } })).rejects.toThrow(CheckpointError);
  killed.remove();
  await rm(path.join(out, "lock"));
  await resume(out);
  expect(await runContents(out)).toEqual(finished);
});

test.each<[string, Record<string, unknown>, RegExp]>([
  ["fewer steps than are done", { maxSteps: 7 }, /must be at least 8/],
  ["another rank", { rank: 8 }, /rank: stays as the run was started[\s\S]*what may change.*lr/],
  ["a setting that there is not", { rnak: 8 }, /rnak: is no setting/],
  ["what nothing uses", { minImprovement: 0.1 }, /^minImprovement: is for patience; leave it out$/],
])("refused: %s", async (name, changes, message) => {
  const out = await copyOfStopped(`refused ${name}`);
  const before = await runContents(out);
  await expect(resume(out, { changes })).rejects.toThrow(ConfigError);
  await expect(resume(out, { changes })).rejects.toThrow(message);
  expect(await runContents(out)).toEqual(before);
});

test("other data are refused, the same elsewhere are not", async () => {
  const out = await copyOfStopped("data");
  const data = path.join(folder, "short.txt");
  await expect(resume(out, { changes: { data } })).rejects.toThrow(DataError);
  await expect(resume(out, { changes: { data } })).rejects.toThrow(/not those that .* was trained on/);
  const gone = { data: path.join(folder, "gone.txt") };
  await expect(resume(out, { changes: gone })).rejects.toThrow(/gone\.txt: .* begun with are not there; .* with data$/);
  await cp(path.join(folder, "text.txt"), path.join(folder, "moved.txt"));
  expect(await resume(out, { changes: { data: path.join(folder, "moved.txt") } })).toMatchObject({ outcome: "done" });
});

function changeBase(run: string): Promise<void> {
  return changeTensors(path.join(run, "base"), (tensors) => void tensors.get("lm_head.weight")!.data.fill(1));
}

test.each<[string, (run: string) => Promise<unknown>, RegExp]>([
  [
    "a cycle of the delta log",
    (run) => appendFile(path.join(run, "deltas/cycle-000001.safetensors"), "x"),
    /cycle-000001\.safetensors is not the file that the checkpoint was trained with/,
  ],
  [
    "a file of the checkpoint",
    (run) => appendFile(path.join(run, "checkpoint-000008/optimizer.safetensors"), "x"),
    /optimizer\.safetensors differs from its checksum/,
  ],
  [
    "weights of the base",
    (run) => changeBase(run),
    /base is damaged \(bring it back from a copy of the run folder\): model\.safetensors differs from its checksum/,
  ],
  [
    "the base's tokenizer",
    (run) => appendFile(path.join(run, "base/tokenizer.json"), " "),
    /base is damaged .*: tokenizer\.json differs from its checksum/,
  ],
  [
    "another base, whole in itself",
    async (run) => {
      await changeBase(run);
      await writeChecksums(path.join(run, "base"));
    },
    /trained on weights with SHA-256/,
  ],
  [
    "another base, of a version without checksums",
    async (run) => {
      await changeBase(run);
      await rm(path.join(run, "base/checksums.json"));
    },
    /trained on weights with SHA-256/,
  ],
  ["the settings", (run) => writeFile(path.join(run, "config.resolved.json"), '{"rank": "x"}'), /"x"/],
  ["a line of the metrics", (run) => writeFile(path.join(run, "metrics.jsonl"), "x\n{}\n"), /line 1[^\n]*/],
])("damage is named: %s", async (name, damage, message) => {
  const out = await copyOfStopped(`damaged ${name}`);
  await damage(out);
  await expect(resume(out)).rejects.toThrow(message);
  expect(await readdir(out)).not.toContain("lock");
});

test("a folder that is no run is named as that", async () => {
  await expect(resume(folder)).rejects.toThrow(CheckpointError);
  await expect(resume(folder)).rejects.toThrow(/holds no run/);
});

test("what somebody puts into a run while it trains stays, and the run ends as ever once that is moved", async () => {
  const change = { method: "lora", warmStartSteps: 0, saveEvery: 2, keepCheckpoints: 1 } as const;
  const expected = await wholeRun("noted", change);
  const settings = settingsOf("with notes", change);
  const [inCheckpoint, inModel] = ["checkpoint-000004/mine.md", "model/mine.md"].map((file) => {
    return path.join(settings.out!, file);
  }) as [string, string];
  const onRecord = ({ kind, step }: MetricsRecord): void => {
    if (kind !== "step" || step !== 5) return;
    mkdirSync(path.dirname(inModel));
    for (const file of [inCheckpoint, inModel]) writeFileSync(file, "mine");
  };
  const notices: string[] = [];
  await expect(train(settings, { onRecord, onNotice: (text) => notices.push(text) })).rejects.toThrow(
    /model: it holds mine\.md, which others put there; move it elsewhere, then try again or resume the run/,
  );
  expect(notices.filter((text) => text.includes("mine.md"))).toEqual([
    "checkpoint-000004/mine.md is not of the run: its checkpoint stays until you move it elsewhere.",
  ]);
  await expect(resume(settings.out!)).rejects.toThrow(/holds model\/mine\.md in folders of the run/);
  for (const file of [inCheckpoint, inModel]) {
    expect(await readFile(file, "utf8")).toBe("mine");
    await rm(file);
  }
  await resume(settings.out!);
  expect(await runContents(settings.out!)).toEqual(expected);
});
