// How soon does `watch` show a run of 100,000 steps, how much memory does it take, and what does it cost the run that it
// follows?
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { parseArgs } from "node:util";
import { formatMetricsLine, type MetricsRecord, parseMetrics } from "../src/runs/metrics.js";
import { Rng } from "../src/tensor/random.js";
import { markdownTable, median, setting, settingLine, writeResult } from "./report.js";
import { REPOSITORY } from "./step-options.js";

const { values: flags } = parseArgs({
  options: {
    steps: { type: "string", default: "100000" },
    rounds: { type: "string", default: "5" },
    out: { type: "string" },
  },
});
const steps = Number(flags.steps);
const started = setting();
const folder = mkdtempSync(join(tmpdir(), "highrank-bench-"));
const MAIN = join(REPOSITORY, "dist/cli/main.js");
const TRAINING = ["--model", "tiny", "--max-steps", "150", "--warm-start-steps", "20", "--relora-every", "40"];

/** The records of a long run: a merge each 1000 steps, an evaluation each 500. */
function* recordsOf(count: number): Generator<MetricsRecord> {
  const rng = new Rng(0, "watch");
  const layers = Array.from({ length: 210 }, (_, index) => ({
    name: `model.layers.${Math.floor(index / 7)}.self_attn.${index % 7}_proj`,
    ...{ deltaNorm: rng.uniform(), recovered: 1, codesChanged: null, rank: 30 },
  }));
  for (let step = 1; step <= count; step++) {
    const loss = 2 + 6 * Math.exp(-step / 20_000) + 0.2 * rng.normal();
    const speeds = { tokensPerSecond: 5000 + 100 * rng.normal(), computedPerSecond: 6000 + 100 * rng.normal() };
    const rest = { gradNorm: rng.uniform(), seconds: 0.2 * step + 0.01 * rng.uniform(), cycle: Math.ceil(step / 1000) };
    const learningRate = 1e-3 * (1 - (step % 1000) / 1000);
    yield { kind: "step", step, tokens: 1024 * step, loss, learningRate, ...speeds, ...rest, phase: "adapter" };
    if (step % 500 === 0) {
      const sample = `what the model wrote at step ${step}, which goes on for a while `.repeat(5);
      yield { kind: "eval", step, loss, perplexity: Math.exp(loss), tokens: 4096, sample, seconds: rest.seconds };
    }
    if (step % 1000 !== 0) continue;
    const measures = { lossBefore: loss, lossAfter: loss, deltaNorm: 1, recovered: 1, codesChanged: null };
    const merge = { step, cycle: step / 1000, policy: null, ...measures, probeLogitsChange: 0, rank: 6300, layers };
    yield { kind: "merge", ...merge };
  }
}

async function writeRun(path: string): Promise<void> {
  mkdirSync(path);
  writeFileSync(join(path, "config.resolved.json"), JSON.stringify({ model: "tiny", method: "relora", rank: 8 }));
  const file = createWriteStream(join(path, "metrics.jsonl"));
  for (const record of recordsOf(steps)) if (!file.write(formatMetricsLine(record))) await once(file, "drain");
  file.end();
  await finished(file);
}

/** A watcher with one page that listens, from its start until it is stopped. */
async function watchPage(target: string) {
  const begun = performance.now();
  const child = spawn(process.execPath, [MAIN, "watch", target, "--port", "0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [said] = await once(child.stdout, "data");
  const url = /http:\S+/.exec(String(said))![0];
  const page = await (await fetch(url)).text();
  const leaving = new AbortController();
  const answer = await fetch(`${url}/events`, { signal: leaving.signal });
  const chunks = answer.body!.getReader();
  let heard = "";
  const next = async (): Promise<void> => {
    const { value } = await chunks.read();
    heard += Buffer.from(value!).toString();
  };
  const stop = async (): Promise<void> => {
    leaving.abort();
    child.kill("SIGINT");
    await once(child, "exit");
  };
  return { child, begun, pageBytes: page.length, next, heard: () => heard, chunks, stop };
}

function residentMegabytes({ pid }: ChildProcess, key: "VmRSS" | "VmHWM"): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return (1024 * Number(new RegExp(`${key}:\\s+(\\d+)`).exec(status)![1])) / 1e6;
}

/** Seconds of processor time that a process has taken. Linux counts in hundredths. */
function processorSeconds({ pid }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Time until the page has all of the run, and what the process takes then and took at most. */
async function openLongRun(path: string) {
  const watched = await watchPage(path);
  while (!(watched.heard().includes("event: run") && watched.heard().endsWith("\n\n"))) await watched.next();
  const seconds = (performance.now() - watched.begun) / 1000;
  const sentMegabytes = watched.heard().length / 1e6;
  const [resident, peak] = (["VmRSS", "VmHWM"] as const).map((key) => residentMegabytes(watched.child, key));
  await watched.stop();
  return { seconds, sentMegabytes, resident: resident!, peak: peak! };
}

/** Seconds that a small run trains. */
async function train(out: string): Promise<number> {
  const child = spawn(process.execPath, [MAIN, "train", ...TRAINING, "--out", out], { stdio: "ignore" });
  await once(child, "exit");
  const end = parseMetrics(readFileSync(join(out, "metrics.jsonl"), "utf8")).at(-1);
  if (end?.kind !== "end" || end.outcome !== "done") throw new Error("the run did not end");
  return end.seconds;
}

async function trainWatched(out: string): Promise<{ seconds: number; watcherShare: number }> {
  mkdirSync(out);
  const watched = await watchPage(out);
  const listening = (async () => {
    for (;;) await watched.next();
  })().catch(() => {});
  const before = processorSeconds(watched.child);
  const seconds = await train(out);
  const watcherShare = (processorSeconds(watched.child) - before) / seconds;
  if (!watched.heard().includes('"state":"running"')) throw new Error("the page heard nothing of the run");
  await watched.stop();
  await listening;
  return { seconds, watcherShare };
}

const long = join(folder, "long");
await writeRun(long);
const openings = [];
for (let round = 0; round < Number(flags.rounds); round++) openings.push(await openLongRun(long));
const alone: number[] = [];
const watched: { seconds: number; watcherShare: number }[] = [];
for (let round = 0; round < Number(flags.rounds); round++) {
  const both = [
    async () => void alone.push(await train(join(folder, `alone-${round}`))),
    async () => void watched.push(await trainWatched(join(folder, `watched-${round}`))),
  ];
  for (const run of round % 2 === 0 ? both : both.reverse()) await run();
}
rmSync(folder, { recursive: true });
const ratios = watched.map(({ seconds }, round) => seconds / alone[round]!);
const of = (values: readonly number[], digits: number): string =>
  `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)} to ${Math.max(...values).toFixed(digits)})`;
console.log(
  markdownTable(
    [`watch, a run of ${steps} steps`, "median (range)"],
    [
      [
        "seconds until the page has it, from the start of the command",
        of(
          openings.map(({ seconds }) => seconds),
          2,
        ),
      ],
      [
        "resident MB then",
        of(
          openings.map(({ resident }) => resident),
          0,
        ),
      ],
      [
        "resident MB at most",
        of(
          openings.map(({ peak }) => peak),
          0,
        ),
      ],
      [
        "MB sent",
        of(
          openings.map(({ sentMegabytes }) => sentMegabytes),
          2,
        ),
      ],
      ["seconds of a small run, alone", of(alone, 2)],
      [
        "seconds of a small run, watched",
        of(
          watched.map(({ seconds }) => seconds),
          2,
        ),
      ],
      ["ratio of the two", of(ratios, 3)],
      [
        "processor time of the watcher, as a share of the run's time",
        of(
          watched.map(({ watcherShare }) => watcherShare),
          3,
        ),
      ],
    ],
  ),
);
console.log(`\n${settingLine(started)}`);
if (flags.out !== undefined) writeResult(flags.out, { setting: started, steps, openings, alone, watched });
