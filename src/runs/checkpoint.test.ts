import { createHash } from "node:crypto";
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { recoverReplaced } from "#platform";
import { CheckpointError } from "../base/errors.js";
import type { HostTensor } from "../tensor/dtype.js";
import {
  listCheckpoints,
  markBest,
  pruneCheckpoints,
  readCheckpoint,
  verifyCheckpoint,
  writeCheckpoint,
} from "./checkpoint.js";

let run = "";
const runs: string[] = [];
beforeEach(async () => {
  run = await mkdtemp(path.join(tmpdir(), "highrank-run-"));
  runs.push(run);
});
afterAll(async () => Promise.all(runs.map((one) => rm(one, { recursive: true }))));

const vector = (...values: number[]): HostTensor => ({
  dtype: "float32",
  shape: [values.length],
  data: new Float32Array(values),
});
const content = (value: number) => ({
  state: { cycle: value, loss: 0.1 + value, cursor: { document: 3, offset: 5 } },
  tensorFiles: { trainable: new Map([["a", vector(value)]]), optimizer: new Map([["a/m", vector(value, 1)]]) },
  folders: {
    adapter: async (folder: string) => {
      await mkdir(folder);
      await writeFile(path.join(folder, "adapter_config.json"), "{}");
    },
  },
});
const text = (...parts: string[]) => readFile(path.join(run, ...parts), "utf8");

test("a checkpoint reads back what was written, by number and through last and best", async () => {
  expect(await writeCheckpoint(run, 100, content(1))).toBe(path.join(run, "checkpoint-000100"));
  await markBest(run, 100);
  await writeCheckpoint(run, 200, content(2));
  for (const [which, step, value] of [
    [100, 100, 1],
    ["best", 100, 1],
    [200, 200, 2],
    ["last", 200, 2],
  ] as const) {
    const { state, tensorFiles } = content(value);
    expect(await readCheckpoint(run, which)).toEqual({
      step,
      folder: path.join(run, `checkpoint-000${step}`),
      state: { ...state, schemaVersion: 1, step },
      tensorFiles,
    });
  }
  expect([await text("last"), await text("best")]).toEqual(["checkpoint-000200\n", "checkpoint-000100\n"]);
});

test("every file has its SHA-256 in checksums.json", async () => {
  await writeCheckpoint(run, 7, content(1));
  const checksums = JSON.parse(await text("checkpoint-000007", "checksums.json"));
  expect(Object.keys(checksums).sort()).toEqual([
    "adapter/adapter_config.json",
    "optimizer.safetensors",
    "state.json",
    "trainable.safetensors",
  ]);
  for (const [file, sum] of Object.entries(checksums)) {
    const bytes = await readFile(path.join(run, "checkpoint-000007", file));
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(sum);
  }
});

test("every damaged or missing file is named, with the checkpoints that remain", async () => {
  await writeCheckpoint(run, 1, content(1));
  await writeCheckpoint(run, 2, content(2));
  const folder = path.join(run, "checkpoint-000002");
  await appendFile(path.join(folder, "state.json"), " ");
  await rm(path.join(folder, "adapter", "adapter_config.json"));
  await writeFile(path.join(folder, "foreign.safetensors"), "");
  const read = readCheckpoint(run, "last");
  await expect(read).rejects.toThrow(CheckpointError);
  await expect(read).rejects.toThrow(
    /is damaged \(the run also has checkpoint-000001\): 3 faults\n.*adapter_config.json is missing\n.*foreign.safetensors has no checksum\n.*state.json differs/,
  );
});

test("a checkpoint whose writing fails never appears and last stays", async () => {
  await writeCheckpoint(run, 1, content(1));
  const failing = {
    ...content(2),
    folders: {
      adapter: async () => {
        throw Object.assign(new Error("write failed"), { code: "ENOSPC" });
      },
    },
  };
  await expect(writeCheckpoint(run, 2, failing)).rejects.toThrow("checkpoint-000002: the disk is full");
  const endless = { ...content(2), state: { loss: Number.POSITIVE_INFINITY } };
  await expect(writeCheckpoint(run, 2, endless)).rejects.toThrow('state.json: "loss" is Infinity');
  expect((await readdir(run)).sort()).toEqual(["checkpoint-000001", "last"]);
  expect((await readCheckpoint(run, "last")).step).toBe(1);
});

test("the newest checkpoint is the last one until the pointer is written", async () => {
  await writeCheckpoint(run, 5, content(1));
  await rm(path.join(run, "last"));
  expect((await readCheckpoint(run, "last")).step).toBe(5);
});

test("a checkpoint of the same step replaces the former", async () => {
  await writeCheckpoint(run, 5, content(1));
  await writeCheckpoint(run, 5, content(2));
  expect((await readCheckpoint(run, 5)).state.cycle).toBe(2);
  expect(await listCheckpoints(run)).toEqual([5]);
});

test("pruning keeps the newest and what last and best name, and clears leftovers of interrupted writes", async () => {
  for (const step of [1, 2, 3, 4, 1_000_000]) await writeCheckpoint(run, step, content(step));
  await markBest(run, 2);
  await mkdir(path.join(run, ".checkpoint-000009.77-0-1.partial"));
  await writeFile(path.join(run, ".metrics.jsonl.partial"), "");
  expect(await pruneCheckpoints(run, 2)).toEqual({ removed: [1, 3], others: [] });
  expect(await listCheckpoints(run)).toEqual([2, 4, 1_000_000]);
  expect((await readdir(run)).filter((name) => name.startsWith("."))).toEqual([".metrics.jsonl.partial"]);
  expect(await pruneCheckpoints(run, 0)).toEqual({ removed: [4], others: [] });
  expect((await readCheckpoint(run, "best")).step).toBe(2);
});

test("a checkpoint with a file of the user's is neither pruned nor replaced, and the file is named", async () => {
  for (const step of [1, 2, 3]) await writeCheckpoint(run, step, content(step));
  const note = path.join("checkpoint-000001", "notes.md");
  await writeFile(path.join(run, note), "mine");
  expect(await pruneCheckpoints(run, 1)).toEqual({ removed: [2], others: ["checkpoint-000001/notes.md"] });
  await expect(writeCheckpoint(run, 1, content(4))).rejects.toThrow(
    /checkpoint-000001: it holds notes.md, which others/,
  );
  expect(await text(note)).toBe("mine");
  await rm(path.join(run, note));
  expect(await pruneCheckpoints(run, 1)).toEqual({ removed: [1], others: [] });
});

test("nothing is pruned as long as the newest checkpoint is damaged", async () => {
  for (const step of [1, 2, 3]) await writeCheckpoint(run, step, content(step));
  await verifyCheckpoint(run, 3);
  await appendFile(path.join(run, "checkpoint-000003", "trainable.safetensors"), "x");
  await expect(verifyCheckpoint(run, 3)).rejects.toThrow("trainable.safetensors differs from its checksum");
  await expect(pruneCheckpoints(run, 1)).rejects.toThrow(
    "checkpoint-000003 is damaged (the run also has checkpoint-000001, checkpoint-000002)",
  );
  expect(await listCheckpoints(run)).toEqual([1, 2, 3]);
});

test("a pruned checkpoint does not come back as what it had replaced", async () => {
  for (const step of [1, 2]) await writeCheckpoint(run, step, content(step));
  await mkdir(path.join(run, ".checkpoint-000001.aaaaaaaaaaaa.previous"));
  await mkdir(path.join(run, ".checkpoint-000002.aaaaaaaaaaaa.previous"));
  expect(await pruneCheckpoints(run, 1)).toEqual({ removed: [1], others: [] });
  expect(await recoverReplaced(run)).toEqual([]);
  expect((await readdir(run)).sort()).toEqual(["checkpoint-000002", "last"]);
});

test("a pointer that names no checkpoint, a missing one and an unknown layout are explained", async () => {
  await expect(readCheckpoint(run, "last")).rejects.toThrow("has saved no checkpoint of that kind");
  await expect(readCheckpoint(run, 3)).rejects.toThrow("checkpoint-000003 does not exist; the run has no other");
  await expect(markBest(run, 3)).rejects.toThrow("has no checkpoint-000003");
  await writeFile(path.join(run, "best"), "../../etc\n");
  await expect(readCheckpoint(run, "best")).rejects.toThrow(
    'must name a checkpoint, as checkpoint-000100, not "../../etc"',
  );
  const folder = await writeCheckpoint(run, 3, content(1));
  const state = '{"schemaVersion":2,"step":3}';
  await writeFile(path.join(folder, "state.json"), state);
  const checksums = JSON.parse(await text("checkpoint-000003", "checksums.json"));
  checksums["state.json"] = createHash("sha256").update(state).digest("hex");
  await writeFile(path.join(folder, "checksums.json"), JSON.stringify(checksums));
  await expect(readCheckpoint(run, 3)).rejects.toThrow("schemaVersion must be 1 and step 3, not 2 and 3");
});
