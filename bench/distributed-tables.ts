// The tables of bench:distributed.
import type { Library } from "../tests/mpi/mpirun.js";
import { stepFlops, trainedNumbers } from "./flops.js";
import { markdownTable, median } from "./report.js";
import {
  type Compute,
  efficiency,
  halfLostFrom,
  type LocalCosts,
  type Network,
  type StepExchange,
  trafficOf,
} from "./scaling-model.js";
import type { RankStep } from "./side-process.js";
import { readPreset, type StepOptions } from "./step-options.js";

/** Of the machine that the layouts are for. */
export const CORES: number = 2;
const NETWORKS: readonly Network[] = [
  { name: "10 Gbit/s, 30 µs", bytesPerSecond: 10e9 / 8, latency: 30e-6 },
  { name: "100 Gbit/s, 3 µs", bytesPerSecond: 100e9 / 8, latency: 3e-6 },
];
/** Micro-batches of a step: of a small fine-tune, and of training from scratch. */
export const MODELLED_BATCHES = [64, 1024] as const;
/** How many times as fast as here a rank computes its micro-batches. */
export const SPEEDS = [1, 16] as const;
const MODELLED_RANKS = [2, 4, 8, 16, 64, 256, 1024] as const;

/** Processes that make a step together. */
export interface Layout {
  readonly ranks: number;
  readonly threads: number;
  /** Null for one process without MPI. */
  readonly library: Library | null;
}

export interface Measured {
  readonly layout: Layout;
  readonly trained: number;
  readonly parameters: number;
  readonly steps: readonly RankStep[];
}

/** What is known of a step, whether it was measured or not. */
export interface Known {
  readonly options: StepOptions;
  /** Of one rank of this machine. */
  readonly compute: Compute;
}

/** A step in all layouts, the first of which is one process on all cores, and the second one of one thread. */
export interface Result extends Known {
  readonly measured: readonly Measured[];
}

/** Times of two ranks of one thread, divided by those of one process of two. */
export interface Pairs {
  readonly library: Library;
  readonly options: StepOptions;
  readonly ratios: number[];
}

/** The step in words. */
export function nameOf({ preset, method, rank }: StepOptions): string {
  return `${preset} ${method} rank ${rank}`;
}

/** The median over the measured steps, which are all but the first. */
export function middle({ steps }: Measured, key: keyof RankStep): number {
  return median(steps.slice(1).map((step) => step[key]));
}

/** What the ranks of such a step exchange. */
export function exchangeOf(options: StepOptions, microBatches: number): StepExchange {
  const preset = readPreset(options.preset);
  const [trained, width] = [trainedNumbers(preset, options), preset.hidden_size];
  const tokens = options.batch * options.sequence;
  if (options.method === "lora") return { dense: trained, embedding: null, microBatches, tokens };
  const { vocab } = options;
  return { dense: trained - vocab * width, embedding: { width, vocab }, microBatches, tokens };
}

/** What a model that was not measured would compute at the speed of one that was, of the same method. */
export function extrapolated(options: StepOptions, known: Known): Known {
  const ratio = (countOf: (each: StepOptions) => number): number => countOf(options) / countOf(known.options);
  const microBatch = known.compute.microBatch * ratio((each) => stepFlops(readPreset(each.preset), each));
  const update = known.compute.update * ratio((each) => trainedNumbers(readPreset(each.preset), each));
  return { options, compute: { microBatch, update } };
}

const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);

/** Times and traffic of each layout. */
export function measuredTable(results: readonly Result[]): string {
  const rows = results.flatMap(({ options, measured }) => {
    const [whole, single] = measured as unknown as readonly [Measured, Measured];
    return measured.map((each) => {
      const { ranks, threads } = each.layout;
      const ms = middle(each, "ms");
      // Ranks beyond the cores cannot gain.
      const gain = middle(single, "ms") / (Math.min(CORES, ranks * threads) * ms);
      return [
        `${nameOf(options)}, ${ranks} x ${threads}`,
        (ms / 1000).toFixed(2),
        (ms / middle(whole, "ms")).toFixed(2),
        gain.toFixed(2),
        mebibytes(middle(each, "sentBytes")),
        String(middle(each, "messages")),
        (middle(each, "exchangeMs") / 1000).toFixed(2),
      ];
    });
  });
  const header = [
    "ranks x threads",
    "s a step",
    `of 1 x ${CORES}`,
    "efficiency",
    "MiB sent a step and rank",
    "messages",
    "s in exchanges",
  ];
  return markdownTable(header, rows);
}

/** Ratios of the pairs. */
export function pairsTable(all: readonly Pairs[]): string {
  const rows = all.map(({ library, options, ratios }) => [
    `${nameOf(options)}, ${library}`,
    median(ratios).toFixed(3),
    Math.min(...ratios).toFixed(3),
    Math.max(...ratios).toFixed(3),
  ]);
  return markdownTable(["2 ranks of 1 thread / 1 process of 2", "median", "lowest", "highest"], rows);
}

/** What each of many ranks sends, against training all weights. */
export function trafficTable(all: readonly Known[]): string {
  const [, microBatches] = MODELLED_BATCHES;
  const rows = all.map(({ options }) => {
    const full = exchangeOf({ ...options, method: "full" }, microBatches);
    const ranks = 1024;
    const { bytes, messages } = trafficOf(exchangeOf(options, microBatches), ranks);
    const ofAll = trafficOf(full, ranks).bytes;
    return [nameOf(options), mebibytes(bytes), String(messages), mebibytes(ofAll), (bytes / ofAll).toFixed(3)];
  });
  return markdownTable(
    ["each of 1024 ranks, a step", "MiB sent", "messages", "MiB, all weights trained", "ratio"],
    rows,
  );
}

/** The case that a table of the model is for. */
export interface Case {
  readonly microBatches: number;
  /** How many times as fast as this machine a rank computes its micro-batches. */
  readonly speed: number;
  readonly local: LocalCosts;
}

/** Efficiency by number of ranks. */
export function modelTable(all: readonly Known[], { microBatches, speed, local }: Case): string {
  const columns = MODELLED_RANKS.filter((ranks) => ranks <= microBatches);
  const rows = all.flatMap(({ options, compute: { microBatch, update } }) =>
    NETWORKS.map((network) => {
      const compute = { microBatch: microBatch / speed, update };
      const step = { exchange: exchangeOf(options, microBatches), compute, local, network };
      const efficiencies = columns.map((ranks) => efficiency(step, ranks).toFixed(2));
      return [
        `${nameOf(options)}, ${network.name}`,
        ...efficiencies,
        String(halfLostFrom(step, microBatches) ?? "none"),
      ];
    }),
  );
  const [{ options }] = all as readonly [Known];
  const tokens = microBatches * options.batch * options.sequence;
  const rank = speed === 1 ? "as fast as this machine" : `${speed} times as fast as this machine`;
  const title = `${tokens} tokens a step, each rank ${rank}`;
  return markdownTable([title, ...columns.map(String), "half is lost from"], rows);
}
