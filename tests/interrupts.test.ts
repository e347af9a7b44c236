import { spawn } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const MODULE = fileURLToPath(new URL("../dist/cli/interrupts.js", import.meta.url));

/** A program that works until the first interrupt and then takes another second to save. */
const PROGRAM = `
const { withInterrupts } = await import(${JSON.stringify(MODULE)});
let stop;
const stopped = new Promise((resolve) => { stop = resolve; });
const work = stopped.then(() => new Promise((resolve) => setTimeout(resolve, Number(process.argv[1]), "saved")));
const alive = setInterval(() => {}, 1000);
const done = withInterrupts(() => { console.log("stopping"); stop(); return process.argv[2]; }, work);
console.log("working");
console.log(await done);
clearInterval(alive);
process.exitCode = 130;
`;

/** Runs the program, sends an interrupt after each of the lines, and resolves to all that it printed. */
function run(
  saveMs: number,
  interruptAfter: readonly string[],
  answer: "wait" | "quit" = "wait",
): Promise<{ code: number | null; lines: string[] }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", PROGRAM, String(saveMs), answer]);
    let output = "";
    let sent = 0;
    child.stdout.setEncoding("utf8").on("data", (text) => {
      output += text;
      while (sent < interruptAfter.length && output.includes(interruptAfter[sent]!)) {
        sent++;
        child.kill("SIGINT");
      }
    });
    child.on("close", (code) => resolve({ code, lines: output.trim().split("\n") }));
  });
}

test("the first interrupt lets the work end in order", async () => {
  expect(await run(10, ["working"])).toEqual({ code: 130, lines: ["working", "stopping", "saved"] });
});

test("the second interrupt ends the process at once", async () => {
  expect(await run(60_000, ["working", "stopping"])).toEqual({ code: 130, lines: ["working", "stopping"] });
});

test("the first interrupt ends the process where there is nothing to save", async () => {
  expect(await run(60_000, ["working"], "quit")).toEqual({ code: 130, lines: ["working", "stopping"] });
});

const PLATFORM = fileURLToPath(new URL("../dist/platform/node.js", import.meta.url));

/** A program that writes a folder, and takes an hour for it if it is asked to. */
const WRITER = `
const { withoutLeftovers } = await import(${JSON.stringify(MODULE)});
const { joinPath, writeFileAtomic, writeFolderAtomic } = await import(${JSON.stringify(PLATFORM)});
const fill = async (folder) => {
  await writeFileAtomic(joinPath(folder, "whole.txt"), "x");
  const slow = async function* () {
    yield new Uint8Array(10);
    console.log("writing");
    await new Promise((resolve) => setTimeout(resolve, Number(process.argv[2])));
  };
  await writeFileAtomic(joinPath(folder, "half.txt"), slow());
};
await withoutLeftovers(() => writeFolderAtomic(process.argv[1], fill));
`;

function write(target: string, milliseconds: number, signal?: NodeJS.Signals): Promise<number | NodeJS.Signals | null> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", WRITER, target, String(milliseconds)]);
    child.stdout.on("data", () => signal !== undefined && child.kill(signal));
    child.on("close", (code, killedBy) => resolve(code ?? killedBy));
  });
}

test("an interrupt removes what is not whole, and what a kill leaves goes when the same is written again", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "highrank-interrupts-"));
  const target = path.join(folder, "out");
  const [hour, left] = [3_600_000, (): Promise<string[]> => readdir(folder)];
  expect([await write(target, hour, "SIGINT"), await left()]).toEqual([130, []]);
  expect([await write(target, hour, "SIGTERM"), await left()]).toEqual([143, []]);
  await write(target, hour, "SIGKILL");
  await write(`${target}.b`, hour, "SIGKILL");
  const names = await left();
  expect(names).toHaveLength(2);
  expect([await write(target, 0), (await left()).sort()]).toEqual([
    0,
    [names.find((each) => each.includes(".b.")), "out"],
  ]);
  await rm(folder, { recursive: true });
});
