// What do several ranks gain on this machine, what do they send, and what would many more gain on a network?
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { add } from "../src/distributed/addition.js";
import { ALONE } from "../src/distributed/collective.js";
import { type Gradient, RowGradient } from "../src/optim/gradient.js";
import { sumOverRanks } from "../src/programs/shared-gradients.js";
import { type Library, launcherWords } from "../tests/mpi/mpirun.js";
import {
  CORES,
  exchangeOf,
  extrapolated,
  type Known,
  type Layout,
  type Measured,
  MODELLED_BATCHES,
  measuredTable,
  middle,
  modelTable,
  nameOf,
  type Pairs,
  pairsTable,
  type Result,
  SPEEDS,
  trafficTable,
} from "./distributed-tables.js";
import { trainedNumbers } from "./flops.js";
import { median, setting, settingLine, writeResult } from "./report.js";
import { type LocalCosts, trafficOf } from "./scaling-model.js";
import { type RankStep, SideProcess } from "./side-process.js";
import { parseStepOptions, readPreset, type StepOptions } from "./step-options.js";

const { values: flags } = parseArgs({
  options: {
    /** PRESET:METHOD:RANK, each of them measured. */
    steps: { type: "string", default: "9m:lora:16,9m:relora:128,60m:lora:16,60m:relora:128" },
    /** Too large to be measured here: their time follows from their operations. */
    modelled: { type: "string", default: "1b:lora:16,1b:relora:128" },
    pair: { type: "string", default: "9m:relora:128" },
    pairs: { type: "string", default: "5" },
    vocab: { type: "string", default: "32100" },
    batch: { type: "string", default: "1" },
    sequence: { type: "string", default: "256" },
    "micro-batches": { type: "string", default: "4" },
    repeats: { type: "string", default: "3" },
    library: { type: "string", default: "openmpi" },
    out: { type: "string" },
  },
});
function stepOptions(words: string): StepOptions {
  const [preset, method, rank] = words.split(":");
  const { vocab, batch, sequence, "micro-batches": microBatches } = flags;
  const shared = Object.entries({ preset, method, rank, vocab, batch, sequence, "micro-batches": microBatches });
  return parseStepOptions(shared.flatMap(([name, value]) => [`--${name}`, value!]));
}

/** Fresh processes: a first step to warm up, then `repeats` measured ones. */
async function measure(options: StepOptions, layout: Layout, repeats: number): Promise<Measured> {
  const { ranks, threads, library } = layout;
  const words = library === null ? [] : launcherWords(library, ranks);
  const side = await SideProcess.start("highrank", { ...options, threads }, words);
  const steps: RankStep[] = [];
  for (let i = 0; i <= repeats; i++) steps.push(await side.step<RankStep>());
  await side.quit();
  const { trained, parameters } = side.ready;
  return { layout, trained, parameters, steps };
}

/** All layouts of one thread a rank have made the same steps to the bit, and have sent what the model counts. */
function checkAnswers(options: StepOptions, measured: readonly Measured[]): void {
  const name = nameOf(options);
  const lossesOf = ({ steps }: Measured): string => steps.map(({ loss }) => loss).join(", ");
  const single = measured.find(({ layout }) => layout.ranks === 1 && layout.threads === 1)!;
  for (const each of measured) {
    const { ranks, threads } = each.layout;
    const fell = each.steps.every(({ loss }, i) => i === 0 || loss < each.steps[i - 1]!.loss);
    if (!fell || Math.abs(each.steps[0]!.loss - Math.log(options.vocab)) > 0.3) {
      throw new Error(`${name}, ${ranks} ranks: losses must fall from about ln(vocabulary), got ${lossesOf(each)}`);
    }
    if (threads === 1 && lossesOf(each) !== lossesOf(single)) {
      throw new Error(`${name}, ${ranks} ranks: losses ${lossesOf(each)}, on one rank ${lossesOf(single)}`);
    }
    if (each.trained !== trainedNumbers(readPreset(options.preset), options)) {
      throw new Error(`${name}: ${each.trained} numbers are trained, not as counted`);
    }
    const { bytes, messages } = trafficOf(exchangeOf(options, options.microBatches), ranks);
    const { sentBytes, messages: sent } = each.steps.at(-1)!;
    // Halves of odd lengths differ by a number.
    if (sent !== messages || Math.abs(sentBytes - bytes) > 100) {
      throw new Error(
        `${name}, ${ranks} ranks: sent ${sentBytes} bytes in ${sent} messages; counted ${bytes}, ${messages}`,
      );
    }
  }
}

/** Median seconds of five calls. */
async function seconds(work: () => unknown): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    await work();
    times.push((performance.now() - start) / 1000);
  }
  return median(times);
}

/** What the sum of gradients costs a rank apart from messages. */
async function localCosts(): Promise<LocalCosts> {
  const sumOf = (gradient: Gradient, size: number, gathered: readonly Int32Array[]): Promise<number> =>
    seconds(() => sumOverRanks(new Map([["weight", gradient]]), { ...ALONE, size, gather: async () => [...gathered] }));
  const numbers = new Float32Array(2 ** 24);
  const perNumber = (await sumOf(numbers, 2, [])) / numbers.length;
  const perAddition = (await seconds(() => add(numbers, numbers, numbers))) / numbers.length;
  const [ranks, rows, width] = [64, 512, 128];
  const rowsFrom = (first: number): Int32Array => Int32Array.from({ length: rows }, (_, i) => first + i);
  const gradient = new RowGradient(rowsFrom(0), new Float32Array(rows * width), ranks * rows * width);
  const same = Array.from({ length: ranks }, () => rowsFrom(0));
  const different = Array.from({ length: ranks }, (_, rank) => rowsFrom(rank * rows));
  const perIndex = (await sumOf(gradient, ranks, same)) / (ranks * rows);
  // The rest of the time goes with the rows.
  const perRow = Math.max(0, (await sumOf(gradient, ranks, different)) / (ranks * rows) - perIndex - width * perNumber);
  return { perNumber, perAddition, perIndex, perRow };
}

async function measureSteps(words: string): Promise<Result> {
  const options = stepOptions(words);
  const library = flags.library as Library;
  const layouts: readonly Layout[] = [
    { ranks: 1, threads: CORES, library: null },
    { ranks: 1, threads: 1, library: null },
    { ranks: 2, threads: 1, library },
    { ranks: 4, threads: 1, library },
  ];
  const measured: Measured[] = [];
  for (const layout of layouts) measured.push(await measure(options, layout, Number(flags.repeats)));
  checkAnswers(options, measured);
  const update = middle(measured[0]!, "updateMs") / 1000;
  const compute = { microBatch: (middle(measured[0]!, "ms") / 1000 - update) / options.microBatches, update };
  console.error(`${nameOf(options)} done`);
  return { options, measured, compute };
}

/** Two ranks of one thread and one process of two, in turns: ratios of the medians of the steps of each turn. */
async function measurePairs(library: Library): Promise<Pairs> {
  const options = stepOptions(flags.pair);
  const ratios: number[] = [];
  for (let pair = 0; pair < Number(flags.pairs); pair++) {
    const job: Layout = { ranks: 2, threads: 1, library };
    const alone: Layout = { ranks: 1, threads: 2, library: null };
    const times = new Map<Layout, number>();
    const order = pair % 2 === 0 ? [job, alone] : [alone, job];
    for (const layout of order)
      times.set(layout, middle(await measure(options, layout, 2 * Number(flags.repeats)), "ms"));
    ratios.push(times.get(job)! / times.get(alone)!);
  }
  return { library, options, ratios };
}

const started = setting();
const local = await localCosts();
const results: Result[] = [];
for (const words of flags.steps.split(",")) results.push(await measureSteps(words));
const pairs: Pairs[] = [];
for (const library of ["openmpi", "mpich"] as const) pairs.push(await measurePairs(library));
const all: readonly Known[] = [
  ...results,
  ...flags.modelled.split(",").map((words) => {
    const options = stepOptions(words);
    return extrapolated(options, results.findLast((each) => each.options.method === options.method)!);
  }),
];
const nanoseconds = (each: number): string => (each * 1e9).toFixed(2);
console.log(`Measured:

${measuredTable(results)}

${flags["micro-batches"]} micro-batches of ${flags.batch} x ${flags.sequence} tokens, vocabulary ${flags.vocab}; medians of ${flags.repeats} steps, ${flags.library}. Efficiency: the time of 1 x 1, divided by that of the row and by its cores, of which there are ${CORES}. Exchanges include waiting for other ranks.

${pairsTable(pairs)}

${flags.pairs} pairs of fresh processes in turns, ${2 * Number(flags.repeats)} steps each.

Counted:

${trafficTable(all)}

A model, not a measurement: efficiency by number of ranks.

${MODELLED_BATCHES.flatMap((microBatches) => SPEEDS.map((speed) => modelTable(all, { microBatches, speed, local }))).join("\n\n")}

Compute is that of 1 x ${CORES} above, that of ${flags.modelled
  .split(",")
  .map((words) => nameOf(stepOptions(words)))
  .join(
    " and ",
  )} follows from the operations. Traffic is counted. Nothing overlaps. Measured on this machine: ${nanoseconds(local.perNumber)} ns a number to pack and unpack, ${nanoseconds(local.perAddition)} ns to add it, ${nanoseconds(local.perIndex)} ns for each row of the embedding on each rank, and ${nanoseconds(local.perRow)} ns for each of all ranks.

${settingLine(started)}; load ${loadavg()[0]!.toFixed(1)} at the end.`);
if (flags.out !== undefined) writeResult(flags.out, { setting: started, flags, local, results, pairs });
