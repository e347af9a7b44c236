// How long is a step on chats that are far shorter than the sequence length? The command `train` takes turns with TRL.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { parseMetrics } from "../src/runs/metrics.js";
import { markdownTable, setting, settingLine, writeResult } from "./report.js";
import { lastLineOf, peerModel, peers } from "./side-process.js";
import { REPOSITORY } from "./step-options.js";

const { values: flags } = parseArgs({
  options: {
    model: { type: "string", default: "smollm2-135m" },
    data: { type: "string", default: "examples/chats.jsonl" },
    rank: { type: "string", default: "16" },
    batch: { type: "string", default: "4" },
    sequence: { type: "string", default: "256" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "3" },
    steps: { type: "string", default: "20" },
    warmup: { type: "string", default: "2" },
    out: { type: "string" },
  },
});
const [rounds, warmup] = [Number(flags.rounds), Number(flags.warmup)];
const { data, rank, batch, sequence, steps, threads } = flags;
const model = peerModel(flags.model);

interface ChatRun {
  /** Weights that are trained. */
  readonly trained: number;
  readonly ms: readonly number[];
  readonly losses: readonly number[];
  readonly peakBytes: number;
}

const started = setting();
const sides: Readonly<Record<string, () => ChatRun>> = { highrank, TRL: trl };
const runs = Object.fromEntries(Object.keys(sides).map((side) => [side, [] as ChatRun[]]));
for (let round = 0; round < rounds; round++) {
  const order = Object.keys(sides);
  for (const side of round % 2 === 0 ? order : order.reverse()) runs[side]!.push(sides[side]!());
}

const [ours, theirs] = [runs.highrank!, runs.TRL!];
if (ours[0]!.trained !== theirs[0]!.trained) {
  throw new Error(`the sides train ${ours[0]!.trained} and ${theirs[0]!.trained} weights`);
}
const mean = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0) / values.length;
const msOf = (all: readonly ChatRun[]): number => mean(all.flatMap(({ ms }) => ms.slice(warmup)));
// The chats are the same; their order and the first factors A differ.
const firstLoss = (all: readonly ChatRun[]): number => mean(all.map(({ losses }) => losses[0]!));
if (Math.abs(firstLoss(ours) - firstLoss(theirs)) > 0.3) {
  throw new Error(`the sides begin with losses of ${firstLoss(ours)} and ${firstLoss(theirs)}`);
}
const peak = (all: readonly ChatRun[]): number => Math.max(...all.map(({ peakBytes }) => peakBytes));
const rows = Object.entries(runs).map(([side, all]) => [
  side,
  msOf(all).toFixed(0),
  (msOf(ours) / msOf(all)).toFixed(2),
  (peak(all) / 2 ** 20).toFixed(0),
  (peak(ours) / peak(all)).toFixed(2),
  `${firstLoss(all).toFixed(2)} to ${mean(all.map(({ losses }) => losses.at(-1)!)).toFixed(2)}`,
]);
console.log(`${markdownTable(["side", "mean ms of a step", "highrank / side", "MiB", "highrank / side", "loss"], rows)}

${batch} chats of ${data} a step, sequence length ${sequence}, LoRA of rank ${rank} on all linears, every token scored, ${threads} threads, float32.
${rounds} rounds of ${steps} steps, of which ${warmup} to warm up.
${settingLine(started)}`);
if (flags.out !== undefined) writeResult(flags.out, { setting: started, flags, runs });

function highrank(): ChatRun {
  const folder = mkdtempSync(join(tmpdir(), "highrank-bench-"));
  try {
    const run = join(folder, "run");
    const shape = ["--batch-size", batch, "--sequence-length", sequence, "--rank", rank, "--threads", threads];
    const length = ["--max-steps", steps, "--eval-every", "none", "--eval-tokens", "16", "--sample-tokens", "0"];
    const rates = ["--lr", "1e-4", "--schedule", "constant", "--warmup-steps", "0"];
    const args = ["train", "--model", model, "--data", data, "--out", run, "--train-on-inputs"];
    execFileSync(process.execPath, ["bin/highrank.js", ...args, ...shape, ...length, ...rates], {
      cwd: REPOSITORY,
      stdio: "ignore",
    });
    const records = parseMetrics(readFileSync(join(run, "metrics.jsonl"), "utf8"));
    const done = records.filter((record) => record.kind === "step");
    const seconds = done.map((record) => record.seconds!);
    return {
      trained: records.find((record) => record.kind === "start")!.trainableParameters,
      // The time of a step ends with its record, and the first began with the process.
      ms: seconds.map((value, step) => 1e3 * (value - (seconds[step - 1] ?? 0))),
      losses: done.map(({ loss }) => loss),
      peakBytes: records.find((record) => record.kind === "end")!.peakMemoryBytes,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function trl(): ChatRun {
  const args = Object.entries({ model, data, rank, batch, sequence, steps, threads });
  const script = [
    join(REPOSITORY, "bench/sides/trl-chats.py"),
    ...args.flatMap(([name, value]) => [`--${name}`, value]),
  ];
  return lastLineOf(peers(), script);
}
