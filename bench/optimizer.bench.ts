// What do an update by AdamW and the norm of the gradients cost? Against plain loops, on the tensors of two fine-tunings.
import { parseArgs } from "node:util";
import { AdamW, createAdamWState } from "../src/optim/adamw.js";
import { updateInLoop } from "../src/optim/adamw-loop.js";
import { globalNorm } from "../src/optim/clip.js";
import { type Gradient, RowGradient, readGradient, storedEntries } from "../src/optim/gradient.js";
import { Rng } from "../src/tensor/random.js";
import { markdownTable, median, setting, settingLine, writeResult } from "./report.js";

const { values: flags } = parseArgs({
  options: { rounds: { type: "string", default: "20" }, out: { type: "string" } },
});
const rounds = Number(flags.rounds);
const OPTIONS = { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
const GROUP = { lr: 1e-4, weightDecay: 0.01 };

interface Task {
  readonly name: string;
  readonly run: () => void;
  /** Processor time of each round. */
  readonly ms: number[];
}

const started = setting();
const cases = { "embedding, head, norms, LoRA": pretraining(), "LoRA of SmolLM2-135M": fineTuning() };
const tasks = Object.entries(cases).flatMap(([name, gradients]) => tasksOf(name, gradients));

// The first round compiles the loops and is dropped.
for (let round = -1; round < rounds; round++) {
  for (const { run, ms } of tasks) {
    const before = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(before);
    if (round >= 0) ms.push((user + system) / 1000);
  }
}

console.log(
  markdownTable(
    ["processor time", "ms, least", "ms, median"],
    tasks.map(({ name, ms }) => [name, Math.min(...ms).toFixed(1), median(ms).toFixed(1)]),
  ),
);
console.log(`\n${rounds} rounds in turns, one thread.`);
console.log(settingLine(started));
if (flags.out !== undefined) {
  writeResult(flags.out, { setting: started, flags, results: tasks.map(({ run: _, ...task }) => task) });
}

function tasksOf(name: string, gradients: ReadonlyMap<string, Gradient>): Task[] {
  const parameters = new Map(Array.from(gradients, ([key, { length }]) => [key, normal(length)]));
  const optimizer = new AdamW([{ ...GROUP, parameters }], OPTIONS);
  const inLoop = Array.from(gradients.values(), (gradient) => {
    return { gradient, parameter: normal(gradient.length), state: createAdamWState(gradient.length) };
  });
  const stored = Array.from(gradients.values(), storedEntries);
  const millions = inLoop.reduce((sum, { parameter }) => sum + parameter.length, 0) / 1e6;
  const task = (what: string, run: () => void): Task => ({
    name: `${name}, ${millions.toFixed(1)} M weights: ${what}`,
    run,
    ms: [],
  });
  return [
    task("AdamW", () => optimizer.step(gradients, { lrMultiplier: 1, gradientScale: 0.5 })),
    task("AdamW in a loop", () => {
      for (const { gradient, parameter, state } of inLoop) {
        updateInLoop(parameter, readGradient(gradient), state, { ...OPTIONS, ...GROUP, gradientScale: 0.5 });
      }
    }),
    task("norm", () => void globalNorm(gradients.values())),
    task("norm in a loop", () => void normInLoop(stored)),
  ];
}

function normInLoop(gradients: readonly Float32Array[]): number {
  let squares = 0;
  for (const values of gradients) for (let i = 0; i < values.length; i++) squares += values[i]! * values[i]!;
  return Math.sqrt(squares);
}

/** LoRA of rank 32 on seven layers of width 448; norms, an embedding table of 8000 rows, and a head of its own. */
function pretraining(): Map<string, Gradient> {
  const [width, vocabulary, layers] = [448, 8000, 7];
  const rng = new Rng(0, "rows");
  const rows = Int32Array.from({ length: 1024 }, () => Math.floor(vocabulary * rng.uniform() ** 2));
  return new Map<string, Gradient>([
    ["embedding", new RowGradient(rows, normal(rows.length * width), vocabulary * width)],
    ["head", normal(vocabulary * width)],
    ...Array.from({ length: 2 * layers + 1 }, (_, i) => [`norm ${i}`, normal(width)] as const),
    ...lora(layers, 32, { width, keyValueWidth: width, intermediate: 1216 }),
  ]);
}

/** LoRA of rank 16 on all linear layers of SmolLM2-135M. */
function fineTuning(): Map<string, Gradient> {
  return new Map<string, Gradient>(lora(30, 16, { width: 576, keyValueWidth: 192, intermediate: 1536 }));
}

function lora(
  layers: number,
  rank: number,
  { width, keyValueWidth, intermediate }: { width: number; keyValueWidth: number; intermediate: number },
): [string, Float32Array][] {
  const linears: [inFeatures: number, outFeatures: number][] = [
    [width, width],
    [width, keyValueWidth],
    [width, keyValueWidth],
    [width, width],
    [width, intermediate],
    [width, intermediate],
    [intermediate, width],
  ];
  return Array.from({ length: layers }, (_, layer) =>
    linears.flatMap(([inFeatures, outFeatures], i): [string, Float32Array][] => [
      [`${layer}.${i}.A`, normal(rank * inFeatures)],
      [`${layer}.${i}.B`, normal(outFeatures * rank)],
    ]),
  ).flat();
}

function normal(length: number): Float32Array {
  const rng = new Rng(length, "values");
  return Float32Array.from({ length }, () => 0.02 * rng.normal());
}
