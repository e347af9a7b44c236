// What does a quantized base cost in held-out loss, and what does each merge, by policy? ReLoRA runs on the built-in text with
// the same seed and budget: on float32, and on quantized weights with every merge policy.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { markdownTable, setting, settingLine, writeResult } from "./report.js";
import { REPOSITORY } from "./step-options.js";

/** One finished run. Losses are held-out, in nats a token. */
interface Outcome {
  readonly arm: string;
  readonly seed: number;
  readonly loss: number;
  /** Change of the loss when the weights were quantized; 0 on float32. */
  readonly quantizing: number;
  /** Change of the loss at each merge. */
  readonly merges: readonly number[];
  /** Least share of an update that the weights took up at a merge, all layers together. */
  readonly leastRecovered: number;
}

const { values: flags } = parseArgs({
  options: {
    formats: { type: "string", default: "nf4" },
    policies: { type: "string", default: "delta-log,residual,error-feedback,stochastic,requantize" },
    seeds: { type: "string", default: "0,1,2" },
    steps: { type: "string", default: "480" },
    /** Runs at once, each with one thread. */
    parallel: { type: "string", default: "2" },
    out: { type: "string" },
  },
});

const started = setting();
const arms = new Map<string, readonly string[]>([["float32", []]]);
for (const format of flags.formats.split(",")) {
  for (const policy of flags.policies.split(",")) {
    arms.set(`${format}, ${policy}`, ["--quantize", format, "--merge-policy", policy]);
  }
}
const seeds = flags.seeds.split(",").map(Number);
const queue = seeds.flatMap((seed) => [...arms.keys()].map((arm) => ({ arm, seed })));
const outcomes: Outcome[] = flags.out !== undefined && existsSync(flags.out) ? finished(flags.out) : [];

await Promise.all(Array.from({ length: Number(flags.parallel) }, () => work()));
console.log(table());
console.log(
  `\nReLoRA of nano on builtin:wordnet, rank 32, ${flags.steps} steps of 1024 tokens: a quarter full-rank, then four cycles; seeds ${flags.seeds}.`,
);
console.log(settingLine(started));

/** Does runs until none is left. A benchmark that was stopped goes on where it was. */
async function work(): Promise<void> {
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const { arm, seed } = next;
    if (outcomes.some((outcome) => outcome.arm === arm && outcome.seed === seed)) continue;
    const outcome = await train(arm, seed);
    outcomes.push(outcome);
    console.error(`${arm}, seed ${seed}: loss ${outcome.loss.toFixed(4)}`);
    if (flags.out !== undefined) writeResult(flags.out, { setting: started, flags, results: outcomes });
  }
}

async function train(arm: string, seed: number): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), "highrank-policies-"));
  try {
    const run = join(folder, "run");
    const child = spawn(
      process.execPath,
      [
        join(REPOSITORY, "dist/cli/main.js"),
        "train",
        ...["--preset", "quickstart", "--quantize", "none", "--out", run, "--threads", "1", "--seed", String(seed)],
        ...["--max-steps", flags.steps, "--eval-every", "none", "--save-every", "none", "--sample-tokens", "0"],
        ...arms.get(arm)!,
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    let complaints = "";
    child.stderr.on("data", (text) => {
      complaints += text;
    });
    const [code] = await once(child, "exit");
    if (code !== 0) throw new Error(`${arm}, seed ${seed}: highrank ended with ${code}: ${complaints}`);
    return summarize(arm, seed, readFileSync(join(run, "metrics.jsonl"), "utf8"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function summarize(arm: string, seed: number, metrics: string): Outcome {
  const records = metrics
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const of = (kind: string) => records.filter((record) => record.kind === kind);
  const merges = of("merge");
  const quantized = of("quantize")[0];
  return {
    arm,
    seed,
    loss: of("eval").at(-1).loss,
    quantizing: quantized === undefined ? 0 : quantized.lossAfter - quantized.lossBefore,
    merges: merges.map(({ lossBefore, lossAfter }) => lossAfter - lossBefore),
    leastRecovered: Math.min(...merges.map(({ recovered }) => recovered)),
  };
}

function finished(path: string): Outcome[] {
  const { flags: before, results } = JSON.parse(readFileSync(path, "utf8"));
  if (before.steps !== flags.steps) throw new Error(`${path} holds runs of ${before.steps} steps; name another file`);
  return results;
}

function table(): string {
  const float = new Map(outcomes.flatMap(({ arm, seed, loss }) => (arm === "float32" ? [[seed, loss]] : [])));
  const rows = [...arms.keys()].map((arm) => {
    const own = outcomes.filter((outcome) => outcome.arm === arm && seeds.includes(outcome.seed));
    const against = own.map(({ seed, loss }) => 100 * (loss / float.get(seed)! - 1));
    const bumps = own.flatMap(({ merges }) => merges);
    return [
      arm,
      meanAndSpread(
        own.map(({ loss }) => loss),
        4,
      ),
      arm === "float32" ? "" : meanAndSpread(against, 2),
      meanAndSpread(
        own.map(({ quantizing }) => quantizing),
        4,
      ),
      meanAndSpread(bumps, 4),
      Math.max(...bumps).toFixed(4),
      Math.min(...own.map(({ leastRecovered }) => leastRecovered)).toFixed(3),
    ];
  });
  return markdownTable(
    [
      "base, policy",
      "held-out loss",
      "against float32, %",
      "at quantizing",
      "at a merge",
      "at worst",
      "least recovered",
    ],
    rows,
  );
}

/** Mean ± sample standard deviation. */
function meanAndSpread(values: readonly number[], digits: number): string {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, values.length - 1);
  return `${mean.toFixed(digits)} ± ${Math.sqrt(variance).toFixed(digits)}`;
}
