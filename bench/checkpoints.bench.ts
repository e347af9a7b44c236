// What do checkpoints cost the default run, in time and bytes, and how soon does it end when a supervisor asks it to?
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { parseMetrics } from "../src/runs/metrics.js";
import { Rng } from "../src/tensor/random.js";
import { markdownTable, setting, settingLine, writeResult } from "./report.js";
import { REPOSITORY } from "./step-options.js";

const MIB = 2 ** 20;
const { values: flags } = parseArgs({
  options: {
    stops: { type: "string", default: "8" },
    seed: { type: "string", default: "0" },
    out: { type: "string" },
  },
});
const started = setting();
const folder = mkdtempSync(join(tmpdir(), "highrank-bench-"));
const run = join(folder, "run");

/** Starts the built command and waits for its first step. */
async function start(...args: string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(REPOSITORY, "dist/cli/main.js"), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise<void>((resolve) => {
    child.stdout!.on("data", (chunk) => void (/tok\/s/.test(String(chunk)) && resolve()));
  });
  return child;
}

// The run is stopped at random moments and resumed until it is done; no wait is longer than what is left of it.
const rng = new Rng(Number(flags.seed), "stops");
const stops: { step: number; seconds: number }[] = [];
let child = await start("train", "--out", run);
for (let stop = 0; stop < Number(flags.stops); stop++) {
  await Promise.race([sleep(1000 + 50_000 * rng.uniform()), once(child, "exit")]);
  if (child.exitCode !== null) break;
  const asked = performance.now();
  child.kill("SIGTERM");
  await once(child, "exit");
  if (child.exitCode !== 143) break;
  stops.push({ step: lastStep(), seconds: (performance.now() - asked) / 1000 });
  child = await start("resume", run);
}
if (child.exitCode === null) await once(child, "exit");

function lastStep(): number {
  return Number(readFileSync(join(run, "last"), "utf8").trim().replace("checkpoint-", ""));
}

function bytesOf(path: string): number {
  if (!statSync(path).isDirectory()) return statSync(path).size;
  return readdirSync(path).reduce((sum, name) => sum + bytesOf(join(path, name)), 0);
}

const end = parseMetrics(readFileSync(join(run, "metrics.jsonl"), "utf8")).findLast((record) => record.kind === "end");
if (end?.kind !== "end" || end.outcome !== "done") throw new Error("the run did not end");
const saves = stops.length + 4;
const share = end.savingSeconds / saves;
const longest = Math.max(...stops.map(({ seconds }) => seconds));
console.log(
  markdownTable(
    ["checkpoints of the default run", ""],
    [
      ["written", `${saves}, of which ${stops.length} on request`],
      ["seconds for one", share.toFixed(3)],
      [
        "share of the training time, four of them",
        `${((100 * 4 * share) / (end.seconds - stops.length * share)).toFixed(2)} %`,
      ],
      ["a checkpoint, MiB", (bytesOf(join(run, `checkpoint-${String(end.step).padStart(6, "0")}`)) / MIB).toFixed(1)],
      ["a cycle of the delta log, MiB", (bytesOf(join(run, "deltas/cycle-000001.safetensors")) / MIB).toFixed(1)],
      ["the base, MiB", (bytesOf(join(run, "base")) / MIB).toFixed(1)],
      [
        "from SIGTERM to the end of the process, mean and longest, s",
        `${mean(stops).toFixed(2)}, ${longest.toFixed(2)}`,
      ],
    ],
  ),
);
console.log(`\n${settingLine(started)}`);
if (flags.out !== undefined) writeResult(flags.out, { setting: started, flags, stops, end, saves });
rmSync(folder, { recursive: true });

function mean(of: readonly { seconds: number }[]): number {
  return of.reduce((sum, { seconds }) => sum + seconds, 0) / of.length;
}
