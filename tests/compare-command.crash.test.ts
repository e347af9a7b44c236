import { spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import type * as RunStudy from "../src/studies/run-study.js";
import type * as StudyConfig from "../src/studies/study-config.js";
import type { RunStatus } from "../src/studies/study-run.js";
import type { StudySummary } from "../src/studies/summary.js";
import { animalText } from "./animal-text.js";
import { type CommandResult, runCommand } from "./run-command.js";

// Runs have processes of their own, which run built files, so this takes all from dist/.
const DIST = new URL("../dist/", import.meta.url);
const { startStudy }: typeof RunStudy = await import(new URL("studies/run-study.js", DIST).href);
const { parseStudy }: typeof StudyConfig = await import(new URL("studies/study-config.js", DIST).href);

const CONFIG = `
title: Two ways and a wild one
seeds: [3, 5]
settings:
  model: tiny
  data: text.txt
  vocabSize: 280
  batchSize: 2
  sequenceLength: 16
  maxSteps: 9
  warmStartSteps: 3
  warmupSteps: 1
  lr: 0.01
  rank: 2
  evalEvery: 3
  evalTokens: 100
  sampleTokens: 0
  threads: 1
arms:
  full: {method: full}
  relora: {method: relora, reloraEvery: 3, restartWarmupSteps: 1}
  wild: {method: relora, reloraEvery: 3, restartWarmupSteps: 1, adapterLr: 1e38, maxBadSteps: 0, saveEvery: 3}
reference: {low: relora}
`;

/** Runs take seconds each, more where the machine has other work. */
const TIMEOUT_MS = 300_000;

let folder = "";
let whole: CommandResult;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-compare-"));
  await writeFile(path.join(folder, "text.txt"), animalText());
  await writeFile(path.join(folder, "arms.yaml"), CONFIG);
  whole = await compare("--out", "whole", "--json");
  expect(whole).toMatchObject({ code: 0 });
});
afterAll(() => rm(folder, { recursive: true }));

const compare = (...args: string[]): Promise<CommandResult> =>
  runCommand(["compare", "arms.yaml", ...args], { cwd: folder });

async function readSummary(out: string): Promise<StudySummary> {
  return JSON.parse(await readFile(path.join(folder, out, "summary.json"), "utf8"));
}

/** Without what differs each time that the same is done. */
function timeless(value: unknown): unknown {
  const times = ["seconds", "peakMemoryBytes"];
  return JSON.parse(JSON.stringify(value, (key, part) => (times.includes(key) ? 0 : part)));
}

/** The command, interrupted when it prints that text. */
function interrupted(text: string, ...args: string[]): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    const main = fileURLToPath(new URL("cli/main.js", DIST));
    const child = spawn(process.execPath, [main, "compare", "arms.yaml", ...args], { cwd: folder });
    let output = "";
    let sent = false;
    child.stdout.setEncoding("utf8").on("data", (chunk) => {
      output += chunk;
      if (sent || !output.includes(text)) return;
      sent = true;
      child.kill("SIGINT");
    });
    child.on("close", (code) => resolve({ code, output }));
  });
}

test("what is left of a study is planned without training", async () => {
  const { code, stdout } = await compare("--dry-run");
  expect(code).toBe(0);
  expect(stdout).toMatch(/^relora +3 +9 +288 +to do$/m);
  expect(stdout).toContain("6 runs, 1.73K tokens: 6 to do; 100% of the tokens are left");
});

test("a study of samples is planned with the tokens that they hold, up to those asked for", async () => {
  const pair = (i: number): string => JSON.stringify({ prompt: `mat ${i}:`, completion: " The cat sat." });
  await writeFile(path.join(folder, "pairs.jsonl"), Array.from({ length: 50 }, (_, i) => pair(i)).join("\n"));
  const settings = "{model: tiny, vocabSize: 300, data: pairs.jsonl, maxTrainTokens: 1000, sequenceLength: 64}";
  await writeFile(
    path.join(folder, "pairs.yaml"),
    `settings: ${settings}\narms: {a: {method: lora}, b: {method: full}}`,
  );
  const { stdout } = await runCommand(["compare", "pairs.yaml", "--dry-run", "--json"], { cwd: folder });
  const { runs } = JSON.parse(stdout);
  expect(runs).toHaveLength(2);
  for (const { steps, tokens } of runs) {
    expect(steps).toBeGreaterThan(8);
    expect(Math.abs(1000 - tokens)).toBeLessThan(1000 / steps);
  }
});

test("every arm is run with every seed, and one that diverges is a result", async () => {
  expect(JSON.parse(whole.stdout)).toMatchObject({ outcome: "done", folder: "whole" });
  const { arms, warmStarts, spectra } = await readSummary("whole");
  expect(arms.map(({ name, loss, diverged }) => [name, loss?.n ?? 0, diverged])).toEqual([
    ["full", 2, 0],
    ["relora", 2, 0],
    ["wild", 0, 2],
  ]);
  expect(arms.map(({ merges, mergesKept }) => [merges, mergesKept])).toEqual([
    [0, null],
    [2, true],
    [0, null],
  ]);
  expect(warmStarts.map((group) => [group.seed, group.arms, group.passing])).toEqual([
    [3, ["relora"], ["full"]],
    [5, ["relora"], ["full"]],
  ]);
  expect(spectra!.without).toEqual([{ arm: "wild", why: "it diverged" }]);
  expect(spectra!.arms.map(({ arm, bound }) => [arm, bound])).toEqual([
    ["full", null],
    ["relora", 4],
  ]);
  for (const { kinds, bound } of spectra!.arms) {
    expect(kinds).toHaveLength(7);
    const counts = kinds.map(({ aboveRelative, layers }) => aboveRelative / layers);
    if (bound === null) expect(Math.min(...counts)).toBeGreaterThan(4);
    else expect(Math.max(...counts)).toBe(bound);
  }
  expect(await readFile(path.join(folder, "whole/report.md"), "utf8")).toContain("| relora | 2 of 2 |");
  expect(await readFile(path.join(folder, "whole/report.html"), "utf8")).toContain("Two ways and a wild one");
});

test("the same command goes on where it was interrupted, and comes to the same", { timeout: TIMEOUT_MS }, async () => {
  const first = await interrupted("run     2/6", "--out", "parts", "--parallel", "2");
  expect(first.code).toBe(130);
  expect(first.output).toContain("Next: highrank compare arms.yaml --out parts --parallel 2");
  expect((await readSummary("parts")).runs.ended).toBeLessThan(6);
  expect(await compare("--out", "parts", "--parallel", "2")).toMatchObject({ code: 0 });
  expect(timeless(await readSummary("parts"))).toEqual(timeless(await readSummary("whole")));
});

test("what is done stays as it is, and must not be made otherwise", async () => {
  const before = await readSummary("whole");
  const again = await compare("--out", "whole");
  expect(again.code).toBe(0);
  expect(again.stdout).toContain("4 done, 2 diverged; nothing is left");
  expect(again.stdout).not.toMatch(/^run /m);
  expect(await readSummary("whole")).toEqual(before);

  await writeFile(
    path.join(folder, "changed.yaml"),
    CONFIG.replace("reloraEvery: 3, restart", "reloraEvery: 2, restart"),
  );
  const refused = await runCommand(["compare", "changed.yaml", "--out", "whole"], { cwd: folder });
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain("whole/runs/relora/seed-3 was made with other settings: reloraEvery was 3, is 2");
});

test("a run whose metrics have lost steps is refused, and so are a user's own reports", async () => {
  await cp(path.join(folder, "whole"), path.join(folder, "cut"), { recursive: true });
  const metrics = path.join(folder, "cut/runs/relora/seed-3/metrics.jsonl");
  const lines = (await readFile(metrics, "utf8")).split("\n");
  await writeFile(metrics, lines.filter((line) => !line.startsWith('{"kind":"step","step":4,')).join("\n"));
  const cut = await compare("--out", "cut");
  expect(cut.stderr).toContain("seed-3/metrics.jsonl: has 8 of the 9 steps, too few to compare the run by; remove ");
  expect(cut.code).toBe(3);
  await mkdir(path.join(folder, "own"));
  await writeFile(path.join(folder, "own/report.md"), "My thesis");
  await writeFile(path.join(folder, "own/summary.json"), '{"title": "My thesis"}');
  expect(await compare("--out", "own")).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("own holds report.md, summary.json, which is no part of a study"),
  });
});

test("by the library a run that fails ends the study with its name", { timeout: TIMEOUT_MS }, async () => {
  const text = CONFIG.replaceAll("text.txt", path.join(folder, "text.txt")).replace("[3, 5]", "[3]");
  const study = parseStudy(text, "arms.yaml", "arms");
  const out = path.join(folder, "library");
  await mkdir(path.join(out, "runs/relora/seed-3"), { recursive: true });
  await writeFile(path.join(out, "runs/relora/seed-3/mine.txt"), "mine");
  const ended: string[] = [];
  const onEnd = ({ run, phase }: RunStatus): void => void ended.push(`${run.arm} ${phase}`);
  await expect(startStudy(study, { out, onEnd }).done).rejects.toThrow(
    /^arm relora, seed 3: out: .* holds no run of highrank/,
  );
  expect(ended).toEqual(["full done"]);

  await rm(path.join(out, "runs/relora"), { recursive: true });
  const { outcome, summary } = await startStudy(study, { out, onEnd }).done;
  expect(outcome).toBe("done");
  expect(ended).toEqual(["full done", "relora done", "wild diverged"]);
  const { arms } = await readSummary("whole");
  const losses = (of: StudySummary["arms"]): unknown[] => of.map(({ runs }) => runs[0]!.loss);
  expect(losses(summary.arms)).toEqual(losses(arms));
});
