import { spawn } from "node:child_process";
import { copyFile, mkdir, readdir, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { type CommandResult, withFolder } from "./run-command.js";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

const CLONE = {
  "package.json": '{ "type": "module" }',
  "tsconfig.build.json": JSON.stringify({
    compilerOptions: { module: "nodenext", target: "es2023", types: [], rootDir: "src", outDir: "dist" },
    include: ["src"],
  }),
  "src/cli/main.ts": 'declare const console: { log(text: string): void };\nconsole.log("started");\n',
};

/** A folder like a fresh clone, of one line of source, with the compiler of this one. */
function withClone(use: (folder: string) => Promise<void>): Promise<void> {
  return withFolder(CLONE, async (folder) => {
    await mkdir(path.join(folder, "bin"));
    await mkdir(path.join(folder, "node_modules"));
    await copyFile(path.join(ROOT, "bin/highrank.js"), path.join(folder, "bin/highrank.js"));
    await symlink(path.join(ROOT, "node_modules/typescript"), path.join(folder, "node_modules/typescript"));
    await symlink(path.join(ROOT, "node_modules/@typescript"), path.join(folder, "node_modules/@typescript"));
    await use(folder);
  });
}

function start(folder: string): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["bin/highrank.js", "--version"], { cwd: folder });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text) => {
      stderr += text;
    });
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

const started = (stderr: string): CommandResult => ({ code: 0, stdout: "started\n", stderr });
const BUILDING = "Building highrank, once …\n";

test("the first start in a clone builds it, and the second starts at once", () =>
  withClone(async (folder) => {
    expect(await start(folder)).toEqual(started(BUILDING));
    expect(await start(folder)).toEqual(started(""));
    expect((await readdir(folder)).sort()).toEqual([
      ...["bin", "dist", "node_modules"],
      "package.json",
      "src",
      "tsconfig.build.json",
    ]);
  }));

test("two first starts at once both start", () =>
  withClone(async (folder) => {
    expect(await Promise.all([start(folder), start(folder)])).toEqual([started(BUILDING), started(BUILDING)]);
    expect((await readdir(folder)).filter((name) => name.startsWith("dist"))).toEqual(["dist"]);
  }));

test("where it cannot be built, one line says what to do", () =>
  withClone(async (folder) => {
    await writeFile(path.join(folder, "src/cli/main.ts"), "export const wrong: string = 1;\n");
    const failed = await start(folder);
    expect(failed.code).toBe(1);
    expect(failed.stderr).toMatch(/\nerror: highrank could not be built; npm ci && npm run build shows why\n$/);
    expect((await readdir(folder)).filter((name) => name.startsWith("dist"))).toEqual([]);
    await rm(path.join(folder, "node_modules/typescript"));
    const stderr = "error: highrank is not built, and its compiler is not installed; run npm ci\n";
    expect(await start(folder)).toEqual({ code: 1, stdout: "", stderr });
    await rm(path.join(folder, "tsconfig.build.json"));
    const packed = "error: this package was packed without its build; pack it after npm run build\n";
    expect(await start(folder)).toEqual({ code: 1, stdout: "", stderr: packed });
  }));
