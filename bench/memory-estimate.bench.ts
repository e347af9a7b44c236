// How close is the estimate of a run's memory, made before its first step, to the peak that the run reaches? Each run is
// a process of its own.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { type MemoryEstimate, parseMetrics, totalBytes } from "../src/runs/metrics.js";
import { markdownTable, setting, settingLine, writeResult } from "./report.js";
import { REPOSITORY } from "./step-options.js";

const { values: flags } = parseArgs({
  options: {
    models: { type: "string", default: "nano,9m,60m" },
    only: { type: "string", default: "" },
    steps: { type: "string", default: "3" },
    out: { type: "string" },
  },
});

/** Settings of each run, beside those that all have. */
const RUNS: readonly (readonly string[])[] = [
  ["--method", "full", "--quantize", "none"],
  ["--method", "lora", "--quantize", "none"],
  ["--method", "lora", "--quantize", "nf4"],
  ["--method", "relora", "--quantize", "none"],
  ["--method", "relora", "--quantize", "nf4"],
  ["--method", "relora", "--quantize", "int8"],
  ["--method", "relora", "--quantize", "none", "--checkpointing"],
  ["--method", "relora", "--quantize", "nf4", "--checkpointing"],
  ["--method", "relora", "--quantize", "none", "--sequence-length", "64"],
  ["--method", "relora", "--quantize", "none", "--sequence-length", "1024", "--batch-size", "1"],
  ["--method", "relora", "--quantize", "nf4", "--sequence-length", "1024", "--batch-size", "1", "--checkpointing"],
  ["--method", "full", "--quantize", "none", "--total-batch-size", "16"],
];

interface Measured {
  readonly model: string;
  readonly settings: string;
  readonly estimate: MemoryEstimate;
  readonly peakBytes: number;
}

const started = setting();
const folder = mkdtempSync(join(tmpdir(), "highrank-bench-"));
const results: Measured[] = [];
try {
  for (const model of flags.models.split(",")) {
    for (const settings of RUNS) {
      if (settings.join(" ").includes(flags.only)) results.push(measure(model, settings));
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}

function measure(model: string, settings: readonly string[]): Measured {
  const out = join(folder, "run");
  const every = Math.floor(Number(flags.steps) / 3);
  const cycles = settings.includes("relora") ? ["--relora-every", String(every), "--restart-warmup-steps", "0"] : [];
  const adapters = settings.includes("full") ? [] : ["--warm-start-steps", "0"];
  const data = existsSync(model) ? ["--data", "builtin:wordnet"] : [];
  const batch = settings.includes("--batch-size") ? [] : ["--batch-size", "4"];
  const rows = settings.includes("--sequence-length") ? [] : ["--sequence-length", "256"];
  const common = ["--max-steps", flags.steps, "--warmup-steps", "1", "--eval-tokens", "1000", "--sample-tokens", "0"];
  execFileSync(
    process.execPath,
    [
      ...[join(REPOSITORY, "dist/cli/main.js"), "train", "--model", model, "--out", out, "--overwrite"],
      ...[...data, ...common, ...cycles, ...adapters, ...batch, ...rows, ...settings],
    ],
    { stdio: ["ignore", "ignore", "inherit"] },
  );
  const records = parseMetrics(readFileSync(join(out, "metrics.jsonl"), "utf8"));
  const start = records.find((record) => record.kind === "start");
  const end = records.findLast((record) => record.kind === "end");
  if (start?.kind !== "start" || end?.kind !== "end") throw new Error(`${model}: the run did not end`);
  const measured = {
    model: basename(model),
    settings: settings.join(" "),
    estimate: start.memory,
    peakBytes: end.peakMemoryBytes,
  };
  console.error(row(measured).join(" | "), JSON.stringify(mebibytes(start.memory)));
  return measured;
}

function row({ model, settings, estimate, peakBytes }: Measured): string[] {
  const total = totalBytes(estimate);
  const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);
  return [`${model} ${settings}`, mib(total), mib(peakBytes), (total / peakBytes).toFixed(3)];
}

function mebibytes(parts: MemoryEstimate): Record<string, number> {
  return Object.fromEntries(Object.entries(parts).map(([part, bytes]) => [part, Math.round(bytes / 2 ** 20)]));
}

console.log(markdownTable(["run", "estimate, MiB", "peak, MiB", "estimate / peak"], results.map(row)));
console.log(`\n${settingLine(started)}`);
if (flags.out !== undefined) writeResult(flags.out, { setting: started, flags, results });
