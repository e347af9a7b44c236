import { mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { installFaults } from "../../tests/file-faults/faults.mjs";
import { CheckpointError, ConfigError } from "../base/errors.js";
import {
  makeFolder,
  publishFile,
  recoverReplaced,
  removeFolderAtomic,
  writeFileAtomic,
  writeFilesAtomic,
  writeFolderAtomic,
} from "./node.js";

let folder = "";
const folders: string[] = [];
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-writes-"));
  folders.push(folder);
});
afterAll(async () => Promise.all(folders.map((one) => rm(one, { recursive: true }))));

/** A folder of this name with one file that holds `text`, changed `age` seconds ago. */
async function leftover(name: string, text: string, age = 0): Promise<void> {
  await mkdir(path.join(folder, name));
  await writeFile(path.join(folder, name, "a.txt"), text);
  const changed = Date.now() / 1000 - age;
  await utimes(path.join(folder, name), changed, changed);
}
const content = (name: string) => readFile(path.join(folder, name, "a.txt"), "utf8");

test("a folder that was moved aside gets its name back, the newest of several, and leftovers go", async () => {
  await leftover(".model.v2.aaaaaaaaaaaa.previous", "oldest", 30);
  await leftover(".model.v2.bbbbbbbbbbbb.previous", "newest", 10);
  await leftover(".model.v2.cccccccccccc.previous", "older", 20);
  await leftover(".model.v2.dddddddddddd.partial", "half");
  await leftover("base", "new", 20);
  await leftover(".base.aaaaaaaaaaaa.previous", "replaced", 10);
  await writeFile(path.join(folder, ".last.aaaaaaaaaaaa.partial"), "");
  await writeFile(path.join(folder, ".hidden"), "");
  expect(await recoverReplaced(folder)).toEqual(["model.v2"]);
  expect((await readdir(folder)).sort()).toEqual([".hidden", "base", "model.v2"]);
  expect([await content("model.v2"), await content("base")]).toEqual(["newest", "new"]);
  expect(await recoverReplaced(folder)).toEqual([]);
});

test("a missing folder has nothing to recover, and a file in its place is reported", async () => {
  expect(await recoverReplaced(path.join(folder, "missing"))).toEqual([]);
  await writeFile(path.join(folder, "file"), "");
  await expect(recoverReplaced(path.join(folder, "file"))).rejects.toThrow(CheckpointError);
});

test("replacing leaves nothing beside the folder, whatever earlier processes left", async () => {
  const target = path.join(folder, "model");
  for (const text of ["one", "two"]) {
    await writeFolderAtomic(target, (partial) => writeFileAtomic(path.join(partial, "a.txt"), text), { replace: true });
    expect(await readdir(folder)).toEqual(["model"]);
    expect(await content("model")).toBe(text);
  }
});

test("of two that write a new file at the same time one succeeds, and nothing is left beside", async () => {
  const target = path.join(folder, "new.gguf");
  const writing = ["one", "two"].map((text) => writeFileAtomic(target, text, { replace: false }));
  const ends = await Promise.allSettled(writing);
  const failed = ends.filter((end) => end.status === "rejected");
  expect(failed.map(({ reason }) => String(reason))).toEqual([
    expect.stringMatching(/ConfigError.*new\.gguf: it exists, .*another/),
  ]);
  expect(await readFile(target, "utf8")).toBe(ends[0]!.status === "fulfilled" ? "one" : "two");
  expect(await readdir(folder)).toEqual(["new.gguf"]);
});

test.each(["missing", "empty"])("what appears in a %s target while its folder is written stays", async (state) => {
  const target = path.join(folder, "model");
  if (state === "empty") await mkdir(target);
  const write = writeFolderAtomic(target, async (partial) => {
    await writeFile(path.join(partial, "a.txt"), "new");
    await mkdir(target, { recursive: true });
    await writeFile(path.join(target, "mine.txt"), "mine");
  });
  await expect(write).rejects.toThrow(/^cannot write .*model: the folder is not empty, and nothing .* choose another$/);
  await expect(write).rejects.toThrow(ConfigError);
  expect(await readdir(folder)).toEqual(["model"]);
  expect(await readdir(target)).toEqual(["mine.txt"]);
});

test("a file that appears in the place of a new folder stays", async () => {
  const target = path.join(folder, "model");
  const write = writeFolderAtomic(target, () => writeFile(target, "mine"));
  await expect(write).rejects.toThrow(/^cannot write .*model: it is a file, and nothing/);
  expect(await readdir(folder)).toEqual(["model"]);
  expect(await readFile(target, "utf8")).toBe("mine");
});

test("of several that write one new folder at the same time one succeeds, and nothing is left beside", async () => {
  const target = path.join(folder, "model");
  const fill = (text: string) => (partial: string) => writeFile(path.join(partial, "a.txt"), text);
  const texts = ["one", "two", "three"];
  const ends = await Promise.allSettled(texts.map((text) => writeFolderAtomic(target, fill(text))));
  const done = texts.filter((_, i) => ends[i]!.status === "fulfilled");
  expect(done).toEqual([await content("model")]);
  expect(await readdir(folder)).toEqual(["model"]);
});

test("a link to an empty folder is followed, and one that leads nowhere refused", async () => {
  await mkdir(path.join(folder, "disk", "space"), { recursive: true });
  await symlink(path.join("disk", "space"), path.join(folder, "out"));
  await writeFolderAtomic(path.join(folder, "out"), (partial) => writeFile(path.join(partial, "a.txt"), "new"));
  expect(await readlink(path.join(folder, "out"))).toBe(path.join("disk", "space"));
  expect(await content(path.join("disk", "space"))).toBe("new");
  expect(await readdir(path.join(folder, "disk"))).toEqual(["space"]);

  await symlink("gone", path.join(folder, "dangling"));
  for (const target of ["dangling", "dangling/new"]) {
    const write = writeFolderAtomic(path.join(folder, target), async () => {});
    await expect(write).rejects.toThrow(/dangling is a link to gone, where there is nothing; make that/);
  }
  const file = writeFileAtomic(path.join(folder, "dangling"), "x", { replace: false });
  await expect(file).rejects.toThrow("dangling: it exists");
  expect((await readdir(folder)).sort()).toEqual(["dangling", "disk", "out"]);
});

test("a whole file that is published replaces no other, unless it may", async () => {
  const [from, to] = [path.join(folder, "a.partial"), path.join(folder, "a.txt")];
  await writeFile(from, "new");
  await writeFile(to, "mine");
  await expect(publishFile(from, to, { replace: false })).rejects.toThrow(ConfigError);
  expect([await readFile(from, "utf8"), await readFile(to, "utf8")]).toEqual(["new", "mine"]);
  await publishFile(from, to);
  expect(await readFile(to, "utf8")).toBe("new");
  expect(await readdir(folder)).toEqual(["a.txt"]);
});

test.each(["a".repeat(250), "ä".repeat(125)])(
  "a name of 250 bytes is written, and leftovers of it go",
  async (name) => {
    const target = path.join(folder, name);
    await writeFolderAtomic(target, async (partial) => {
      const [temporary] = await readdir(folder);
      await mkdir(path.join(folder, temporary!.replace(/\d+(-\w+-\w+\.partial)$/, "4194305$1")));
      await writeFile(path.join(partial, "a.txt"), "new");
    });
    expect((await readdir(folder)).length).toBe(2);
    await rm(target, { recursive: true });
    await writeFileAtomic(target, "file");
    expect(await readdir(folder)).toEqual([name]);
  },
);

test("a folder may hold others, and missing ones above it are created", async () => {
  const target = path.join(folder, "runs", "one", "model");
  await writeFolderAtomic(target, async (partial) => {
    await makeFolder(path.join(partial, "inner", "most"));
    await writeFileAtomic(path.join(partial, "inner", "most", "a.txt"), "deep");
  });
  expect(await readFile(path.join(target, "inner", "most", "a.txt"), "utf8")).toBe("deep");
});

test("a folder that cannot be put in place is removed", async () => {
  await writeFile(path.join(folder, "taken"), "mine");
  const write = writeFolderAtomic(path.join(folder, "taken"), async () => {}, { replace: true });
  await expect(write).rejects.toThrow(CheckpointError);
  expect(await readdir(folder)).toEqual(["taken"]);
  expect(await readFile(path.join(folder, "taken"), "utf8")).toBe("mine");
});

test("a folder is removed in one step, wherever the removal is interrupted", async () => {
  await removeFolderAtomic(path.join(folder, "none"));
  await leftover("old", "whole");
  for (const [at, left] of [
    [1, ["old"]],
    [2, []],
  ] as const) {
    const { remove } = installFaults({ folder, kinds: ["rename", "rm"], at, mode: "dead", when: "before" });
    await expect(removeFolderAtomic(path.join(folder, "old"))).rejects.toThrow(CheckpointError);
    remove();
    expect((await readdir(folder)).filter((name) => !name.endsWith(".partial"))).toEqual(left);
  }
  await recoverReplaced(folder);
  expect(await readdir(folder)).toEqual([]);
});

test("of several files none appears where the disk has no room for all", async () => {
  const files = new Map(["a.json", "b.json"].map((name) => [path.join(folder, name), name]));
  for (const at of [1, 2]) {
    const { remove } = installFaults({ folder, kinds: ["write"], at, code: "ENOSPC" });
    await expect(writeFilesAtomic(files)).rejects.toThrow(/cannot write .*\.json: the disk is full/);
    remove();
    expect(await readdir(folder)).toEqual([]);
  }
  await writeFilesAtomic(files);
  for (const [file, text] of files) expect(await readFile(file, "utf8")).toBe(text);
});
