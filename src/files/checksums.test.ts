import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { CheckpointError } from "../base/errors.js";
import { checksumFaults, readChecksums, requireWhole, writeChecksums, writeFolder } from "./checksums.js";

let folder = "";
const folders: string[] = [];
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-checksums-"));
  folders.push(folder);
  await mkdir(path.join(folder, "inner"));
  for (const file of ["a.bin", "b.bin", "inner/c.bin"]) await writeFile(path.join(folder, file), file);
});
afterAll(async () => Promise.all(folders.map((one) => rm(one, { recursive: true }))));

test("an unchanged folder has no faults, even when its checksums are written again", async () => {
  for (let time = 0; time < 2; time++) {
    await writeChecksums(folder);
    expect(await checksumFaults(folder)).toEqual([]);
  }
});

test("files that differ, are missing or came later are named", async () => {
  await writeChecksums(folder);
  await appendFile(path.join(folder, "a.bin"), "x");
  await rm(path.join(folder, "b.bin"));
  await writeFile(path.join(folder, "inner", "d.safetensors"), "");
  await writeFile(path.join(folder, "README.md"), "");
  expect(await checksumFaults(folder)).toEqual([
    "b.bin is missing",
    "a.bin differs from its checksum",
    "inner/d.safetensors has no checksum",
  ]);
});

test("missing checksums are a fault, and checksums that are not a JSON object an error", async () => {
  expect(await checksumFaults(folder)).toEqual(["checksums.json is missing"]);
  await writeFile(path.join(folder, "checksums.json"), "[");
  await expect(checksumFaults(folder)).rejects.toThrow(CheckpointError);
});

test("an intact folder gives its checksums, a damaged one names the way out, one without is not checked", async () => {
  expect(await requireWhole(folder, "copy it")).toEqual(new Map());
  await writeChecksums(folder);
  const checksums = await requireWhole(folder, "copy it");
  expect([...checksums.keys()]).toEqual(["a.bin", "b.bin", "inner/c.bin"]);
  expect(checksums.get("a.bin")).toMatch(/^[0-9a-f]{64}$/);
  expect(await readChecksums(folder)).toEqual(checksums);
  await appendFile(path.join(folder, "a.bin"), "x");
  await expect(requireWhole(folder, "copy it")).rejects.toThrow(CheckpointError);
  await expect(requireWhole(folder, "copy it")).rejects.toThrow("is damaged (copy it): a.bin differs");
});

test("a folder is written with checksums if asked for", async () => {
  const fill = (partial: string): Promise<void> => writeFile(path.join(partial, "a.bin"), "");
  await writeFolder(path.join(folder, "plain"), fill, {});
  expect(await readdir(path.join(folder, "plain"))).toEqual(["a.bin"]);
  await writeFolder(path.join(folder, "checked"), fill, { checksums: true });
  expect(await readdir(path.join(folder, "checked"))).toEqual(["a.bin", "checksums.json"]);
  expect(await checksumFaults(path.join(folder, "checked"))).toEqual([]);
});

test("a folder with checksums is replaced only if they list all that it holds", async () => {
  const target = path.join(folder, "model");
  const write = (text: string): Promise<void> =>
    writeFolder(target, (partial) => writeFile(path.join(partial, "a.bin"), text), { replace: true, checksums: true });
  await write("1");
  await write("2");
  await mkdir(path.join(target, "inner"));
  await writeFile(path.join(target, "inner", "mine.txt"), "mine");
  await expect(write("3")).rejects.toThrow(`cannot write ${target}: it holds inner/mine.txt, which others put there`);
  expect(await readFile(path.join(target, "a.bin"), "utf8")).toBe("2");
  expect((await readdir(folder)).filter((name) => name.startsWith("."))).toEqual([]);
});
