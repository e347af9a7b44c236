import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AppendedFile, appendLine, recoverReplaced } from "#platform";
import { HighrankError } from "../../src/base/errors.js";
import { type FaultOptions, HALVES, installFaults } from "./faults.mjs";

let home = "";
beforeAll(async () => {
  home = await mkdtemp(path.join(tmpdir(), "highrank-recover-"));
});
afterAll(async () => rm(home, { recursive: true }));

let folders = 0;
/** A folder as a process leaves it that is killed while it replaces `model`, and another one before it. */
async function interrupted(): Promise<string> {
  const folder = path.join(home, String(folders++));
  const left = { ".model.aa.previous": 10, ".model.bb.previous": 0, ".model.cc.partial": 0, ".last.dd.partial": 0 };
  for (const [name, age] of Object.entries(left)) {
    const inner = path.join(folder, name);
    await mkdir(inner, { recursive: true });
    for (const file of ["a", "b"]) await writeFile(path.join(inner, file), name);
    await utimes(inner, new Date(), Date.now() / 1000 - age);
  }
  return folder;
}

/** Does it with faults installed; what calls it made. */
async function withFaults(options: FaultOptions, act: () => Promise<unknown>) {
  const { calls, remove } = installFaults(options);
  try {
    await act();
  } catch (error) {
    expect(error).toBeInstanceOf(HighrankError);
  } finally {
    remove();
  }
  return calls;
}

test.each([
  ["fails before", { mode: "fail", when: "before" }],
  ["is made and fails", { mode: "fail", when: "after" }],
  ["stops halfway", { mode: "fail", when: "half" }],
  ["kills", { mode: "dead", when: "before" }],
  ["kills halfway", { mode: "dead", when: "half" }],
] as const)("a recovery in which a call %s is completed by the next", async (_, options) => {
  const started = await interrupted();
  const calls = await withFaults({ folder: started }, () => recoverReplaced(started));
  for (const [index, { kind }] of calls.entries()) {
    if (options.when === "half" && !HALVES.includes(kind)) continue;
    const folder = await interrupted();
    await withFaults({ folder, at: index + 1, ...options }, () => recoverReplaced(folder));
    await recoverReplaced(folder);
    expect(await readdir(folder)).toEqual(["model"]);
    for (const file of ["a", "b"]) {
      expect(await readFile(path.join(folder, "model", file), "utf8")).toBe(".model.bb.previous");
    }
  }
});

test.each([
  ["before", "opens its file"],
  ["half", "opens its file"],
  ["before", "has it open"],
  ["half", "has it open"],
] as const)("a line whose writing fails %s it is done leaves the others, where it %s", async (when, how) => {
  const folder = await interrupted();
  const file = path.join(folder, "lines");
  const kept = new AppendedFile();
  const append = (line: string): Promise<unknown> =>
    how === "has it open" ? kept.append(file, `${line}\n`) : appendLine(file, line);
  // What was opened while faults are installed sees them.
  const calls = await withFaults({ folder }, async () => {
    await append("one");
    await append("two");
  });
  const before = calls.length;
  let lines = "one\ntwo\n";
  expect(await readFile(file, "utf8")).toBe(lines);
  await kept.close();
  for (let at = 1; at <= before; at++) {
    if (when === "half" && calls[at - 1]!.kind !== "write") continue;
    const written: string[] = [];
    await withFaults({ folder, at, when }, async () => {
      for (const line of ["three", "four"]) {
        await append(line);
        written.push(line);
      }
    });
    lines += written.map((line) => `${line}\n`).join("");
    expect(await readFile(file, "utf8")).toBe(lines);
    expect(written).not.toContain("four");
    await append("five");
    lines += "five\n";
    await kept.close();
  }
  expect(await readFile(file, "utf8")).toBe(lines);
});
