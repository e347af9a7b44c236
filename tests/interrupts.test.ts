import { spawn } from "node:child_process";
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
