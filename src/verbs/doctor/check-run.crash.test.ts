import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import os, { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { animalText } from "../../../tests/animal-text.js";
import { runContents } from "../../../tests/run-contents.js";
import { CheckpointError } from "../../base/errors.js";
import { resolveSettings } from "../../config/resolve.js";
import type { Settings } from "../../config/settings.js";
import { writeChecksums } from "../../files/checksums.js";
import { readSafetensors, writeSafetensors } from "../../files/safetensors.js";
import type { MetricsRecord } from "../../runs/metrics.js";
import type { HostTensor } from "../../tensor/dtype.js";
import { resume } from "../../training/resume.js";
import { train } from "../../training/train.js";
import { loadTarget } from "../target.js";
import type { Finding, RunCheck } from "./check-run.js";
import { checkRun } from "./check-run.js";

const SMALL: Partial<Settings> = {
  model: "tiny",
  method: "relora",
  rank: 4,
  vocabSize: 300,
  batchSize: 2,
  sequenceLength: 32,
  maxSteps: 11,
  warmStartSteps: 3,
  reloraEvery: 3,
  lr: 3e-3,
  adapterLr: 2e-2,
  evalEvery: 4,
  evalTokens: 300,
  sampleTokens: 0,
  saveEvery: 4,
  keepCheckpoints: null,
  threads: 1,
};

let folder = "";
/** A run with warm start, residual starts and two merges, stopped after step 10; and the same with another seed. */
let stopped = "";
let other = "";
/** The first, gone on to its end. */
let finished = "";

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-check-"));
  await writeFile(path.join(folder, "text.txt"), animalText());
  const change = { quantize: "nf4", mergePolicy: "residual" } as const;
  stopped = await trained("stopped", change, 10);
  other = await trained("other", { ...change, seed: 1 }, 10);
  finished = await copyOf(stopped, "finished");
  await resume(finished);
});
afterAll(() => rm(folder, { recursive: true }));

/** Trains, up to the step where one is given. */
async function trained(name: string, change: Partial<Settings>, stopAfter?: number): Promise<string> {
  let at = 0;
  const onRecord = ({ kind, step }: MetricsRecord): void => {
    if (kind === "step") at = step;
  };
  const flags = { ...SMALL, data: path.join(folder, "text.txt"), out: path.join(folder, name), ...change };
  const settings = resolveSettings({ flags });
  return (await train(settings, { onRecord, stopRequested: () => at === stopAfter })).runFolder;
}

async function copyOf(run: string, name: string): Promise<string> {
  const to = path.join(folder, name);
  await cp(run, to, { recursive: true });
  return to;
}

function notOk({ findings }: RunCheck): Finding[] {
  return findings.filter(({ state }) => state !== "ok");
}

describe.each<[string, Partial<Settings>, number]>([
  ["full", { method: "full" }, 5],
  ["lora", { method: "lora", warmStartSteps: 0, trainModules: ["norms"] }, 6],
  ["relora on int8, in its warm start", { quantize: "int8", keepCheckpoints: 1 }, 2],
])("%s", (name, change, step) => {
  test("is found sound, stopped and finished, and nothing is written", async () => {
    const run = await trained(name, change, step);
    const before = await runContents(run);
    const check = await checkRun(run);
    expect(notOk(check)).toEqual([]);
    expect(check).toMatchObject({ runFolder: run, state: "ok", step, maxSteps: 11 });
    const left = `${step} of 11 done, ${11 - step} left`;
    expect(check.findings.at(-1)).toEqual({
      area: "steps",
      state: "ok",
      what: left,
      wayOut: `highrank resume ${run}`,
    });
    expect(await runContents(run)).toEqual(before);
    await resume(run);
    const after = await checkRun(run);
    expect(notOk(after)).toEqual([]);
    expect(after.findings.at(-1)).toMatchObject({ area: "steps", what: "finished: all 11 steps are done" });
  });
});

test("relora with residual starts is found sound, stopped and finished", async () => {
  for (const run of [stopped, finished]) {
    const check = await checkRun(run);
    expect(notOk(check)).toEqual([]);
    const areas = ["settings", "lock", "base", "deltas", "last", "best", "data", "metrics", "adapter", "steps"];
    expect(check.findings.map(({ area }) => area)).toEqual(expect.arrayContaining(areas));
  }
});

const at = (run: string, name: string): string => path.join(run, name);

async function flipByte(file: string): Promise<void> {
  const bytes = await readFile(file);
  bytes[bytes.length - 3]! ^= 0x10;
  await writeFile(file, bytes);
}

/** Changes a checkpoint and writes its checksums anew, as a faulty program would. */
async function rewrite(checkpoint: string, change: () => Promise<unknown>): Promise<void> {
  await change();
  await writeChecksums(checkpoint);
}

async function editState(checkpoint: string, change: (state: Record<string, unknown>) => void): Promise<void> {
  await rewrite(checkpoint, async () => {
    const state = JSON.parse(await readFile(at(checkpoint, "state.json"), "utf8"));
    change(state);
    await writeFile(at(checkpoint, "state.json"), JSON.stringify(state));
  });
}

async function editTensors(file: string, change: (tensors: Map<string, HostTensor>) => void): Promise<void> {
  const { tensors, metadata } = await readSafetensors(file);
  change(tensors);
  await writeSafetensors(file, tensors, metadata);
}

async function editMetrics(run: string, change: (lines: string[]) => string[]): Promise<void> {
  const file = at(run, "metrics.jsonl");
  const lines = (await readFile(file, "utf8")).trimEnd().split("\n");
  await writeFile(file, `${change(lines).join("\n")}\n`);
}

const LAST = "checkpoint-000010";
const EARLIER = "checkpoint-000008";
const isStep = (line: string): boolean => line.includes('"kind":"step","step":5,');

/**
 * What is done to a copy of the stopped run, what is to be found, and where to go on from; null where that takes a
 * copy.
 */
const DAMAGES: readonly (readonly [
  name: string,
  damage: (run: string) => Promise<unknown>,
  found: Partial<Record<keyof Finding, unknown>>,
  goOn: number | null,
])[] = [
  [
    "a checkpoint's file is cut short",
    (run) => truncate(at(run, `${LAST}/optimizer.safetensors`), 500),
    { area: LAST, state: "damaged", what: "optimizer.safetensors differs from its checksum" },
    8,
  ],
  [
    "a byte of a checkpoint is flipped, with the checksums written anew",
    (run) => rewrite(at(run, LAST), () => truncate(at(run, `${LAST}/trainable.safetensors`), 500)),
    { area: LAST, state: "damaged", what: expect.stringContaining("trainable.safetensors") },
    8,
  ],
  [
    "a file of a checkpoint is gone",
    (run) => rm(at(run, `${LAST}/state.json`)),
    { area: LAST, state: "damaged", what: "state.json is missing" },
    8,
  ],
  [
    "a checkpoint is gone",
    (run) => rm(at(run, LAST), { recursive: true }),
    { area: "last", state: "damaged", what: `names ${LAST}, which is not there` },
    8,
  ],
  [
    "a checkpoint is that of another run",
    async (run) => {
      await rm(at(run, LAST), { recursive: true });
      await cp(at(other, LAST), at(run, LAST), { recursive: true });
    },
    { area: LAST, state: "damaged", what: expect.stringContaining("to a run with seed 1; this one has seed 0") },
    8,
  ],
  [
    "a state says another cycle",
    (run) => editState(at(run, LAST), (state) => void Object.assign(state, { cycle: 1 })),
    { area: LAST, state: "damaged", what: "phase adapter, cycle 1, but step 10 is in phase adapter, cycle 3" },
    8,
  ],
  [
    "a state lacks an entry",
    (run) => editState(at(run, LAST), (state) => delete state.dataPosition),
    { area: LAST, state: "damaged", what: expect.stringContaining("dataPosition: ") },
    8,
  ],
  [
    "a state stands at another row of the data",
    (run) => editState(at(run, LAST), (state) => void Object.assign(state, { dataPosition: { epoch: 0, row: 3 } })),
    { area: LAST, state: "damaged", what: "row 3 of the data, but step 10 comes after 20" },
    8,
  ],
  [
    "a tensor has another shape",
    (run) =>
      rewrite(at(run, LAST), () =>
        editTensors(at(run, `${LAST}/optimizer.safetensors`), (tensors) => {
          const [[name, { data }]] = tensors as unknown as [[string, HostTensor]];
          tensors.set(name, { dtype: "float32", shape: [data.length], data });
        }),
      ),
    { area: LAST, state: "damaged", what: expect.stringMatching(/optimizer: .* is float32 \(\d+\), the model needs/) },
    8,
  ],
  [
    "a weight is not a number",
    (run) =>
      rewrite(at(run, LAST), () =>
        editTensors(at(run, `${LAST}/trainable.safetensors`), (tensors) => {
          tensors.get("lm_head.weight")!.data[7] = Number.NaN;
        }),
      ),
    { area: LAST, state: "damaged", what: "trainable: lm_head.weight holds numbers that are not finite" },
    8,
  ],
  [
    "a checkpoint that is not the last one is damaged",
    (run) => flipByte(at(run, `${EARLIER}/trainable.safetensors`)),
    { area: EARLIER, state: "damaged", wayOut: expect.stringContaining("resume does not need it; remove ") },
    10,
  ],
  [
    "a cycle of the delta log has another byte",
    (run) => flipByte(at(run, "deltas/cycle-000002.safetensors")),
    { area: "deltas", state: "damaged", what: "cycle 2 is not the file that the checkpoint was trained with" },
    8,
  ],
  [
    "the first cycle is missing",
    (run) => rm(at(run, "deltas/cycle-000001.safetensors")),
    { area: "deltas", state: "damaged", what: "cycle 1: cycle 1 is missing" },
    4,
  ],
  [
    "a cycle has another layer's shape",
    (run) =>
      editTensors(at(run, "deltas/cycle-000002.safetensors"), (tensors) => {
        const [name] = [...tensors.keys()].filter((key) => key.endsWith("lora_B.weight"));
        const { data, shape } = tensors.get(name!)!;
        const half = shape[0]! / 2;
        tensors.set(name!, { dtype: "float32", shape: [half, shape[1]!], data: data.slice(0, half * shape[1]!) });
      }),
    { area: "deltas", state: "damaged", what: expect.stringMatching(/cycle 2: .*lora_B is float32/) },
    8,
  ],
  [
    "the base has another byte",
    (run) => flipByte(at(run, "base/model.safetensors")),
    { area: "base", state: "damaged", wayOut: "bring it back from a copy of the run folder" },
    null,
  ],
  [
    "the base is that of another run",
    async (run) => {
      await rm(at(run, "base"), { recursive: true });
      await cp(at(other, "base"), at(run, "base"), { recursive: true });
    },
    { area: LAST, state: "damaged", what: expect.stringContaining("builds on a base whose weights have SHA-256") },
    null,
  ],
  [
    "the settings are no JSON",
    (run) => writeFile(at(run, "config.resolved.json"), "{"),
    { area: "settings", state: "damaged", wayOut: "bring it back from a copy of the run folder" },
    null,
  ],
  [
    "last names nothing",
    (run) => writeFile(at(run, "last"), "checkpoint-000009\n"),
    { area: "last", state: "damaged", what: "names checkpoint-000009, which is not there" },
    10,
  ],
  [
    "a line of the metrics is there twice",
    (run) => editMetrics(run, (lines) => lines.flatMap((line) => (isStep(line) ? [line, line] : [line]))),
    { area: "metrics", state: "damaged", what: expect.stringContaining("step 5 is recorded more than once") },
    10,
  ],
  [
    "lines of the metrics are missing",
    (run) => editMetrics(run, (lines) => lines.filter((line) => !isStep(line))),
    { area: "metrics", state: "damaged", what: expect.stringContaining("step 5 is missing") },
    10,
  ],
];

test.each(DAMAGES)("damage is named with the way out: %s", async (name, damage, found, goOn) => {
  const run = await copyOf(stopped, name.replaceAll(/\W+/g, "-"));
  await damage(run);
  const check = await checkRun(run);
  expect(check.findings).toContainEqual(expect.objectContaining(found));
  expect(check).toMatchObject({ state: "damaged", step: check.step === null ? null : expect.any(Number) });
  const damaged = check.findings.filter(({ state }) => state === "damaged");
  for (const { wayOut } of damaged) expect(wayOut).toMatch(/resume|copy/);
  if (goOn === null) {
    expect(damaged.every(({ wayOut }) => !wayOut!.includes("--checkpoint"))).toBe(true);
    await expect(resume(run)).rejects.toThrow();
    return;
  }
  expect(check.step).toBe(goOn);
  const named = damaged.map(({ wayOut }) => /--checkpoint (\d+)/.exec(wayOut!)?.[1]).find((step) => step !== undefined);
  // The metrics and checkpoints that are not needed stop nobody.
  if (named === undefined) expect(goOn).toBe(10);
  else expect(Number(named)).toBe(goOn);
  const result = await resume(run, named === undefined ? {} : { checkpoint: Number(named) });
  expect(result).toMatchObject({ outcome: "done", step: 11 });
  expect((await runContents(run))["model/model.safetensors"]).toBe(
    (await runContents(finished))["model/model.safetensors"],
  );
});

/** What resume puts right by itself, of the stopped or the finished run. */
const REPAIRABLE: readonly (readonly [
  name: string,
  of: "stopped" | "finished",
  damage: (run: string) => Promise<unknown>,
  found: Partial<Record<keyof Finding, unknown>>,
])[] = [
  [
    "a torn line",
    "finished",
    (run) => appendFile(at(run, "metrics.jsonl"), '{"kind":"st'),
    { area: "metrics", what: "the last line was cut short" },
  ],
  [
    "steps after the last checkpoint",
    "stopped",
    (run) => editMetrics(run, (lines) => [...lines, lines.find(isStep)!.replace('"step":5', '"step":11')]),
    { area: "metrics", what: `1 step after ${LAST}` },
  ],
  [
    "a cycle after the last checkpoint",
    "stopped",
    (run) => cp(at(finished, "deltas/cycle-000003.safetensors"), at(run, "deltas/cycle-000003.safetensors")),
    { area: "deltas", what: `cycles 3 came after ${LAST}` },
  ],
  [
    "a dead process's lock",
    "stopped",
    (run) => {
      const holder = { pid: 2 ** 30, host: os.hostname(), processStart: null, since: "2026-01-02T03:04:05.000Z" };
      return writeFile(at(run, "lock"), JSON.stringify(holder));
    },
    { area: "lock", what: expect.stringContaining(`left by process ${2 ** 30} on host ${os.hostname()}`) },
  ],
  [
    "leftovers",
    "stopped",
    async (run) => {
      await mkdir(at(run, ".checkpoint-000011.abc.partial"));
      await writeFile(at(run, "deltas/.cycle-000003.safetensors.abc.partial"), "");
    },
    {
      area: "leftovers",
      what: expect.stringContaining("checkpoint-000011.abc.partial, deltas/.cycle-000003.safetensors.abc.partial"),
    },
  ],
  [
    "a base that stepped aside",
    "stopped",
    (run) => rename(at(run, "base"), at(run, ".base.abc.previous")),
    { area: "base", what: "is missing, but whole as .base.abc.previous" },
  ],
  [
    "a checkpoint that stepped aside",
    "stopped",
    (run) => rename(at(run, LAST), at(run, `.${LAST}.abc.previous`)),
    { area: LAST, what: `is missing, but whole as .${LAST}.abc.previous` },
  ],
  ["no last", "stopped", (run) => rm(at(run, "last")), { area: "last", what: "is missing" }],
  [
    "another best",
    "finished",
    (run) => writeFile(at(run, "best"), "checkpoint-000004\n"),
    { area: "best", what: expect.stringContaining("names checkpoint-000004, but the best is ") },
  ],
  [
    "a checkpoint after the one that last names",
    "stopped",
    (run) => writeFile(at(run, "last"), `${EARLIER}\n`),
    { area: LAST, what: "whole, but after the one that last names" },
  ],
  [
    "an adapter of another step",
    "stopped",
    async (run) => {
      await rm(at(run, "adapter"), { recursive: true });
      await cp(at(finished, "adapter"), at(run, "adapter"), { recursive: true });
    },
    { area: "adapter", what: `is from another step than ${LAST}` },
  ],
  [
    "a finished model with another byte",
    "finished",
    (run) => flipByte(at(run, "model/model.safetensors")),
    { area: "model", what: "model.safetensors differs from its checksum" },
  ],
  ["no finished model", "finished", (run) => rm(at(run, "model"), { recursive: true }), { area: "model" }],
];

test.each(REPAIRABLE)("resume puts right: %s", async (name, of, damage, found) => {
  const run = await copyOf(of === "stopped" ? stopped : finished, name.replaceAll(/\W+/g, "-"));
  await damage(run);
  const check = await checkRun(run);
  expect(check.findings).toContainEqual(expect.objectContaining({ state: "repairable", ...found }));
  expect(check.state).toBe("repairable");
  expect(check.findings.filter(({ state }) => state === "repairable").every(({ wayOut }) => wayOut !== null)).toBe(
    true,
  );
  await resume(run);
  expect(notOk(await checkRun(run))).toEqual([]);
  expect(await readdir(run)).not.toContain("lock");
});

test("an adapter of an earlier step beside a finished run is named; once removed, resume writes it again", async () => {
  const run = await copyOf(finished, "old-adapter");
  await rm(at(run, "adapter"), { recursive: true });
  await cp(at(stopped, "adapter"), at(run, "adapter"), { recursive: true });
  const check = await checkRun(run);
  expect(notOk(check)).toEqual([
    expect.objectContaining({
      area: "adapter",
      state: "damaged",
      wayOut: expect.stringMatching(/^remove .*adapter; /),
    }),
  ]);
  await rm(at(run, "adapter"), { recursive: true });
  await resume(run);
  expect(notOk(await checkRun(run))).toEqual([]);
});

test("a run that a process is at work in is said to be, and is only read", async () => {
  const run = await copyOf(stopped, "running");
  const holder = { pid: process.pid, host: os.hostname(), processStart: null, since: "2026-01-02T03:04:05.000Z" };
  await writeFile(at(run, "lock"), JSON.stringify(holder));
  await mkdir(at(run, ".model.abc.partial"));
  const last = (await readFile(at(run, "last"), "utf8")).trim();
  await appendFile(at(run, `${last}/trainable.safetensors`), "x");
  const check = await checkRun(run);
  expect(check).toMatchObject({ state: "ok", isRunning: true });
  expect(notOk(check)).toContainEqual({
    area: last,
    state: "unchecked",
    what: "trainable.safetensors differs from its checksum",
    wayOut: expect.stringContaining("the run is alive"),
  });
  expect(check.findings[1]).toMatchObject({ area: "lock", state: "ok", what: expect.stringContaining("in use by") });
  expect(await readdir(run)).toEqual(expect.arrayContaining(["lock", ".model.abc.partial"]));
});

test("data that are gone are not checked, others are named", async () => {
  const run = await copyOf(stopped, "no-data");
  const config = JSON.parse(await readFile(at(run, "config.resolved.json"), "utf8"));
  const withData = (data: string): Promise<void> =>
    writeFile(at(run, "config.resolved.json"), JSON.stringify({ ...config, data: at(folder, data) }));
  await withData("gone.txt");
  const gone = await checkRun(run);
  expect(notOk(gone)).toEqual([expect.objectContaining({ area: "data", state: "unchecked" })]);
  expect(notOk(gone)[0]!.what).toMatch(/^not checked: .*gone\.txt/);
  await writeFile(at(folder, "else.txt"), animalText().replaceAll("cat", "cow"));
  await withData("else.txt");
  expect(notOk(await checkRun(run))).toEqual([expect.objectContaining({ area: "data", state: "damaged" })]);
});

test("a finished model is compared with its checksums when it is loaded; folders without them load", async () => {
  const run = await copyOf(finished, "loaded");
  for (const name of ["base", "model", "adapter"]) await rm(at(run, `${name}/checksums.json`));
  await loadTarget(run, { base: null, adapter: true });
  const check = await checkRun(run);
  expect(check.state).toBe("ok");
  expect(
    notOk(check)
      .map(({ area, state }) => `${area} ${state}`)
      .sort(),
  ).toEqual(["adapter unchecked", "base unchecked", "model unchecked"]);
  const damaged = await copyOf(finished, "not-loaded");
  await appendFile(at(damaged, "model/tokenizer.json"), " ");
  const loading = loadTarget(damaged, { base: null, adapter: true });
  await expect(loading).rejects.toThrow(CheckpointError);
  await expect(loading).rejects.toThrow(
    /model is damaged \(highrank resume .* writes it again\): tokenizer\.json differs/,
  );
});

test("a folder that is no run is named as that", async () => {
  await expect(checkRun(folder)).rejects.toThrow(CheckpointError);
  await expect(checkRun(folder)).rejects.toThrow(/holds no run/);
});
