// How long is one training step? Sides take turns in fresh processes; the table has medians over all rounds.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { stepFlops } from "./flops.js";
import { markdownTable, median, setting, settingLine, writeResult } from "./report.js";
import { SideProcess } from "./side-process.js";
import type { Ready } from "./sides/serve.js";
import { parseStepOptions, REPOSITORY, readPreset, type StepOptions } from "./step-options.js";

interface Measurement {
  ready?: Ready;
  matmulShare?: number | undefined;
  peakBytes?: number;
  readonly ms: number[];
  /** Processor time of all threads. */
  readonly cpuMs: number[];
  readonly losses: number[];
}

const { values: flags } = parseArgs({
  options: {
    sides: { type: "string", default: "highrank,torch" },
    presets: { type: "string", default: "9m,35m,60m" },
    methods: { type: "string", default: "relora,full" },
    vocab: { type: "string", default: "32100" },
    rank: { type: "string", default: "128" },
    batch: { type: "string", default: "4" },
    sequence: { type: "string", default: "256" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "3" },
    steps: { type: "string", default: "4" },
    warmup: { type: "string", default: "2" },
    out: { type: "string" },
  },
});
const [rounds, steps, warmup] = [Number(flags.rounds), Number(flags.steps), Number(flags.warmup)];

function matmulPeak(): number {
  const script = join(REPOSITORY, "dist-bench/bench/sides/matmul-peak.js");
  const output = execFileSync(process.execPath, [script, "--threads", flags.threads], { encoding: "utf8" });
  return (JSON.parse(output) as { gflops: number }).gflops;
}

/** One fresh process of a side: warm-up steps dropped, then `steps` measured ones. */
async function measureOnce(side: string, options: StepOptions, into: Measurement, last: boolean): Promise<void> {
  const child = await SideProcess.start(side, options);
  into.ready = child.ready;
  for (let step = 0; step < warmup + steps; step++) {
    const { ms, cpuMs, loss } = await child.step();
    if (step >= warmup) into.ms.push(ms);
    if (step >= warmup) into.cpuMs.push(cpuMs);
    into.losses[step] = loss;
  }
  into.peakBytes = await child.peakBytes();
  if (last) into.matmulShare = await child.matmulShare();
  await child.quit();
}

/** The sides must have done the same work: as many parameters, and losses that start at ln(vocab) and fall alike. */
function checkAnswers(measured: ReadonlyMap<string, Measurement>, { vocab }: StepOptions): void {
  const [[firstName, first]] = measured as unknown as [[string, Measurement]];
  for (const [side, { ready, losses }] of measured) {
    const fell = losses.every((loss, step) => Number.isFinite(loss) && (step === 0 || loss < losses[step - 1]!));
    if (Math.abs(losses[0]! - Math.log(vocab)) > 0.3 || !fell) {
      throw new Error(`${side}: a loss that starts near ln(${vocab}) and falls was expected, got ${losses.join(", ")}`);
    }
    if (ready!.parameters !== first.ready!.parameters || ready!.trained !== first.ready!.trained) {
      throw new Error(`${side} and ${firstName} differ in parameters: ${JSON.stringify([ready, first.ready])}`);
    }
  }
}

const started = setting();
const peaks = [matmulPeak()];
const sides = flags.sides.split(",");
const results: { name: string; options: StepOptions; gflop: number; measured: [string, Measurement][] }[] = [];

for (const preset of flags.presets.split(",")) {
  for (const method of flags.methods.split(",")) {
    const { vocab, rank, batch, sequence, threads } = flags;
    const shared = Object.entries({ preset, method, vocab, rank, batch, sequence, threads });
    const options = parseStepOptions(shared.flatMap(([name, value]) => [`--${name}`, value]));
    const measured = new Map(sides.map((side): [string, Measurement] => [side, { ms: [], cpuMs: [], losses: [] }]));
    for (let round = 0; round < rounds; round++) {
      const order = round % 2 === 0 ? sides : [...sides].reverse();
      for (const side of order) await measureOnce(side, options, measured.get(side)!, round === rounds - 1);
    }
    checkAnswers(measured, options);
    peaks.push(matmulPeak());
    const gflop = stepFlops(readPreset(preset), options) / 1e9;
    results.push({ name: `${preset} ${method}`, options, gflop, measured: [...measured] });
    console.error(`${preset} ${method} done`);
  }
}

const peak = Math.max(...peaks);
const ratio = `${sides[0]} / side`;
const header = ["step", "median ms", "best ms", ratio, "best processor ms", ratio, "of peak", "matmul", "MiB", ratio];
const rows = results.flatMap(({ name, gflop, measured }) => {
  const [[, first]] = measured as [(typeof measured)[number]];
  return measured.map(([side, { ms, cpuMs, peakBytes, matmulShare }]) => [
    `${name}, ${side}`,
    median(ms).toFixed(0),
    Math.min(...ms).toFixed(0),
    (median(first.ms) / median(ms)).toFixed(2),
    Math.min(...cpuMs).toFixed(0),
    (Math.min(...first.cpuMs) / Math.min(...cpuMs)).toFixed(2),
    (gflop / (Math.min(...ms) / 1e3) / peak).toFixed(2),
    matmulShare?.toFixed(2) ?? "",
    (peakBytes! / 2 ** 20).toFixed(0),
    (first.peakBytes! / peakBytes!).toFixed(2),
  ]);
});
console.log(`${markdownTable(header, rows)}

${flags.batch} x ${flags.sequence} tokens, vocabulary ${flags.vocab}, rank ${flags.rank}, ${flags.threads} threads, float32; clipping and AdamW included.
${rounds} rounds of ${steps} steps after ${warmup} to warm up. Measured matmul peak ${peak.toFixed(0)} GFLOP/s.
${settingLine(started)}`);
if (flags.out !== undefined) writeResult(flags.out, { setting: started, peakGflops: peaks, flags, results });
