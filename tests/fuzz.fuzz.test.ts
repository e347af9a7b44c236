import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, test } from "vitest";
import { type AllocationGuard, guardAllocations } from "./fuzz/allocation-guard.js";
import { CaseRunner } from "./fuzz/case.js";
import { expectErrorsOfOurOwn } from "./fuzz/expect-errors-of-our-own.js";
import { TARGETS } from "./fuzz/targets.js";

let folder = "";
let guard: AllocationGuard | undefined;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-fuzz-"));
});
afterEach(() => guard?.remove());
afterAll(async () => rm(folder, { recursive: true }));

test.each(TARGETS.map((target) => [target.name, target] as const))(
  "whatever is done 2,000 times to its files, %s gives errors of our own or none",
  { timeout: 1_200_000 },
  async (_, target) => {
    guard = guardAllocations();
    const runner = await CaseRunner.prepare(target, await mkdtemp(path.join(folder, "target-")), guard);
    await expectErrorsOfOurOwn(runner, 2000);
  },
);
