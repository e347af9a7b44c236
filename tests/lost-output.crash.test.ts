import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { withFolder } from "./run-command.js";
import { TEXT, writeSmallModel } from "./small-model.js";

const MAIN = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const FULL = "error: cannot write standard output: the disk is full; free some space or choose another folder\n";

/** Runs a command whose standard output is a full disk, or a pipe that nobody reads any more. */
async function runUnheard(args: string, cwd: string, output: "full" | "closed") {
  const full = output === "full" ? openSync("/dev/full", "w") : null;
  const env = { PATH: process.env.PATH };
  const child = spawn(process.execPath, [MAIN, ...args.split(" ")], {
    cwd,
    env,
    stdio: ["ignore", full ?? "pipe", "pipe"],
  });
  child.stdout?.destroy();
  if (full !== null) closeSync(full);
  let stderr = "";
  child.stderr!.setEncoding("utf8").on("data", (text) => {
    stderr += text;
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  return { code, stderr };
}

const TRAIN =
  "--data a.txt --model tiny --vocab-size 270 --sequence-length 16 --batch-size 2 --rank 4 --max-steps 3 --eval-every none";

/** The last record of a run. */
async function endOf(run: string): Promise<string> {
  return JSON.parse((await readFile(path.join(run, "metrics.jsonl"), "utf8")).trimEnd().split("\n").at(-1)!).outcome;
}

describe.each([
  ["full", 3, FULL],
  ["closed", 0, ""],
] as const)("where standard output is %s", (output, code, said) => {
  test.each([
    "--help",
    "completion bash",
    "data a.txt",
    "inspect model",
    "inspect model --json",
    "generate model --prompt The --max-new-tokens 20",
    "merge model --dtype bfloat16 --out merged",
  ])(`%s ends with code ${code}`, async (args) => {
    await withFolder({ "a.txt": TEXT }, async (cwd) => {
      await writeSmallModel(path.join(cwd, "model"));
      expect(await runUnheard(args, cwd, output)).toEqual({ code, stderr: said });
    });
  });

  test("a run and a study go on to their end", async () => {
    const note = said === "" ? "" : `${said.replace("error", "note").trimEnd()}; the work goes on\n`;
    await withFolder({ "a.txt": TEXT }, async (cwd) => {
      expect(await runUnheard(`train ${TRAIN} --out run`, cwd, output)).toEqual({ code: 0, stderr: note });
      expect(await endOf(path.join(cwd, "run"))).toBe("done");
      expect(await runUnheard("resume run --max-steps 5", cwd, output)).toEqual({ code: 0, stderr: note });
      const sweep = `train ${TRAIN} --sweep lr=1e-3,1e-4 --out study`;
      expect(await runUnheard(sweep, cwd, output)).toEqual({ code: 0, stderr: note });
      expect(await readdir(path.join(cwd, "study"))).toContain("report.html");
    });
  });

  test("a run is saved before its result is missed", async () => {
    await withFolder({ "a.txt": TEXT }, async (cwd) => {
      const ended = await runUnheard(`train ${TRAIN} --out run --json`, cwd, output);
      expect(ended.code).toBe(code);
      expect(ended.stderr.endsWith(`peak memory ${/(\S+ MiB)\n/.exec(ended.stderr)![1]}\n${said}`)).toBe(true);
      expect(await endOf(path.join(cwd, "run"))).toBe("done");
    });
  });
});

test("an error keeps its exit code where nobody reads its object", async () => {
  await withFolder({}, async (cwd) => {
    expect((await runUnheard("inspect nowhere --json", cwd, "closed")).code).toBe(3);
    expect((await runUnheard("trian --json", cwd, "closed")).code).toBe(2);
  });
});
