// Ranks of a job train together to the bits of one process. Here they are tasks of this process, which share its
// memory but nothing that they compute; tests/*.mpi.test.ts has processes.
import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { resolveSettings } from "../src/config/resolve.js";
import type { Settings } from "../src/config/settings.js";
import { TreeCollective } from "../src/distributed/tree-collective.js";
import { resume } from "../src/training/resume.js";
import { train } from "../src/training/train.js";
import { asRanks } from "./ranks.js";
import { runContents } from "./run-contents.js";
import { SMALL_RUN } from "./small-run.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-ranks-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const FOUR = { ...SMALL_RUN, batchSize: 1, totalBatchSize: 4, threads: 1 };
const RUNS: Record<string, Partial<Settings>> = {
  "a ReLoRA run with a warm start, dropout and trained embeddings": FOUR,
  "a run on NF4 with two merges": { ...FOUR, quantize: "nf4", maxSteps: 7, warmStartSteps: 0, trainModules: [] },
  "cores that start in gradients": { ...FOUR, adapterKind: "core", maxSteps: 6, warmStartSteps: 0 },
};

function settingsOf(run: Partial<Settings>, out: string) {
  return resolveSettings({ flags: { ...run, out } });
}

const placeOf = (words: string): string => path.join(folder, words.replaceAll(" ", "-"));

for (const [name, run] of Object.entries(RUNS)) {
  test(`${name} is the same on 1, 2 and 4 ranks`, { timeout: 300_000 }, async () => {
    const alone = placeOf(`${name} alone`);
    await train(settingsOf(run, alone));
    const expected = await runContents(alone);
    for (const size of [2, 4]) {
      const out = placeOf(`${name} on ${size}`);
      const results = await asRanks(size, (ranks) => train(settingsOf(run, out), { ranks }));
      expect(results.map(({ outcome }) => outcome)).toEqual(results.map(() => "done"));
      expect(await runContents(out)).toEqual(expected);
    }
  });
}

test("a run goes on with another number of ranks as if it had not changed", { timeout: 300_000 }, async () => {
  const [out, alone] = [placeOf("stopped"), placeOf("unbroken")];
  await asRanks(4, (ranks) => train(settingsOf(FOUR, out), { ranks, untilStep: 5 }));
  await asRanks(2, (ranks) => resume(out, {}, { ranks, untilStep: 8 }));
  await resume(out);
  await train(settingsOf(FOUR, alone));
  expect(await runContents(out)).toEqual(await runContents(alone));
});

test("ranks that do not see the run folder keep their own copies, and leave nothing", {
  timeout: 300_000,
}, async () => {
  const [out, alone, scratch] = [placeOf("unseen"), placeOf("unbroken NF4"), placeOf("scratch")];
  const run = { ...FOUR, quantize: "nf4", scratch } as const;
  const seen: string[][] = [];
  await asRanks(2, (ranks) => train(settingsOf(run, out), { ranks, untilStep: 8 }));
  await asRanks(2, (ranks) => {
    // Each rank of a job on several machines has the folder by the same name.
    const onRecord = ({ kind }: { kind: string }): void => {
      if (kind === "merge") seen.push(readdirSync(scratch));
    };
    return resume(out, {}, { ranks, onRecord });
  });
  expect(seen[0]).toEqual(["highrank-unseen-rank-1"]);
  expect(readdirSync(scratch)).toEqual([]);
  await train(settingsOf({ ...run, scratch: null }, alone));
  const { "config.resolved.json": _, ...contents } = await runContents(out);
  expect(await runContents(alone)).toMatchObject(contents);
});

test("a rank that is asked to stop stops all after the same step", { timeout: 120_000 }, async () => {
  const out = placeOf("asked");
  const results = await asRanks(2, (ranks) => {
    let steps = 0;
    const onRecord = ({ kind }: { kind: string }): void => {
      if (kind === "step") steps++;
    };
    return train(settingsOf(FOUR, out), { ranks, onRecord, stopRequested: () => ranks.rank === 1 && steps === 2 });
  });
  expect(results.map(({ outcome, step }) => [outcome, step])).toEqual([
    ["stopped", 2],
    ["stopped", 2],
  ]);
});

test("ranks that do not fit together are told apart before anything is written", { timeout: 120_000 }, async () => {
  const out = placeOf("unlike");
  const unlike = asRanks(2, (ranks) => train(settingsOf({ ...FOUR, seed: ranks.rank }, out), { ranks }));
  await expect(unlike).rejects.toThrow(/^rank 1: another value of seed than rank 0$/);
  const uneven = asRanks(3, (ranks) => train(settingsOf({ ...FOUR, totalBatchSize: 6, batchSize: 3 }, out), { ranks }));
  await expect(uneven).rejects.toThrow(/^batchSize: 3: an update has 2 micro-batches, which 3 ranks.*batchSize: 2$/);
  expect(existsSync(out)).toBe(false);
});

/** Ranks of which the second gets one entry of one sum wrong. */
class Damaged extends TreeCollective {
  #sums = 0;

  override async sum(values: Float32Array | Float64Array): Promise<void> {
    await super.sum(values);
    if (this.rank === 1 && values instanceof Float32Array && ++this.#sums === 2) values[5] = values[5]! + 2 ** -20;
  }
}

test("a rank whose weights have become others is named at the next save", { timeout: 120_000 }, async () => {
  const out = placeOf("damaged");
  const run = asRanks(2, (ranks) => train(settingsOf(FOUR, out), { ranks }), Damaged);
  await expect(run).rejects.toThrow(/^rank 1: other weights than rank 0 after step \d+;/);
});
