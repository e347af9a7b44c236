import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { installFaults } from "../../tests/file-faults/faults.mjs";
import { CheckpointError } from "../base/errors.js";
import { AppendedFile, appendLine } from "./node-appended-file.js";

let folder = "";
let file: AppendedFile;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-appended-"));
  file = new AppendedFile();
});
afterEach(async () => {
  await file.close();
  await rm(folder, { recursive: true });
});

const at = (...names: string[]): string => path.join(folder, ...names);

test("the file is opened once, and each append tells its length before", async () => {
  const { calls, remove } = installFaults({ folder });
  try {
    expect(await file.append(at("lines"), "one\n")).toBe(0);
    expect(await file.append(at("lines"), new TextEncoder().encode("zwölf\n"))).toBe(4);
    expect(await file.append(at("lines"), "three\n")).toBe(11);
  } finally {
    remove();
  }
  expect(calls.filter(({ kind }) => kind === "create")).toHaveLength(1);
  expect(await readFile(at("lines"), "utf8")).toBe("one\nzwölf\nthree\n");
});

test("a file that moves with its folder is the same, and one that takes its place is another", async () => {
  await mkdir(at("a"));
  await file.append(at("a/lines"), "one\n");
  await rename(at("a"), at("b"));
  await expect(file.append(at("a/lines"), "two\n")).rejects.toThrow(CheckpointError);
  expect(await file.append(at("b/lines"), "three\n")).toBe(4);
  await writeFile(at("new"), "other\n");
  await rename(at("new"), at("b/lines"));
  expect(await file.append(at("b/lines"), "four\n")).toBe(6);
  expect(await readFile(at("b/lines"), "utf8")).toBe("other\nfour\n");
});

test("a file that was removed or moved away is made anew", async () => {
  await file.append(at("lines"), "one\n");
  await rm(at("lines"));
  expect(await file.append(at("lines"), "two\n")).toBe(0);
  await rename(at("lines"), at("aside"));
  expect(await file.append(at("lines"), "three\n")).toBe(0);
  expect(await readFile(at("aside"), "utf8")).toBe("two\n");
  expect(await readFile(at("lines"), "utf8")).toBe("three\n");
});

test("what others append stays, and what is closed is opened again", async () => {
  await file.append(at("lines"), "one\n");
  await appendLine(at("lines"), "theirs");
  expect(await file.append(at("lines"), "two\n")).toBe(11);
  await file.close();
  expect(await file.append(at("lines"), "three\n")).toBe(15);
  expect(await readFile(at("lines"), "utf8")).toBe("one\ntheirs\ntwo\nthree\n");
});

test("a line that the system loses when the file is closed is taken back, and told", async () => {
  await appendLine(at("lines"), "one");
  const { remove } = installFaults({ folder, kinds: ["close"], at: 1, code: "ENOSPC" });
  try {
    await expect(appendLine(at("lines"), "two")).rejects.toThrow("the disk is full");
  } finally {
    remove();
  }
  expect(await readFile(at("lines"), "utf8")).toBe("one\n");
});

test.runIf(process.platform === "linux")("a full disk is told, and the next append tries again", async () => {
  await expect(file.append("/dev/full", "one\n")).rejects.toThrow("cannot write /dev/full: the disk is full");
  expect(await file.append(at("lines"), "two\n")).toBe(0);
});
