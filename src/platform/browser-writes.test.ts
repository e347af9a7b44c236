import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { privateFiles } from "../../tests/private-files.js";
import { CheckpointError, ConfigError } from "../base/errors.js";
import { filesBelow, isDirectory, listFolder, makeFolder, publishFile, readText, removeTree } from "./browser-files.js";
import {
  interruptedWrites,
  recoverReplaced,
  removeFolderAtomic,
  writeFileAtomic,
  writeFilesAtomic,
  writeFolderAtomic,
} from "./browser-writes.js";

// What node-writes.test.ts asks of Node.js's platform, of that of a browser. tests/browser.devices.test.ts has its files.

beforeEach(() => void vi.stubGlobal("navigator", privateFiles()));
afterEach(() => void vi.unstubAllGlobals());

const fill = (text: string) => (partial: string) => writeFileAtomic(`${partial}/a.txt`, text);

test("of two that write a new file at the same time one succeeds, and nothing is left beside", async () => {
  const writing = ["one", "two"].map((text) => writeFileAtomic("new.gguf", text, { replace: false }));
  const ends = await Promise.allSettled(writing);
  const failed = ends.filter((end) => end.status === "rejected");
  expect(failed.map(({ reason }) => reason)).toEqual([expect.any(ConfigError)]);
  expect(failed[0]!.reason.message).toMatch(/^cannot write new\.gguf: it exists, and nothing .* choose another$/);
  expect(await readText("new.gguf")).toBe(ends[0]!.status === "fulfilled" ? "one" : "two");
  expect(await listFolder("")).toEqual(["new.gguf"]);
  await writeFileAtomic("new.gguf", "three");
  expect(await readText("new.gguf")).toBe("three");
});

test("of several files none replaces another, and none is left beside", async () => {
  await writeFileAtomic("b.json", "mine");
  const files = new Map([
    ["a.json", "a"],
    ["b.json", "b"],
  ]);
  await expect(writeFilesAtomic(files, { replace: false })).rejects.toThrow(ConfigError);
  expect(await readText("b.json")).toBe("mine");
  expect((await listFolder("")).filter((name) => name.endsWith(".partial"))).toEqual([]);
});

test.each(["missing", "empty"])("what appears in a %s target while its folder is written stays", async (state) => {
  if (state === "empty") await makeFolder("model");
  const write = writeFolderAtomic("model", async (partial) => {
    await fill("new")(partial);
    await makeFolder("model");
    await writeFileAtomic("model/mine.txt", "mine");
  });
  await expect(write).rejects.toThrow(/^cannot write model: the folder is not empty, and nothing .* choose another$/);
  await expect(write).rejects.toThrow(ConfigError);
  expect(await listFolder("")).toEqual(["model"]);
  expect(await listFolder("model")).toEqual(["mine.txt"]);
});

test("a file in the place of a folder stays, and what was written beside goes", async () => {
  const write = writeFolderAtomic("model", () => writeFileAtomic("model", "mine"));
  await expect(write).rejects.toThrow(/^cannot write model: it is a file, and nothing/);
  await expect(writeFolderAtomic("model", fill("new"), { replace: true })).rejects.toThrow(CheckpointError);
  expect(await listFolder("")).toEqual(["model"]);
  expect(await readText("model")).toBe("mine");
});

test("of several that write one new folder at the same time one succeeds, and nothing is left beside", async () => {
  const texts = ["one", "two", "three"];
  const ends = await Promise.allSettled(texts.map((text) => writeFolderAtomic("model", fill(text))));
  const done = texts.filter((_, i) => ends[i]!.status === "fulfilled");
  expect(done).toEqual([await readText("model/a.txt")]);
  expect(await listFolder("")).toEqual(["model"]);
});

test("a folder that replaces another takes its place whole", async () => {
  await writeFolderAtomic("model", async (partial) => {
    await makeFolder(`${partial}/old`);
    await writeFileAtomic(`${partial}/old/b.txt`, "old");
  });
  await writeFolderAtomic("model", fill("new"), { replace: true });
  expect(await filesBelow("model")).toEqual(["a.txt"]);
  expect(await isDirectory("model/old")).toBe(false);
});

test("a write that was interrupted is completed, and removes nothing that came meanwhile unless it replaces", async () => {
  for (const replaces of [false, true]) {
    await makeFolder("runs/model");
    await writeFileAtomic("runs/model/mine.txt", "mine");
    const beside = `runs/.model.${crypto.randomUUID()}.partial`;
    await makeFolder(beside);
    await fill("new")(beside);
    await writeFileAtomic(`${beside}/.moving.json`, JSON.stringify({ files: ["a.txt"], replaces }));
    expect((await interruptedWrites("runs")).aside.get("model")).toBe(beside.slice("runs/".length));
    expect(await recoverReplaced("runs")).toEqual(["model"]);
    expect(await listFolder("runs/model")).toEqual(replaces ? ["a.txt"] : ["a.txt", "mine.txt"]);
    expect(await listFolder("runs")).toEqual(["model"]);
    await removeTree("runs");
  }
});

test("a folder is removed, and nothing is left beside", async () => {
  await writeFolderAtomic("model", fill("old"));
  await removeFolderAtomic("model");
  await removeFolderAtomic("none");
  expect(await listFolder("")).toEqual([]);
});

test("a whole file that is published replaces no other, unless it may", async () => {
  await writeFileAtomic("a.partial", "new");
  await writeFileAtomic("a.txt", "mine");
  await expect(publishFile("a.partial", "a.txt", { replace: false })).rejects.toThrow(ConfigError);
  expect([await readText("a.partial"), await readText("a.txt")]).toEqual(["new", "mine"]);
  await publishFile("a.partial", "a.txt");
  expect(await readText("a.txt")).toBe("new");
  expect(await listFolder("")).toEqual(["a.txt"]);
});
