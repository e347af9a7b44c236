import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DataError } from "../base/errors.js";
import { filesBelow, isMountPoint, pathInside, readText } from "./node.js";

let outer = "";
beforeAll(async () => {
  outer = await realpath(await mkdtemp(path.join(tmpdir(), "highrank-inside-")));
  const repository = path.join(outer, "models--org--name");
  await mkdir(path.join(repository, "snapshots", "abc"), { recursive: true });
  await mkdir(path.join(repository, "blobs"));
  await writeFile(path.join(repository, "blobs", "123"), "blob");
  await symlink("../../blobs/123", path.join(repository, "snapshots", "abc", "config.json"));
  await symlink("../../../secret", path.join(repository, "snapshots", "abc", "out"));
  await mkdir(path.join(outer, "folder", "inner"), { recursive: true });
  await writeFile(path.join(outer, "secret"), "secret");
  await writeFile(path.join(outer, "folder", "a.txt"), "a");
  await writeFile(path.join(outer, "folder", "inner", "b.txt"), "b");
  await symlink("a.txt", path.join(outer, "folder", "link.txt"));
  await symlink("..", path.join(outer, "folder", "inner", "loop"));
  await symlink("folder", path.join(outer, "named"));
});
afterAll(async () => rm(outer, { recursive: true }));

const inFolder = (name: string) => pathInside(path.join(outer, "folder"), name);

test("files, folders and links inside the folder pass, and missing ones too", async () => {
  for (const name of ["a.txt", "inner", "link.txt", "inner/loop/a.txt", "nothing.txt"]) {
    expect(await inFolder(name)).toBe(path.join(outer, "folder", name));
  }
});

test.each(["../secret", "inner/../../secret", "../folder-beside"])("%s leads out of the folder", async (name) => {
  await mkdir(path.join(outer, "folder-beside"), { recursive: true });
  await expect(inFolder(name)).rejects.toThrow(DataError);
  await expect(inFolder(name)).rejects.toThrow("leads out of the folder, to ");
});

test.each(["../secret", "/etc", "inner/loop/../secret"])("a link to %s is refused", async (to) => {
  const link = path.join(outer, "folder", "out");
  await symlink(to, link);
  try {
    await expect(inFolder("out")).rejects.toThrow(
      /folder\/out leads out of the folder, to .*; put the file itself there/,
    );
    await expect(filesBelow(path.join(outer, "folder"))).rejects.toThrow("leads out of the folder");
  } finally {
    await rm(link);
  }
});

test("a folder that is a link itself, and one of the Hugging Face cache, are read through their links", async () => {
  expect(await readText(await pathInside(path.join(outer, "named"), "a.txt"))).toBe("a");
  const snapshot = path.join(outer, "models--org--name", "snapshots", "abc");
  expect(await readText(await pathInside(snapshot, "config.json"))).toBe("blob");
  await expect(pathInside(snapshot, "out")).rejects.toThrow("leads out of the folder");
});

test("files below are found once, even if links go in a circle", async () => {
  expect(await filesBelow(path.join(outer, "folder"))).toEqual(["a.txt", "inner/b.txt", "link.txt"]);
  expect(await filesBelow(path.join(outer, "folder"), (name) => name === "inner")).toEqual(["a.txt", "link.txt"]);
});

test("a link to nothing is named, and is no missing file", async () => {
  const folder = path.join(outer, "dead");
  await mkdir(folder);
  await symlink("../blobs/gone", path.join(folder, "tokenizer_config.json"));
  for (const call of [pathInside(folder, "tokenizer_config.json"), filesBelow(folder)]) {
    await expect(call).rejects.toThrow(DataError);
    await expect(call).rejects.toThrow(
      /tokenizer_config\.json is a link to \.\.\/blobs\/gone, where there is nothing; /,
    );
  }
  await rm(folder, { recursive: true });
});

test("a pipe is refused, not waited for", async () => {
  const folder = await mkdtemp(path.join(outer, "pipe-"));
  execFileSync("mkfifo", [path.join(folder, "p")]);
  await expect(pathInside(folder, "p")).rejects.toThrow("is neither a file nor a folder");
  await expect(readText(path.join(folder, "p"))).rejects.toThrow("it is a pipe or a device");
});

test.runIf(process.platform === "linux")("a file system is mounted on /proc, and on no folder of ours", async () => {
  expect(await isMountPoint("/")).toBe(true);
  expect(await isMountPoint("/proc")).toBe(true);
  const folder = await mkdtemp(path.join(tmpdir(), "highrank-mount-"));
  expect(await isMountPoint(folder)).toBe(false);
  await rm(folder, { recursive: true });
});
