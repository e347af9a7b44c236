import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { acquireLock, type Lock } from "#platform";
import { HighrankError } from "../../src/base/errors.js";
import { type FaultOptions, installFaults } from "./faults.mjs";

let folder = "";
let file = "";
const folders: string[] = [];
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "highrank-lock-faults-"));
  file = path.join(folder, "run.lock");
  folders.push(folder);
});
afterAll(async () => Promise.all(folders.map((one) => rm(one, { recursive: true }))));

/** Takes the lock with faults installed, and releases it without; the number of calls. */
async function lockWith(options: Omit<FaultOptions, "folder">): Promise<number> {
  const { calls, remove } = installFaults({ folder, ...options });
  let lock: Lock | undefined;
  try {
    lock = await acquireLock(file);
  } catch (error) {
    expect(error).toBeInstanceOf(HighrankError);
  } finally {
    remove();
  }
  await lock?.release();
  return calls.length;
}

const leaveNothing = async (): Promise<void> => {};
const leaveDeadHolder = (): Promise<void> =>
  writeFile(file, JSON.stringify({ pid: process.pid, host: os.hostname(), processStart: "1", since: "2026" }));

test.each([
  ["a free lock", leaveNothing],
  ["the lock of a dead holder", leaveDeadHolder],
])("no fault on the way to %s leaves it taken", async (_, prepare) => {
  await prepare();
  const calls = await lockWith({});
  expect(calls).toBeGreaterThan(2);
  for (const when of ["before", "after"] as const) {
    for (let at = 1; at <= calls; at++) {
      await prepare();
      await lockWith({ at, when });
      await (await acquireLock(file)).release();
      expect(await readdir(folder)).not.toContain("run.lock");
      // What could not be removed stays as long as this process lives.
      await rm(`${file}.takeover`, { force: true });
    }
  }
});

test("a disk that becomes read-only is said of the folder, and a lock that stays hides no other error", async () => {
  const lock = await acquireLock(file);
  const { remove } = installFaults({ folder, kinds: ["create", "link", "rm"], at: 1, mode: "dead", code: "EROFS" });
  try {
    await lock.release();
    expect(await readdir(folder)).toEqual(["run.lock"]);
    await expect(acquireLock(`${file}.other`)).rejects.toThrow(`cannot write ${folder}: the file system is read-only`);
  } finally {
    remove();
  }
  await lock.release();
  expect(await readdir(folder)).not.toContain("run.lock");
});

test("a lock holds where the file system has no links", async () => {
  for (const dead of [false, true]) {
    if (dead) await leaveDeadHolder();
    const { remove } = installFaults({ folder, kinds: ["link"], at: 1, mode: "dead", code: "EPERM" });
    try {
      const lock = await acquireLock(file);
      expect(lock.takenOverFrom === null).toBe(!dead);
      await expect(acquireLock(file)).rejects.toThrow(`${folder} is in use by this process`);
      await lock.release();
    } finally {
      remove();
    }
    expect(await readdir(folder)).toEqual([]);
  }
});
