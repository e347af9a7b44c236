import { readdirSync, statSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { requireRoom } from "#platform";
import { CheckpointError, ConfigError } from "../base/errors.js";
import { inputsOf, requireApart, requireNewFile, requireNewFolder } from "./output-folder.js";

let folder = "";
const at = (...parts: string[]): string => path.join(folder, ...parts);
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-output-"));
  for (const name of ["read/below", "run/model", "empty"]) await mkdir(at(name), { recursive: true });
  await writeFile(at("run/config.resolved.json"), "{}");
  await writeFile(at("file.txt"), "text");
  await symlink(at("read"), at("link"));
});
afterAll(() => rm(folder, { recursive: true }));

test.each(["read", "read/new", "read/below/new/er", "link/new", "other/../read/new"])(
  "%s cannot be written while its folder is read",
  async (out) => {
    const error = await requireApart(at(out), [null, "org/name", at("nowhere"), at("read")]).catch((e) => e);
    expect(error).toBeInstanceOf(ConfigError);
    expect(error.message).toMatch(/^out: .* is inside of .*read, which is read; name a folder elsewhere$/);
  },
);

test.each(["read", "link"])("what lies beside the folder %s that is read can be written", async (input) => {
  for (const out of ["reader", "empty", "new/er"]) await requireApart(at(out), [at(input), at("file.txt")]);
  await requireApart(at("read/below/new"), [at("empty")]);
});

test("a run takes no other output, and its place no run that reads from it", async () => {
  for (const out of ["run", "run/new", "run/model/new"]) {
    await expect(requireApart(at(out), [])).rejects.toThrow(/is inside of .*run, the folder of a run; /);
  }
  await requireApart(at("run"), [at("read")], { isRun: true });
  await expect(requireApart(at("run/new"), [], { isRun: true })).rejects.toThrow(ConfigError);
  await expect(requireApart(at("run"), [at("run/model")], { isRun: true })).rejects.toThrow(
    /holds .*model, which is r/,
  );
});

test("a run may lie among data, which are read without the folders of runs", async () => {
  const among = { isRun: true, exceptRuns: [at("read")] };
  await requireApart(at("read/runs/new"), [at("read")], among);
  await expect(requireApart(at("read"), [at("read")], among)).rejects.toThrow(/is inside of/);
  await expect(requireApart(at("read/runs/new"), [at("read"), at("link")], among)).rejects.toThrow(
    /link, which is read/,
  );
  await expect(requireApart(at("read/new"), [at("read")], { ...among, isRun: false })).rejects.toThrow(ConfigError);
});

test.each(["", "a\0b"])("%j is no path of a folder", async (out) => {
  await expect(requireApart(out, [])).rejects.toThrow(ConfigError);
});

test("a folder that cannot be made is refused, and nothing is written to find out", async () => {
  for (const out of [at("file.txt/new"), at("x".repeat(300))]) {
    await expect(requireNewFolder(out, [])).rejects.toThrow(CheckpointError);
  }
  await expect(requireNewFolder(at("file.txt"), [])).rejects.toThrow(ConfigError);
  await expect(requireNewFolder(at("read"), [])).rejects.toThrow(/not empty/);
  if (process.platform === "linux") {
    for (const out of ["/proc/new", "/proc/self/new/er"]) {
      await expect(requireNewFolder(out, [])).rejects.toThrow(/takes no folders; choose another path/);
    }
  }
  if (process.platform === "linux") {
    // An empty folder, and the root of a file system of its own.
    const mount = ["/dev/shm", "/dev/mqueue", "/sys/fs/bpf", "/dev/hugepages"].find(isEmptyMount);
    if (mount === undefined) console.warn("SKIPPED: nothing empty is mounted here");
    else
      await expect(requireNewFolder(mount, [])).rejects.toThrow("root of a mounted file system; name a folder in it");
  }
  await requireNewFolder(at("empty"), []);
  await requireNewFolder(at("new/er"), []);
  await requireRoom(at("empty"));
  expect(await readdir(at("empty"))).toEqual([]);
  expect(await readdir(folder)).toEqual(["empty", "file.txt", "link", "read", "run"]);
});

test("a link that leads nowhere takes no output", async () => {
  await symlink("gone", at("dangling"));
  for (const require of [requireNewFolder, requireNewFile]) {
    for (const out of ["dangling", "dangling/new"]) {
      await expect(require(at(out), [])).rejects.toThrow(/dangling is a link to gone, where there is nothing; make/);
    }
  }
  await rm(at("dangling"));
});

test("what a run reads is its model, adapter, tokenizer and data, without the name of a data set in a folder", () => {
  expect(inputsOf({ model: "a", adapterFrom: null, tokenizer: "b", data: "c/d:en", validData: null })).toEqual([
    ...["a", "b", "c/d:en"],
    ...["a", "b", "c/d"],
  ]);
});

test("a new file lies outside of what is read, and is not what is read", async () => {
  const fault = async (out: string, inputs: string[]): Promise<string> => {
    const error = await requireNewFile(
      at(out),
      inputs.map((input) => at(input)),
    ).catch((e) => e);
    expect(error).toBeInstanceOf(ConfigError);
    return error.message;
  };
  expect(await fault("file.txt", [])).toMatch(/file\.txt exists; name a new file, or remove it$/);
  expect(await fault("read/new.txt", ["read"])).toMatch(/is inside of .*read, which is read; name a file elsewhere$/);
  expect(await fault("run/new.txt", [])).toMatch(/the folder of a run; name a file elsewhere$/);
  await expect(requireNewFile("", [])).rejects.toThrow("must be the path of a file");
  await expect(requireNewFile(at("file.txt/new.txt"), [])).rejects.toThrow(CheckpointError);
  const partial = requireApart(at("file.txt"), [at("other/../file.txt")], { kind: "file" });
  await expect(partial).rejects.toThrow(/file\.txt is read; name a file elsewhere$/);
  await requireNewFile(at("new.txt"), [at("read"), at("file.txt")]);
});

function isEmptyMount(folder: string): boolean {
  try {
    return readdirSync(folder).length === 0 && statSync(folder).dev !== statSync(path.dirname(folder)).dev;
  } catch {
    return false;
  }
}
