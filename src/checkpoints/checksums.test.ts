import { appendFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { CheckpointError } from "../tensor/errors.js";
import { checksumFaults, writeChecksums } from "./checksums.js";

let folder = "";
const folders: string[] = [];
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-checksums-"));
  folders.push(folder);
  await mkdir(path.join(folder, "inner"));
  for (const file of ["a.bin", "b.bin", "inner/c.bin"]) await writeFile(path.join(folder, file), file);
});
afterAll(async () => Promise.all(folders.map((one) => rm(one, { recursive: true }))));

test("a folder that is as it was written has no faults, also when its checksums are written again", async () => {
  for (let time = 0; time < 2; time++) {
    await writeChecksums(folder);
    expect(await checksumFaults(folder)).toEqual([]);
  }
});

test("what differs, is missing or came later is named", async () => {
  await writeChecksums(folder);
  await appendFile(path.join(folder, "a.bin"), "x");
  await rm(path.join(folder, "b.bin"));
  await writeFile(path.join(folder, "inner", "d.bin"), "");
  expect(await checksumFaults(folder)).toEqual([
    "b.bin is missing",
    "a.bin differs from its checksum",
    "inner/d.bin has no checksum",
  ]);
});

test("checksums that are missing are a fault, and what is no JSON object an error", async () => {
  expect(await checksumFaults(folder)).toEqual(["checksums.json is missing"]);
  await writeFile(path.join(folder, "checksums.json"), "[");
  await expect(checksumFaults(folder)).rejects.toThrow(CheckpointError);
});
