import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, open, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import { type FaultOptions, type Faults, installFaults } from "./faults.mjs";

let folder = "";
const folders: string[] = [];
let faults: Faults | undefined;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-faults-"));
  folders.push(folder);
});
afterEach(() => faults?.remove());
afterAll(async () => Promise.all(folders.map((one) => rm(one, { recursive: true }))));

const inject = (options: Omit<FaultOptions, "folder">) => {
  faults = installFaults({ folder, ...options });
  return faults;
};
const at = (...parts: string[]) => path.join(folder, ...parts);

/** Writes a file through a handle and gives it its name. */
async function write(): Promise<void> {
  const handle = await open(at("new"), "w");
  try {
    for (let done = 0; done < 4; ) {
      const { bytesWritten } = await handle.write(new TextEncoder().encode("text"), done, 4 - done);
      done += bytesWritten;
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(at("new"), at("file"));
}

test("calls on paths in the folder are counted, of all kinds or of some", async () => {
  const { calls } = inject({});
  await write();
  await readFile(at("file"));
  await readFile(import.meta.filename);
  expect(calls).toEqual([
    { kind: "create", path: "new" },
    { kind: "write", path: "new" },
    { kind: "sync", path: "new" },
    { kind: "close", path: "new" },
    { kind: "rename", path: "file" },
    { kind: "read", path: "file" },
  ]);
  faults!.remove();
  const some = inject({ kinds: ["sync", "rename"] });
  await write();
  expect(some.calls.map(({ kind }) => kind)).toEqual(["sync", "rename"]);
});

test("one call fails, before or after it is done, and the next does not", async () => {
  inject({ at: 5, code: "EACCES" });
  await expect(write()).rejects.toMatchObject({ code: "EACCES" });
  expect(await readdir(folder)).toEqual(["new"]);
  await write();
  expect(await readFile(at("file"), "utf8")).toBe("text");
  faults!.remove();
  inject({ at: 5, when: "after" });
  await expect(write()).rejects.toMatchObject({ code: "EIO" });
  expect(await readdir(folder)).toEqual(["file"]);
});

test("a write stops halfway, and only the next one fails", async () => {
  const { calls } = inject({ at: 2, when: "half", code: "ENOSPC" });
  await expect(write()).rejects.toMatchObject({ code: "ENOSPC" });
  expect(calls.map(({ kind }) => kind)).toEqual(["create", "write", "write", "close"]);
  faults!.remove();
  expect(await readFile(at("new"), "utf8")).toBe("te");
});

test("a removal stops halfway", async () => {
  await mkdir(at("full"));
  for (const name of ["a", "b", "c", "d"]) await writeFile(at("full", name), "");
  inject({ at: 1, when: "half" });
  await expect(rm(at("full"), { recursive: true })).rejects.toMatchObject({ code: "EIO" });
  expect(await readdir(at("full"))).toEqual(["c", "d"]);
});

test("from the call on that kills, nothing changes the folder", async () => {
  inject({ at: 4, mode: "dead" });
  await expect(write()).rejects.toThrow("injected into close");
  await expect(write()).rejects.toThrow("injected into create");
  await expect(rm(at("new"))).rejects.toThrow("injected into rm");
  faults!.remove();
  expect(await readdir(folder)).toEqual(["new"]);
});

test.each([
  ["before", ["new"]],
  ["after", ["file"]],
] as const)("a process is killed %s a call", (when, left) => {
  const child = `
    import { open, rename } from "node:fs/promises";
    import { installFaults } from ${JSON.stringify(new URL("./faults.mjs", import.meta.url).href)};
    const folder = process.argv[1];
    installFaults({ folder, at: 4, mode: "kill", when: ${JSON.stringify(when)} });
    const handle = await open(folder + "/new", "w");
    await handle.write(new Uint8Array(4), 0, 4);
    await handle.close();
    await rename(folder + "/new", folder + "/file");
    await rename(folder + "/file", folder + "/too far");`;
  const { signal } = spawnSync(process.execPath, ["--input-type=module", "-e", child, folder], { stdio: "inherit" });
  expect(signal).toBe("SIGKILL");
  return expect(readdir(folder)).resolves.toEqual(left);
});
