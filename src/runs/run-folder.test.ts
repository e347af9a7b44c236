import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { installFaults } from "../../tests/file-faults/faults.mjs";
import { ConfigError } from "../base/errors.js";
import { completeSettings, resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { writeChecksums } from "../files/checksums.js";
import { checkRun } from "../verbs/doctor/check-run.js";
import { chooseRunFolder, isRunFolder, RunFolder, readRunSettings } from "./run-folder.js";

let out = "";
beforeEach(async () => {
  out = path.join(await mkdtemp(path.join(tmpdir(), "highrank-folder-")), "run");
});
afterEach(() => rm(path.dirname(out), { recursive: true }));

const settings = (change: Partial<Settings> = {}): Settings =>
  completeSettings(resolveSettings({ flags: { model: "tiny", out, ...change } }));

async function finishedRun(): Promise<void> {
  const folder = new RunFolder(out);
  await folder.create(settings(), 2);
  await folder.record({ kind: "reset", step: 1, zeroedFraction: 1 });
  await folder.writeReport();
  await mkdir(path.join(out, "checkpoint-000100"));
  await writeFile(path.join(out, ".checkpoint-000200.1-0-0.partial"), "");
  await folder.release();
}

test("a folder that does not exist or is empty is taken; choosing writes nothing", async () => {
  expect(await chooseRunFolder(settings())).toBe(out);
  expect(await readdir(path.dirname(out))).toEqual([]);
  await mkdir(out);
  expect(await chooseRunFolder(settings())).toBe(out);
});

test("an earlier run is replaced only when that is asked for, and then wholly", async () => {
  await finishedRun();
  expect(await isRunFolder(out)).toBe(true);
  await expect(chooseRunFolder(settings())).rejects.toThrow(/holds a run already.*overwrite: true/);
  expect(await chooseRunFolder(settings({ overwrite: true }))).toBe(out);
  const folder = new RunFolder(out);
  await folder.create(settings({ seed: 5, overwrite: true }), 2);
  expect((await readdir(out)).sort()).toEqual(["config.resolved.json", "env.json", "lock"]);
  await folder.release();
  expect(await readdir(out)).not.toContain("lock");
  expect(await readRunSettings(out)).toMatchObject({ seed: 5, model: "tiny", out });
});

test("a run that another process has made and ended since the folder was chosen is not replaced", async () => {
  const folder = new RunFolder(await chooseRunFolder(settings()));
  await finishedRun();
  await expect(folder.create(settings({ seed: 5 }), 2)).rejects.toThrow(/holds a run already.*overwrite: true/);
  await folder.release();
  expect(await readRunSettings(out)).toMatchObject({ seed: 0 });
  expect(await readdir(out)).toContain("checkpoint-000100");
});

test("a run of a version that had a boolean for each kind of adapter keeps its kind", async () => {
  const { adapterKind: _, ...before } = settings({ method: "lora" });
  for (const [booleans, adapterKind] of [
    [{ dora: false, core: false }, "lora"],
    [{ dora: true, core: false }, "dora"],
    [{ dora: false, core: true }, "core"],
  ] as const) {
    await mkdir(out, { recursive: true });
    await writeFile(path.join(out, "config.resolved.json"), JSON.stringify({ ...before, ...booleans, out }));
    expect(await readRunSettings(out)).toEqual({ ...before, adapterKind, out });
  }
});

test("the learning rate of the adapters follows a changed one, unless it was another", async () => {
  const folder = new RunFolder(out);
  await folder.create(settings({ lr: 1e-3 }), 2);
  await folder.release();
  expect(await readRunSettings(out)).toMatchObject({ lr: 1e-3, adapterLr: 1e-3 });
  for (const name of ["lr", "learning_rate"]) {
    expect(await readRunSettings(out, { [name]: 1e-5 })).toMatchObject({ lr: 1e-5, adapterLr: 1e-5 });
  }
  expect(await readRunSettings(out, { lr: 1e-5, adapterLr: 2e-5 })).toMatchObject({ lr: 1e-5, adapterLr: 2e-5 });
  const file = path.join(out, "config.resolved.json");
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, "utf8")), adapterLr: 4e-3 }));
  expect(await readRunSettings(out, { lr: 1e-5 })).toMatchObject({ lr: 1e-5, adapterLr: 4e-3 });
});

test("what processes leave that were killed before they wrote the settings is taken", async () => {
  await mkdir(out);
  for (const name of ["lock", "lock.takeover", ".lock.0123456789ab.partial"]) await writeFile(path.join(out, name), "");
  expect(await chooseRunFolder(settings())).toBe(out);
  await writeFile(path.join(out, "lock.txt"), "");
  await expect(chooseRunFolder(settings())).rejects.toThrow(/not empty/);
});

test("a run that is replaced stays a run wherever that is interrupted", async () => {
  for (let at = 1, interrupted = true; interrupted; at++) {
    await finishedRun();
    const { remove } = installFaults({ folder: out, kinds: ["rm", "rename"], at, mode: "dead" });
    const folder = new RunFolder(out);
    interrupted = await folder.create(settings({ overwrite: true }), 2).then(
      () => false,
      () => true,
    );
    remove();
    expect(await isRunFolder(out)).toBe(true);
    await folder.release();
    await rm(out, { recursive: true });
    if (at === 1) expect(interrupted).toBe(true);
  }
});

test("a run that was killed before its first line of metrics is not damaged", async () => {
  const folder = new RunFolder(out);
  await folder.create(settings(), 2);
  await folder.release();
  expect(await checkRun(out)).toMatchObject({ state: "ok", step: null });
});

test("what is no run of ours is never replaced", async () => {
  await mkdir(out);
  await writeFile(path.join(out, "thesis.tex"), "");
  await expect(chooseRunFolder(settings({ overwrite: true }))).rejects.toThrow(/not empty.*another folder/);
  await rm(out, { recursive: true });
  await finishedRun();
  await writeFile(path.join(out, "notes.md"), "");
  await expect(chooseRunFolder(settings({ overwrite: true }))).rejects.toThrow(/notes\.md/);
  expect(await readdir(out)).toContain("checkpoint-000100");
  const file = path.join(out, "notes.md");
  await expect(chooseRunFolder(settings({ out: file }))).rejects.toThrow(ConfigError);
});

test.each(["model/notes", "adapter/Modelfile", "base/sub/a.txt", "deltas/notes", "checkpoint-000777/mine.safetensors"])(
  "a run with %s of the user's is not replaced, nor without a word begun anew",
  async (mine) => {
    await finishedRun();
    const own = [
      "model/model.safetensors",
      "adapter/config.json",
      "base/config.json",
      "deltas/cycle-000001.safetensors",
    ];
    for (const file of [...own, "checkpoint-000100/state.json"]) {
      await mkdir(path.dirname(path.join(out, file)), { recursive: true });
      await writeFile(path.join(out, file), "{}");
    }
    for (const name of ["model", "adapter", "base", "checkpoint-000100"]) await writeChecksums(path.join(out, name));
    await writeFile(path.join(out, "deltas/.cycle-000002.safetensors.1-0-0.partial"), "");
    const overwrite = settings({ overwrite: true });
    expect(await chooseRunFolder(overwrite)).toBe(out);
    await new RunFolder(out).requireOwn();
    await mkdir(path.dirname(path.join(out, mine)), { recursive: true });
    await writeFile(path.join(out, mine), "mine");
    const refused = { name: "ConfigError", message: expect.stringContaining(`${out} holds ${mine} `) };
    await expect(chooseRunFolder(overwrite)).rejects.toMatchObject(refused);
    await expect(new RunFolder(out).requireOwn()).rejects.toMatchObject(refused);
  },
);

test("a run that is replaced can be replaced again wherever that was interrupted", async () => {
  for (let at = 1, interrupted = true; interrupted; at++) {
    await finishedRun();
    await mkdir(path.join(out, "model"));
    for (const name of ["config.json", "model.safetensors"]) await writeFile(path.join(out, "model", name), "{}");
    await writeChecksums(path.join(out, "model"));
    const { remove } = installFaults({ folder: out, kinds: ["rm"], at, when: "half", mode: "dead" });
    const folder = new RunFolder(out);
    interrupted = await folder.create(settings({ overwrite: true }), 2).then(
      () => false,
      () => true,
    );
    remove();
    await folder.release();
    expect(await chooseRunFolder(settings({ overwrite: true }))).toBe(out);
    await rm(out, { recursive: true });
    if (at === 1) expect(interrupted).toBe(true);
  }
});

test.each(['{"a":1}', "{}", "no JSON", '{"model":"tiny","method":"lora"}'])(
  "a folder whose settings are %s is no run, and a model without checksums is none of a run",
  async (text) => {
    await finishedRun();
    const overwrite = settings({ overwrite: true });
    await mkdir(path.join(out, "model"));
    await writeFile(path.join(out, "model/mine.safetensors"), "mine");
    await expect(chooseRunFolder(overwrite)).rejects.toThrow(/holds model\/mine\.safetensors beside a run/);
    await rm(path.join(out, "model"), { recursive: true });
    expect(await chooseRunFolder(overwrite)).toBe(out);
    await writeFile(path.join(out, "config.resolved.json"), text);
    await expect(chooseRunFolder(overwrite)).rejects.toThrow(/holds no run of highrank.*another folder/);
  },
);

test("a folder that is named like an option is a path in what is printed", () => {
  expect(new RunFolder("-run").path).toBe("./-run");
  expect(new RunFolder("my/-run").path).toBe("my/-run");
});

test("without a name runs are numbered", async () => {
  const before = process.cwd();
  process.chdir(path.dirname(out));
  try {
    expect(await chooseRunFolder(settings({ out: null }))).toBe("runs/001-tiny-relora");
    await mkdir("runs/009-mine", { recursive: true });
    const chosen = await chooseRunFolder(settings({ out: null, method: "full" }));
    expect(chosen).toBe("runs/010-tiny-full");
    // Of runs that have chosen one number, each gets a folder of its own.
    const runs = Array.from({ length: 4 }, () => new RunFolder(chosen));
    await Promise.all(runs.map((run) => run.reserve()));
    const paths = runs.map((run) => run.path).sort();
    expect(paths).toEqual(["010", "011", "012", "013"].map((number) => `runs/${number}-tiny-full`));
    await runs[0]!.create(settings(), 1);
    for (const run of runs) await run.release();
    expect(await readdir("runs")).toEqual(["009-mine", path.basename(runs[0]!.path)]);
    const failed = new RunFolder("none/001-tiny-full");
    await failed.reserve();
    await failed.release();
    expect(await readdir(".")).toEqual(["runs"]);
  } finally {
    process.chdir(before);
  }
});

test("settings and metrics that somebody removes while the run goes on are written again", async () => {
  const folder = new RunFolder(out);
  await folder.create(settings({ seed: 5 }), 2);
  for (const step of [1, 2]) await folder.record({ kind: "reset", step, zeroedFraction: 1 });
  const metrics = await readFile(path.join(out, "metrics.jsonl"), "utf8");
  for (const name of ["config.resolved.json", "metrics.jsonl"]) await rm(path.join(out, name));
  await folder.record({ kind: "reset", step: 3, zeroedFraction: 1 });
  expect(await folder.syncRecords()).toBe(3);
  await folder.release();
  expect(await readRunSettings(out)).toMatchObject({ seed: 5 });
  const lines = (await readFile(path.join(out, "metrics.jsonl"), "utf8")).split("\n");
  expect(lines.slice(0, 2)).toEqual(metrics.trimEnd().split("\n"));
  expect(lines).toHaveLength(4);
});

test.runIf(process.platform === "linux")(
  "a folder that is moved is followed, also in the midst of a write",
  async () => {
    const folder = new RunFolder(out);
    await folder.create(settings(), 2);
    expect(folder.path).toBe(out);
    await folder.record({ kind: "reset", step: 1, zeroedFraction: 1 });
    const moved = `${out} moved`;
    const places: string[] = [];
    await folder.write(async (place) => {
      places.push(place);
      if (places.length === 1) await rename(out, moved);
      await writeFile(path.join(place, "text"), "");
    });
    expect(places).toEqual([out, moved]);
    expect(folder.path).toBe(moved);
    await folder.record({ kind: "reset", step: 2, zeroedFraction: 1 });
    expect(await readFile(path.join(moved, "metrics.jsonl"), "utf8")).toMatch(/^.*"step":1.*\n.*"step":2.*\n$/);
    await folder.writeReport();
    await folder.release();
    expect((await readdir(moved)).sort()).toEqual([
      "config.resolved.json",
      "env.json",
      "metrics.jsonl",
      "report.html",
      "text",
    ]);
    await rm(moved, { recursive: true });
    await expect(folder.write((place) => readFile(path.join(place, "text")))).rejects.toThrow("ENOENT");
  },
);
