import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CheckpointError, ConfigError, DataError } from "../base/errors.js";
import {
  exists,
  isDirectory,
  listFolder,
  makeFolder,
  openForReading,
  readText,
  removeTree,
  syncFile,
  writeFileAtomic,
  writeFolderAtomic,
} from "./node.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-files-"));
});
afterAll(async () => rm(folder, { recursive: true }));

const diskFull = (): Error => Object.assign(new Error("write failed"), { code: "ENOSPC" });

test("text, bytes and chunks are written unchanged, over the old content", async () => {
  const target = path.join(folder, "content.txt");
  async function* later() {
    yield new Uint8Array([0xc3]);
    yield new Uint8Array([0xa4]);
  }
  for (const content of [
    "ä",
    new Uint8Array([0xc3, 0xa4]),
    [new Uint8Array([0xc3]), new Uint8Array([0xa4])],
    later(),
  ]) {
    await writeFileAtomic(target, content);
    expect([...(await readFile(target))]).toEqual([0xc3, 0xa4]);
    expect(await readText(target)).toBe("ä");
  }
});

test("a write that a full disk stops leaves the old file, no partial one, and a message with the way out", async () => {
  const inner = path.join(folder, "full");
  await makeFolder(inner);
  const target = path.join(inner, "model.bin");
  await writeFileAtomic(target, "old");
  async function* chunks() {
    yield new Uint8Array(1000);
    throw diskFull();
  }
  const write = writeFileAtomic(target, chunks());
  await expect(write).rejects.toThrow(CheckpointError);
  await expect(write).rejects.toThrow(`cannot write ${target}: the disk is full; free some space`);
  expect(await readdir(inner)).toEqual(["model.bin"]);
  expect(await readText(target)).toBe("old");
});

test("a write into a missing folder names the path", async () => {
  const target = path.join(folder, "missing", "a.txt");
  await expect(writeFileAtomic(target, "x")).rejects.toThrow(`cannot write ${target}: there is no such file or folder`);
});

test("a folder appears whole: filled, replaced only when allowed, and not at all when filling fails", async () => {
  const outer = path.join(folder, "outer");
  const target = path.join(outer, "model");
  const fillWith = (text: string) => async (partial: string) => {
    expect(path.dirname(partial)).toBe(outer);
    await writeFile(path.join(partial, "a.txt"), text);
  };
  await writeFolderAtomic(target, fillWith("one"));
  await expect(writeFolderAtomic(target, fillWith("two"))).rejects.toThrow("the folder is not empty");
  expect(await readText(path.join(target, "a.txt"))).toBe("one");
  await writeFolderAtomic(target, fillWith("two"), { replace: true });
  expect(await readText(path.join(target, "a.txt"))).toBe("two");
  const failing = writeFolderAtomic(
    target,
    async (partial) => {
      await fillWith("three")(partial);
      throw diskFull();
    },
    { replace: true },
  );
  await expect(failing).rejects.toThrow("the disk is full");
  expect(await readText(path.join(target, "a.txt"))).toBe("two");
  expect(await readdir(outer)).toEqual(["model"]);
});

test("a fault inside a folder names the final path of the file", async () => {
  const target = path.join(folder, "told");
  async function* chunks() {
    yield new Uint8Array(1);
    throw diskFull();
  }
  const write = writeFolderAtomic(target, (partial) => writeFileAtomic(path.join(partial, "a.bin"), chunks()));
  await expect(write).rejects.toThrow(`cannot write ${path.join(target, "a.bin")}: the disk is full`);
});

test("a file where the folder should be stays", async () => {
  const target = path.join(folder, "taken");
  await writeFile(target, "mine");
  await expect(writeFolderAtomic(target, async () => {})).rejects.toThrow(ConfigError);
  expect(await readText(target)).toBe("mine");
});

test("a missing file cannot be synced", async () => {
  const target = path.join(folder, "synced");
  await expect(syncFile(target)).rejects.toThrow(`cannot write ${target}: there is no such file`);
  await writeFile(target, "one");
  await syncFile(target);
});

test("parts of a file are read by offset, and reading past its end fails", async () => {
  const target = path.join(folder, "digits");
  await writeFile(target, "0123456789");
  const reader = await openForReading(target);
  try {
    expect(reader.size).toBe(10);
    expect(new TextDecoder().decode(await reader.read(3, 4))).toBe("3456");
    await expect(reader.read(8, 4)).rejects.toThrow("it ends at byte 10, before byte 12");
  } finally {
    await reader.close();
  }
});

test("an unreadable path is a DataError that names it", async () => {
  const missing = path.join(folder, "missing.txt");
  await expect(readText(missing)).rejects.toThrow(DataError);
  await expect(readText(missing)).rejects.toThrow(`cannot read ${missing}: there is no such file`);
  await expect(readText(folder)).rejects.toThrow("it is a folder where a file must be");
  await expect(openForReading(folder)).rejects.toThrow("it is a folder where a file must be");
  const binary = path.join(folder, "binary");
  await writeFile(binary, new Uint8Array([0xff, 0xfe, 0x00]));
  await expect(readText(binary)).rejects.toThrow("is not UTF-8 text");
});

test("folders are listed in order and removed with their content", async () => {
  const inner = path.join(folder, "list");
  await makeFolder(path.join(inner, "b"));
  await writeFile(path.join(inner, "a"), "");
  expect(await listFolder(inner)).toEqual(["a", "b"]);
  expect([await isDirectory(inner), await isDirectory(path.join(inner, "a"))]).toEqual([true, false]);
  await removeTree(inner);
  expect(await exists(inner)).toBe(false);
  await removeTree(inner);
});
