import { cp, mkdir, mkdtemp, open, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { recoverReplaced } from "#platform";
import { HighrankError } from "../../src/base/errors.js";
import { checksumFaults } from "../../src/files/checksums.js";
import { appendDelta, type Delta, readDeltas, truncateDeltas } from "../../src/relora/delta-log.js";
import {
  type CheckpointContent,
  listCheckpoints,
  markBest,
  pruneCheckpoints,
  readCheckpoint,
  verifyCheckpoint,
  writeCheckpoint,
} from "../../src/runs/checkpoint.js";
import type { HostTensor } from "../../src/tensor/dtype.js";
import { type Call, type CallKind, type FaultOptions, installFaults } from "./faults.mjs";
import { PowerCut } from "./power-cut.js";

let home = "";
beforeAll(async () => {
  home = await mkdtemp(path.join(tmpdir(), "highrank-save-"));
});
afterAll(async () => rm(home, { recursive: true }));

const matrix = (rows: number, columns: number, value: number): HostTensor => ({
  dtype: "float32",
  shape: [rows, columns],
  data: new Float32Array(rows * columns).fill(value),
});
const content = (value: number, folders: CheckpointContent["folders"] = {}): CheckpointContent => ({
  state: { cycle: value },
  tensorFiles: { trainable: new Map([["a", matrix(4, 8, value)]]) },
  folders,
});
/** Leaves it to others to sync what it writes. */
const adapter = async (folder: string) => {
  await mkdir(folder);
  const handle = await open(path.join(folder, "adapter_config.json"), "w");
  try {
    await handle.write(new TextEncoder().encode("{}"));
  } finally {
    await handle.close();
  }
};
const delta = (cycle: number): Delta => ({
  cycle,
  step: cycle,
  scaling: 1,
  layers: new Map([["q_proj", { loraA: matrix(2, 3, cycle), loraB: matrix(4, 2, cycle) }]]),
});

/** What a run does when it saves. */
interface Saving {
  /** The step that is saved, after a first checkpoint and delta of step 1. */
  readonly step: number;
  readonly save: (run: string) => Promise<void>;
}

const SAVINGS: Readonly<Record<string, Saving>> = {
  "the next checkpoint": {
    step: 2,
    save: async (run) => {
      await appendDelta(run, delta(2));
      await writeCheckpoint(run, 2, content(2, { adapter }));
      await markBest(run, 2);
      await pruneCheckpoints(run, 1);
    },
  },
  "a checkpoint over one of the same step": {
    step: 1,
    save: async (run) => {
      await writeCheckpoint(run, 1, content(2));
    },
  },
};

let runs = 0;
/** A run folder with one checkpoint and one delta. */
async function startedRun(): Promise<string> {
  const template = path.join(home, "template");
  if (runs++ === 0) {
    await mkdir(template);
    await appendDelta(template, delta(1));
    await writeCheckpoint(template, 1, content(1));
    await markBest(template, 1);
  }
  const run = path.join(home, `run-${runs}`);
  await cp(template, run, { recursive: true });
  return run;
}

type Faulty = Omit<FaultOptions, "folder">;

/** Saves with faults installed. */
async function saveWith(
  run: string,
  { save }: Saving,
  options: Faulty,
): Promise<{ calls: readonly Call[]; error?: unknown }> {
  const { calls, remove } = installFaults({ folder: run, ...options });
  try {
    await save(run);
    return { calls };
  } catch (error) {
    return { calls, error };
  } finally {
    remove();
  }
}

/** What is to be done before a run goes on. */
async function recover(run: string): Promise<void> {
  for (const folder of [run, path.join(run, "deltas")]) await recoverReplaced(folder);
  const left = (await readdir(run, { recursive: true })).filter((name) => path.basename(name).startsWith("."));
  expect(left).toEqual([]);
}

/** Whether the run is as after saving, or as before; everything in it must be whole. */
async function isSaved(run: string, { step }: Saving): Promise<boolean> {
  const last = await readCheckpoint(run, "last");
  const saved = last.state.cycle === 2;
  const { state, tensorFiles } = content(saved ? 2 : 1);
  const lastStep = saved ? step : 1;
  expect([last.step, last.state, last.tensorFiles]).toEqual([
    lastStep,
    { ...state, schemaVersion: 1, step: lastStep },
    tensorFiles,
  ]);
  const steps = await listCheckpoints(run);
  for (const each of steps) if (each !== lastStep) await verifyCheckpoint(run, each);
  expect(steps.map((each) => `checkpoint-00000${each}\n`)).toContain(await readFile(path.join(run, "best"), "utf8"));
  const deltas = [];
  for await (const each of readDeltas(run)) deltas.push(each);
  expect(deltas).toEqual([delta(1), delta(2)].slice(0, deltas.length));
  expect(deltas.length).toBeGreaterThanOrEqual(lastStep);
  return saved;
}

/** Saves with faults, looks at what they left after `then` and a recovery, and saves again without faults. */
async function check(
  saving: Saving,
  options: Faulty,
  then: (run: string) => Promise<void> = async () => {},
): Promise<void> {
  const run = await startedRun();
  const { error } = await saveWith(run, saving, options);
  if (error !== undefined) expect(error).toBeInstanceOf(HighrankError);
  for (const name of await readdir(run)) {
    if (name.endsWith(".previous")) expect(await checksumFaults(path.join(run, name))).toEqual([]);
  }
  // A process that goes on needs no recovery to read what it has.
  if (options.mode !== "dead") await isSaved(run, saving);
  await then(run);
  await recover(run);
  const saved = await isSaved(run, saving);
  if (error === undefined) expect(saved).toBe(true);
  await truncateDeltas(run, 1);
  await saving.save(run);
  await recover(run);
  expect(await isSaved(run, saving)).toBe(true);
  await rm(run, { recursive: true });
}

/** How one call may go wrong. */
type Variant = Omit<Faulty, "at" | "observe"> & {
  readonly kinds: readonly CallKind[];
  /** Only those kinds go wrong from then on. */
  readonly only?: boolean;
};

/** Checks every call of the variant's kinds; the number of cases. */
async function checkEvery(saving: Saving, { kinds, only = false, ...options }: Variant): Promise<number> {
  const seen = only ? { kinds } : {};
  const { calls } = await saveWith(await startedRun(), saving, seen);
  let cases = 0;
  for (const [index, { kind, path: place }] of calls.entries()) {
    if (!kinds.includes(kind)) continue;
    cases++;
    await check(saving, { ...options, ...seen, at: index + 1 }).catch((error: unknown) => {
      throw new Error(`${JSON.stringify(options)} at call ${index + 1}, ${kind} ${place}`, { cause: error });
    });
  }
  return cases;
}

const READS: readonly CallKind[] = ["open", "read", "readdir", "stat"];
const CHANGES: readonly CallKind[] = ["create", "write", "sync", "mkdir", "rename", "rm"];

describe.each(Object.entries(SAVINGS))("saving %s", (_, saving) => {
  test.each<[string, Variant]>([
    ["a write that fails", { kinds: ["create", "write", "mkdir"], code: "ENOSPC" }],
    ["a write that stops halfway", { kinds: ["write"], when: "half", code: "EDQUOT" }],
    ["a sync or close that fails", { kinds: ["sync", "close"], code: "EIO" }],
    ["a rename or removal that is refused", { kinds: ["rename", "rm"], code: "EACCES" }],
    ["a change that is made and fails", { kinds: ["create", "sync", "mkdir", "rename", "rm"], when: "after" }],
    ["a removal that stops halfway", { kinds: ["rm"], when: "half" }],
    [
      "a disk that stays full",
      { kinds: ["create", "write", "sync", "mkdir"], mode: "dead", code: "ENOSPC", only: true },
    ],
    ["a disk that turns read-only", { kinds: CHANGES, mode: "dead", code: "EROFS", only: true }],
    ["a read that fails", { kinds: READS }],
    ["a read that stops halfway", { kinds: ["read"], when: "half" }],
    ["a kill", { kinds: CHANGES, mode: "dead" }],
    ["a kill halfway", { kinds: ["write", "rm"], mode: "dead", when: "half" }],
  ])("survives %s, at every call", async (_, variant) => {
    expect(await checkEvery(saving, variant)).toBeGreaterThan(0);
  });

  test.each(["content", "content and names"] as const)(
    "survives a power cut that loses %s since the last sync, at every call",
    async (lost) => {
      const { calls } = await saveWith(await startedRun(), saving, {});
      for (const [index, { kind, path: place }] of calls.entries()) {
        if (!CHANGES.includes(kind)) continue;
        const disk = await PowerCut.watch(home);
        const options: Faulty = { at: index + 1, mode: "dead", when: "after", observe: disk.observe };
        await check(saving, options, () => disk.cut(lost)).catch((error: unknown) => {
          throw new Error(`power cut after call ${index + 1}, ${kind} ${place}`, { cause: error });
        });
      }
    },
  );
});
