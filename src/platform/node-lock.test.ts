import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeEach, expect, test } from "vitest";
import { CheckpointError, ConfigError } from "../base/errors.js";
import { acquireLock } from "./node.js";
import { builtModule } from "./node-modules.js";

let folder = "";
let file = "";
const folders: string[] = [];
beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "highrank-lock-"));
  file = path.join(folder, "run.lock");
  folders.push(folder);
});
afterAll(async () => Promise.all(folders.map((one) => rm(one, { recursive: true }))));

const MODULE = builtModule(new URL("./node-lock.ts", import.meta.url)).href;

/** Tries to take the lock whenever told to on its input, reports the result, and holds it until it is killed. */
const TAKER = `
  import { acquireLock } from ${JSON.stringify(MODULE)};
  process.stdin.on("data", async () => {
    const said = await acquireLock(process.argv[1]).then(
      (lock) => ({ takenOverFrom: lock.takenOverFrom }),
      (error) => ({ error: error.name + ": " + error.message }),
    );
    console.log(JSON.stringify(said));
  });
  console.log("ready");`;

interface Taker {
  readonly child: ChildProcess;
  /** Makes it try to take the lock, and returns the result. */
  take(): Promise<{ takenOverFrom?: string | null; error?: string }>;
  kill(): Promise<void>;
}

async function startTaker(): Promise<Taker> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", TAKER, file], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe("ready");
  return {
    child,
    take: async () => {
      child.stdin.write("go\n");
      return JSON.parse((await lines.next()).value);
    },
    kill: async () => {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

/** Leaves a lock as a process that is gone would have. */
async function leaveLock(changes: Readonly<Record<string, unknown>>, age = 0): Promise<void> {
  const holder = { pid: process.pid, host: os.hostname(), processStart: null, since: "2026-01-02T03:04:05.000Z" };
  await writeFile(file, JSON.stringify({ ...holder, ...changes }));
  const changed = Date.now() / 1000 - age;
  await utimes(file, changed, changed);
}

test("a lock names its holder, keeps this process out as well, and is free after its release", async () => {
  const lock = await acquireLock(file);
  expect(lock.takenOverFrom).toBeNull();
  const { pid, host, since } = JSON.parse(await readFile(file, "utf8"));
  expect([pid, host]).toEqual([process.pid, os.hostname()]);
  const second = acquireLock(file);
  await expect(second).rejects.toThrow(ConfigError);
  await expect(second).rejects.toThrow(`${folder} is in use by this process (${process.pid}) since ${since}; wait`);
  await lock.release();
  expect(await readdir(folder)).toEqual([]);
  expect((await acquireLock(file)).takenOverFrom).toBeNull();
});

test("a release removes no other lock, and a second release does nothing", async () => {
  const first = await acquireLock(file);
  await leaveLock({ pid: 1 });
  await first.release();
  expect(await readdir(folder)).toEqual(["run.lock"]);
  await rm(file);
  const second = await acquireLock(file);
  await first.release();
  expect(await readdir(folder)).toEqual(["run.lock"]);
  await second.release();
});

test("a living process keeps its lock; killed, it loses it", async () => {
  const taker = await startTaker();
  expect(await taker.take()).toEqual({ takenOverFrom: null });
  await expect(acquireLock(file)).rejects.toThrow(`${folder} is in use by process ${taker.child.pid} since 2`);
  await taker.kill();
  const { takenOverFrom } = await acquireLock(file);
  expect(takenOverFrom).toContain(`process ${taker.child.pid} on host ${os.hostname()}, started 2`);
  expect(await readdir(folder)).toEqual(["run.lock"]);
});

test("only one of several processes that find a dead holder at the same time gets the lock", async () => {
  const takers = await Promise.all(Array.from({ length: 6 }, startTaker));
  let holder: Taker | undefined;
  // Each round is about the lock left by the winner of the round before.
  while (takers.length > 0) {
    const results = await Promise.all(takers.map((taker) => taker.take()));
    const [winner, ...others] = [...results.keys()].filter((index) => results[index]!.error === undefined);
    expect(others).toEqual([]);
    const { takenOverFrom } = results[winner!]!;
    if (holder === undefined) expect(takenOverFrom).toBeNull();
    else expect(takenOverFrom).toContain(`process ${holder.child.pid} on`);
    for (const { error } of results.toSpliced(winner!, 1)) {
      expect(error).toContain(`ConfigError: ${folder} is in use by process`);
    }
    [holder] = takers.splice(winner!, 1);
    expect(JSON.parse(await readFile(file, "utf8")).pid).toBe(holder!.child.pid);
    await holder!.kill();
  }
  expect(await readdir(folder)).toEqual(["run.lock"]);
});

test("a pid that another process has now does not count as the holder", async () => {
  await leaveLock({ processStart: "1" });
  expect((await acquireLock(file)).takenOverFrom).toContain("started 2026-01-02T03:04:05.000Z");
});

test("a holder on another host is not judged from here", async () => {
  await leaveLock({ pid: 7, host: "elsewhere" });
  await expect(acquireLock(file)).rejects.toThrow(
    new ConfigError(
      `${folder} is in use by process 7 on host elsewhere since 2026-01-02T03:04:05.000Z; choose another folder, or, ` +
        `if that process is gone, delete ${file}`,
    ),
  );
});

test.each(["another boot", "another name space"])(
  "a holder of %s with this host's name is not judged from here",
  async (what) => {
    const lock = await acquireLock(file);
    const { scope } = JSON.parse(await readFile(file, "utf8"));
    expect(scope).toMatch(/^[0-9a-f-]{36} pid:\[\d+\]$/);
    await lock.release();
    const other = what === "another boot" ? scope.replace(/^[0-9a-f]{8}/, "00000000") : scope.replace(/\d+\]$/, "1]");
    for (const gone of [{ pid: 2 ** 30 }, { processStart: "1" }]) {
      await leaveLock({ ...gone, scope: other });
      const { since } = JSON.parse(await readFile(file, "utf8"));
      await expect(acquireLock(file)).rejects.toThrow(
        `on host ${os.hostname()} (in another container, or before a restart of the machine) since ${since}; ` +
          `choose another folder, or, if that process is gone, delete ${file}`,
      );
      await leaveLock({ ...gone, scope });
      await (await acquireLock(file)).release();
    }
  },
);

const SEPARATE = ["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"];
const hasNameSpaces = spawnSync("unshare", [...SEPARATE, "true"]).status === 0;
if (!hasNameSpaces) console.warn("SKIPPED: the test with a PID name space needs Linux that lets users make one");

test.runIf(hasNameSpaces)(
  "a process in a PID name space of its own does not take over what it cannot see",
  async () => {
    const lock = await acquireLock(file);
    const script = `import { acquireLock } from ${JSON.stringify(MODULE)}; await acquireLock(process.argv[1]);`;
    const node = [process.execPath, "--input-type=module", "-e", script, file];
    const { status, stderr } = spawnSync("unshare", [...SEPARATE, ...node], { encoding: "utf8" });
    expect(stderr).toContain("in another container");
    expect(status).toBe(1);
    await lock.release();
  },
);

test.each(["", "{", "null", '{"pid":"7"}'])("a lock file that holds %j is taken over when it is old", async (text) => {
  await writeFile(file, text);
  await expect(acquireLock(file)).rejects.toThrow("try again in a few seconds");
  const changed = Date.now() / 1000 - 60;
  await utimes(file, changed, changed);
  expect((await acquireLock(file)).takenOverFrom).toMatch(
    /^an unknown process \(its lock file of 2.* cannot be read\)$/,
  );
});

test("a take-over that was interrupted itself is taken over", async () => {
  await leaveLock({ processStart: "1" });
  await writeFile(`${file}.takeover`, await readFile(file));
  expect((await acquireLock(file)).takenOverFrom).toContain("started 2026");
  expect(await readdir(folder)).toEqual(["run.lock"]);
});

test("a missing folder, or a folder in place of the lock, is reported", async () => {
  await expect(acquireLock(path.join(folder, "missing", "run.lock"))).rejects.toThrow(CheckpointError);
  await expect(acquireLock(folder)).rejects.toThrow("is no file");
});

test("a folder or a pipe in the place of a lock is told with a way out, and stays", async () => {
  const taken = {
    name: "ConfigError",
    message: `${file} is no file, and a lock is to have this name; move it elsewhere`,
  };
  await mkdir(file);
  await expect(acquireLock(file)).rejects.toMatchObject(taken);
  expect(await readdir(folder)).toEqual(["run.lock"]);
  await rm(file, { recursive: true });
  if (spawnSync("mkfifo", [file]).status !== 0) return;
  await expect(acquireLock(file)).rejects.toMatchObject(taken);
});
