import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { parseMetrics } from "../src/runs/metrics.js";
import { listTree, runCommand, withFolder } from "./run-command.js";

const MAIN = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const TEXT = Array.from({ length: 60 }, (_, i) => `The ${i % 7}th cat sat on mat number ${i}.`).join("\n\n");
const FLAGS = "--model tiny --data a.txt --vocab-size 280 --sequence-length 16 --batch-size 2 --rank 4 --out run".split(
  " ",
);

test("train with --json prints one object, everything else goes to standard error, and the run folder is complete", async () => {
  await withFolder({ "a.txt": TEXT }, async (cwd) => {
    const args = ["train", ...FLAGS, "--max-steps", "6", "--warm-start-steps", "2", "--relora-every", "2", "--json"];
    const { code, stdout, stderr } = await runCommand(args, { cwd });
    expect(stderr).toMatch(/^Reading a.txt/);
    expect(stderr).toContain("merge   cycle 2");
    expect(code).toBe(0);
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({ outcome: "done", step: 6, runFolder: "run", start: { model: "tiny", maxSteps: 6 } });
    const records = parseMetrics(await readFile(path.join(cwd, "run/metrics.jsonl"), "utf8"));
    expect(records.filter((record) => record.kind === "step")).toHaveLength(6);
    expect(records.filter((record) => record.kind === "merge").map((record) => record.step)).toEqual([4, 6]);
    expect(result.heldOutLoss).toBe(records.findLast((record) => record.kind === "eval")?.loss);
    const report = await readFile(path.join(cwd, "run/report.html"), "utf8");
    expect(report).toContain("Rank of the accumulated update");
    const same = await runCommand(["eval", "run", "--data", "a.txt"], { cwd });
    expect(same.stdout).toMatch(/^tokens .*, in rows of 16$/m);
    const other = await runCommand(["eval", "run", "--data", "a.txt", "--sequence-length", "8"], { cwd });
    expect(other.stdout).toMatch(/^tokens .*, in rows of 8; the run trained on rows of 16: --sequence-length 16$/m);
    for (const flag of ["--model", "--tokenizer"]) {
      const data = await runCommand(["data", "a.txt", flag, "run", "--json"], { cwd });
      expect(JSON.parse(data.stdout).vocabSize).toBe(280);
    }
  });
});

test("settings of a file that change nothing are told, and those of a finished run's file are not", async () => {
  const lines = ["model: tiny", "data: a.txt", "method: lora", "restart: when-full", "relora: 5", "rank: 4"];
  const more = ["vocabSize: 280", "sequenceLength: 16", "batchSize: 2", "maxSteps: 2", "out: run"];
  await withFolder({ "a.txt": TEXT, "c.yaml": [...lines, ...more].join("\n") }, async (cwd) => {
    const { stderr, code } = await runCommand(["train", "c.yaml"], { cwd });
    expect(stderr).toMatch(/^c.yaml: restart is for method relora, and changes nothing here.$/m);
    expect(stderr).toMatch(/^c.yaml: relora is for method relora, and changes nothing here.$/m);
    expect(code).toBe(0);
    const again = await runCommand(["train", "run/config.resolved.json", "--out", "again"], { cwd });
    expect(again).toMatchObject({ code: 0, stderr: expect.not.stringContaining("changes nothing") });
  });
});

test("a dry run tells the plan and writes nothing", async () => {
  await withFolder({ "a.txt": TEXT }, async (cwd) => {
    const { code, stdout } = await runCommand(["train", ...FLAGS, "--max-steps", "6", "--dry-run"], { cwd });
    expect(stdout).toContain("full-rank step, then 5 steps with adapters");
    expect(stdout).toContain("dry run: nothing was trained or written");
    expect(code).toBe(0);
    expect(await listTree(cwd)).toEqual(["a.txt"]);
  });
});

test("the header names the quickstart, which a named model does without", async () => {
  await withFolder({ "a.txt": TEXT }, async (cwd) => {
    const headerOf = async (...flags: string[]) => {
      const { stdout } = await runCommand(["train", "--data", "a.txt", "--dry-run", ...flags], { cwd });
      return stdout.replace(/\n {8}/g, " ");
    };
    const quick = ["--rank", "4", "--vocab-size", "280", "--sequence-length", "16"];
    expect(await headerOf(...quick)).toMatch(
      /^model {3}nano, .*\njob {5}from scratch, preset quickstart: .*\nbase {4}nf4 .*\nrate {4}2e-3, 4e-3 of the adapters/m,
    );
    expect(await headerOf(...quick, "--model", "tiny", "--batch-size", "2")).toMatch(
      /^model {3}tiny, .*\njob {5}from scratch: .*\nrate {4}1e-3, 1e-3 of the adapters(.*\n)+steps {3}10000: /m,
    );
    // Each rate at which something trains.
    const lora = [...quick, "--model", "tiny", "--method", "lora", "--warm-start-steps", "0", "--max-steps", "4"];
    const rates = ["--lr", "1e-2", "--adapter-lr", "2e-3", "--lora-plus-ratio", "16"];
    expect(await headerOf(...lora, ...rates)).toMatch(/^rate {4}1e-2, 2e-3 of the adapters, 3\.2e-2 of their B, /m);
    expect(await headerOf(...lora, "--lr", "1e-2")).toMatch(/^rate {4}1e-2, falling/m);
  });
});

test.each<[string, (child: ChildProcessWithoutNullStreams) => void, number]>([
  ["an interrupt", (child) => child.kill("SIGINT"), 130],
  ["a request to quit", (child) => child.kill("SIGQUIT"), 131],
  ["a request to end", (child) => child.kill("SIGTERM"), 143],
  ["a closed terminal", (child) => child.kill("SIGHUP"), 129],
])("%s saves a checkpoint and ends with its exit code", async (_, interrupt, expected) => {
  await withFolder({ "a.txt": TEXT }, async (cwd) => {
    const flags = ["--max-steps", "20000", "--eval-every", "20", "--sample-tokens", "0"];
    const child = spawn(process.execPath, [MAIN, "train", ...FLAGS, ...flags], { cwd });
    let output = "";
    let interrupted = false;
    child.stdout.setEncoding("utf8").on("data", (text) => {
      output += text;
      if (interrupted || !output.includes("tok/s")) return;
      interrupted = true;
      interrupt(child);
    });
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect(code).toBe(expected);
    const last = (await readFile(path.join(cwd, "run/last"), "utf8")).trim();
    expect(await listTree(path.join(cwd, "run", last))).toContain("state.json");
    expect(output).toContain("Stopping and saving after this step");
    expect(output).toMatch(new RegExp(`^saved {3}run/${last}$`, "m"));
    expect(output).toContain("Next: highrank resume run");
  });
});
