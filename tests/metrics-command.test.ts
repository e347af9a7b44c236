import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { formatMetricsLine, type MetricsRecord } from "../src/runs/metrics.js";
import { readMetrics } from "../src/verbs/metrics.js";
import { type Files, runCommand, withFolder } from "./run-command.js";

const RECORDS: readonly MetricsRecord[] = [
  { kind: "eval", step: 0, loss: 3, perplexity: 20, tokens: 40, sample: "", seconds: 1 },
  ...Array.from(
    { length: 60 },
    (_, i): MetricsRecord => ({
      ...({ kind: "step", step: i + 1, tokens: 100 * (i + 1), loss: 3 + (i % 2) / 10, learningRate: 1e-3 } as const),
      ...{ gradNorm: 1, tokensPerSecond: 50, cycle: 0, phase: "full", seconds: i + 2 },
    }),
  ),
  { kind: "eval", step: 60, loss: 3.5, perplexity: 33, tokens: 40, sample: "\u001b[31m", seconds: 70 },
  {
    ...({ kind: "end", step: 60, outcome: "done", modelStep: 60, tokens: 6000, skipped: 0, seconds: 71 } as const),
    ...{ savingSeconds: 0, peakMemoryBytes: 1 },
  },
];
const FILES: Files = { "run/metrics.jsonl": `${RECORDS.map(formatMetricsLine).join("")}{"kind":"st` };

test("metrics shows a run in lines that fit, writes it as CSV, and gives all records as JSON", async () => {
  await withFolder(FILES, async (folder) => {
    const run = (...args: string[]) => runCommand(["metrics", ...args], { cwd: folder });
    const shown = await run("run");
    expect(shown).toMatchObject({ code: 0, stderr: "" });
    const lines = shown.stdout.split("\n");
    expect(lines[0]).toMatch(/^step +tokens +time +loss +rate +gradient +tok\/s +held out$/);
    expect(lines.slice(1, 21).at(-1)).toMatch(/^ +60 +6\.00K +1m 01s +3\.0\d{3} +1\.00e-3 +1\.000 +50 +3\.5000$/);
    expect(lines.slice(21, 23)).toEqual(["", "training loss 3.0500, mean of 6 steps"]);
    expect(shown.stdout).toContain("warning The held-out loss is worse than before");
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);

    const printed = await run("run", "--csv");
    const rows = printed.stdout.split("\r\n");
    expect(rows).toHaveLength(1 + 61 + 1);
    expect(rows[61]).toBe("60,full,0,6000,61,3.1,0.001,1,50,3.5,33,40");
    const written = await run("run", "--out", "a/run.csv");
    expect(written.stdout).toBe("61 rows: a/run.csv\n");
    expect(await readFile(`${folder}/a/run.csv`, "utf8")).toBe(printed.stdout);

    const { records, warnings } = JSON.parse((await run("run", "--json")).stdout);
    expect(records).toEqual(RECORDS);
    expect(warnings.map(({ kind }: { kind: string }) => kind)).toContain("held-out-worse");
    const found = await readMetrics(`${folder}/run`);
    expect(found.records).toEqual(RECORDS);
    expect(found.table().rows).toHaveLength(61);
  });
});

test("what is no run, a file that is there and two forms at once are refused", async () => {
  await withFolder({ ...FILES, "notes/a.txt": "a", "run.csv": "mine" }, async (folder) => {
    const run = (...args: string[]) => runCommand(["metrics", ...args], { cwd: folder });
    expect(await run("notes")).toMatchObject({ code: 3, stderr: expect.stringContaining("metrics.jsonl is missing") });
    expect(await run("run", "--out", "run.csv")).toMatchObject({ code: 2, stderr: expect.stringContaining("exists") });
    expect(await run("run", "--csv", "--json")).toMatchObject({ code: 2 });
  });
});
