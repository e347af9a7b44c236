import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { DataError } from "../src/base/errors.js";
import { type AllocationGuard, guardAllocations } from "./fuzz/allocation-guard.js";
import { runCampaign } from "./fuzz/campaign.js";
import { CaseRunner } from "./fuzz/case.js";
import { expectErrorsOfOurOwn } from "./fuzz/expect-errors-of-our-own.js";
import type { FuzzTarget } from "./fuzz/target.js";
import { TARGETS } from "./fuzz/targets.js";

let folder = "";
let guard: AllocationGuard | undefined;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-fuzz-"));
});
afterEach(() => guard?.remove());
afterAll(async () => rm(folder, { recursive: true }));

async function prepare(target: FuzzTarget): Promise<CaseRunner> {
  guard = guardAllocations();
  return CaseRunner.prepare(target, await mkdtemp(path.join(folder, "target-")), guard);
}

/** The suite `fuzz` runs more of them, and `npm run fuzz` still more, each with a watchdog. */
test.each(TARGETS.map((target) => [target.name, target] as const))(
  "whatever is done to its files, %s gives errors of our own or none",
  async (_, target) => expectErrorsOfOurOwn(await prepare(target), 40),
);

const fake = (run: () => void): FuzzTarget => ({
  name: "fake",
  sources: [],
  writeSamples: async (samples) => {
    await mkdir(path.join(samples, "one"), { recursive: true });
    await writeFile(path.join(samples, "one", "a.txt"), "text");
  },
  run: async () => run(),
});

test.each([
  ["an error of no class of ours", () => void (undefined as unknown as string).length, "TypeError"],
  ["an array that the file could not fill", () => void new Float32Array(2 ** 26), "bytes of arrays"],
  ["many arrays, one after another", () => void Array.from({ length: 500 }, () => new Uint8Array(2 ** 20)), "arrays"],
  ["an array too large, its error caught", () => hidden(() => new Uint8Array(2 ** 33)), "bytes of arrays"],
])("%s is a finding", async (_, run, message) => {
  const result = await (await prepare(fake(run))).run(1);
  expect(result.outcome).toBe("finding");
  expect(result.message).toContain(message);
});

function hidden(allocate: () => unknown): void {
  try {
    allocate();
  } catch {
    throw new DataError("too large");
  }
}

test("a case is the same each time it runs", async () => {
  const runner = await prepare(TARGETS[0]!);
  const first = [await runner.run(7), await runner.run(8)];
  expect([await runner.run(7), await runner.run(8)].map(({ outcome, message }) => [outcome, message])).toEqual(
    first.map(({ outcome, message }) => [outcome, message]),
  );
});

test("a child that hangs or dies is a finding with its seed, and the next case goes on", async () => {
  const child = path.join(folder, "child.mjs");
  await writeFile(
    child,
    `const [, seed, cases] = process.argv.slice(2).map(Number);
    for (let i = seed; i < seed + cases; i++) {
      process.send({ kind: "start", seed: i });
      if (i === 2) for (;;);
      if (i === 3) process.exit(9);
      if (i === 4) { const held = []; for (;;) held.push(new Array(10000).fill(i)); }
      process.send({ kind: "result", result: { seed: i, outcome: "accepted", message: "", cpuSeconds: 0, arrayBytes: 0 } });
    }
    process.send({ kind: "end", sites: [], peakBytes: 0 });
    process.disconnect();`,
  );
  const options = { target: "x", seed: 1, cases: 5, child, silenceSeconds: 5, heapMegabytes: 32 };
  const { cases, accepted, findings } = await runCampaign(options);
  expect([cases, accepted]).toEqual([5, 2]);
  expect(findings.map(({ seed }) => seed)).toEqual([2, 3, 4]);
  expect(findings.map(({ message }) => message)).toEqual([
    expect.stringContaining("no end after 5 s"),
    expect.stringContaining("code 9"),
    expect.stringContaining("heap out of memory"),
  ]);
});
