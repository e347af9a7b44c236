// The model and the tables of bench:distributed.
import { expect, test } from "vitest";
import {
  exchangeOf,
  extrapolated,
  type Measured,
  measuredTable,
  modelTable,
  pairsTable,
  trafficTable,
} from "../bench/distributed-tables.js";
import { stepFlops, trainedNumbers } from "../bench/flops.js";
import { MeasuredRanks } from "../bench/measured-ranks.js";
import { efficiency, halfLostFrom, type ModelledStep, stepSeconds, trafficOf } from "../bench/scaling-model.js";
import { parseStepOptions, readPreset } from "../bench/step-options.js";
import { onAnyRank } from "../src/distributed/first.js";
import { memoryTransports } from "../src/distributed/memory-transport.js";
import { type Gradient, RowGradient } from "../src/optim/gradient.js";
import { sumOverRanks } from "../src/programs/shared-gradients.js";

const NO_COSTS = { perNumber: 0, perAddition: 0, perIndex: 0, perRow: 0 };

test.each([
  [2, null],
  [4, null],
  [16, null],
  [2, { width: 8, vocab: 100_000 }],
  [8, { width: 8, vocab: 100_000 }],
  [16, { width: 8, vocab: 64 }],
])("%i ranks send what the model counts, with embedding %j", async (size, embedding) => {
  const [dense, microBatches, tokens] = [1024, 16, 32];
  const sent = await Promise.all(
    memoryTransports(size).map(async (transport) => {
      const ranks = new MeasuredRanks(transport);
      const gradients = new Map<string, Gradient>([["linear", new Float32Array(dense)]]);
      if (embedding !== null) {
        const { width, vocab } = embedding;
        const count = Math.min(vocab, (microBatches / size) * tokens);
        const indices = Int32Array.from({ length: count }, (_, i) => (ranks.rank * count + i) % vocab);
        gradients.set("embedding", new RowGradient(indices, new Float32Array(count * width), vocab * width));
      }
      await sumOverRanks(gradients, ranks);
      await ranks.sum(new Float64Array(microBatches));
      await onAnyRank(ranks, false);
      return ranks.counts;
    }),
  );
  const counted = trafficOf({ dense, embedding, microBatches, tokens }, size);
  for (const { sentBytes, messages } of sent) {
    expect(messages).toBe(counted.messages);
    // The one number of the last sum cannot be cut into halves.
    expect(Math.abs(sentBytes - counted.bytes)).toBeLessThanOrEqual(24);
  }
});

test("trained numbers are those of the models", () => {
  const of = (method: string): number => {
    const options = parseStepOptions(["--preset", "60m", "--method", method, "--rank", "128"]);
    return trainedNumbers(readPreset("60m"), options);
  };
  // As measured.
  expect([of("relora"), of("full")]).toEqual([42_873_344, 58_176_000]);
  expect(of("lora")).toBe(42_873_344 - 2 * 32_100 * 512 - 17 * 512);
});

const STEP: ModelledStep = {
  exchange: { dense: 1000, embedding: null, microBatches: 8, tokens: 4 },
  compute: { microBatch: 1, update: 2 },
  local: NO_COSTS,
  network: { name: "", bytesPerSecond: Number.POSITIVE_INFINITY, latency: 0 },
};

test("a modelled step is compute, what is done with numbers and rows, bytes and messages", () => {
  expect(stepSeconds(STEP, 1)).toBe(10);
  expect(stepSeconds(STEP, 4)).toBe(4);
  expect(efficiency(STEP, 4)).toBe(10 / 16);
  const { bytes, messages } = trafficOf(STEP.exchange, 4);
  expect(bytes).toBe(1.5 * (4000 + 64 + 8));
  expect(messages).toBe(12);
  const network = { name: "", bytesPerSecond: bytes / 3, latency: 0.5 };
  expect(stepSeconds({ ...STEP, network }, 4)).toBeCloseTo(4 + 3 + 6);
  const local = { ...NO_COSTS, perNumber: 0.001, perAddition: 0.01 };
  expect(stepSeconds({ ...STEP, local }, 4)).toBeCloseTo(4 + 1 + 7.5);
  const exchange = { ...STEP.exchange, embedding: { width: 10, vocab: 20 } };
  const inRows = { ...STEP, exchange, local: { ...NO_COSTS, perIndex: 1, perRow: 0.1 } };
  // Of 32 tokens 20 are different: each rank has 8 of them.
  expect(stepSeconds(inRows, 4)).toBeCloseTo(4 + 4 * 8 + 20 * 0.1);
});

test("half is lost where the update, which each rank does, is as long as the rest", () => {
  // 10 / (N (8 / N + 2)) = 10 / (8 + 2 N): below one half beyond 6 ranks.
  expect(halfLostFrom(STEP, 8)).toBe(8);
  expect(halfLostFrom(STEP, 4)).toBeNull();
});

const OPTIONS = parseStepOptions(["--preset", "9m", "--method", "lora", "--rank", "16", "--batch", "1"]);

test("the exchange of a step has the embedding apart where it is trained", () => {
  expect(exchangeOf(OPTIONS, 8)).toEqual({ dense: 157_696, embedding: null, microBatches: 8, tokens: 256 });
  const relora = exchangeOf({ ...OPTIONS, method: "relora", rank: 128 }, 8);
  expect(relora).toMatchObject({ dense: 9_480_320 - 32_100 * 128, embedding: { width: 128, vocab: 32_100 } });
});

test("what was not measured follows from operations and trained numbers", () => {
  const options = { ...OPTIONS, preset: "1b" };
  const known = { options: OPTIONS, compute: { microBatch: 2, update: 3 } };
  const { compute } = extrapolated(options, known);
  expect(compute.microBatch).toBe(2 * (stepFlops(readPreset("1b"), options) / stepFlops(readPreset("9m"), OPTIONS)));
  expect(compute.update).toBe(3 * (trainedNumbers(readPreset("1b"), options) / 157_696));
});

test("tables hold medians without the first step, ratios and efficiencies", () => {
  const measuredAs = (ranks: number, threads: number, ms: number): Measured => {
    const step = { cpuMs: 0, loss: 1, updateMs: 0, exchangeMs: 100, sentBytes: 3 * 2 ** 20, messages: 6 };
    const steps = [9999, ms, ms, 2 * ms].map((each) => ({ ...step, ms: each }));
    return { layout: { ranks, threads, library: null }, trained: 0, parameters: 0, steps };
  };
  const measured = [measuredAs(1, 2, 1000), measuredAs(1, 1, 1600), measuredAs(2, 1, 1100), measuredAs(4, 1, 1250)];
  const table = measuredTable([{ options: OPTIONS, compute: { microBatch: 1, update: 0 }, measured }]);
  expect(table.split("\n").slice(2)).toEqual([
    "| 9m lora rank 16, 1 x 2 | 1.00 | 1.00 | 0.80 | 3.0 | 6 | 0.10 |",
    "| 9m lora rank 16, 1 x 1 | 1.60 | 1.60 | 1.00 | 3.0 | 6 | 0.10 |",
    "| 9m lora rank 16, 2 x 1 | 1.10 | 1.10 | 0.73 | 3.0 | 6 | 0.10 |",
    "| 9m lora rank 16, 4 x 1 | 1.25 | 1.25 | 0.64 | 3.0 | 6 | 0.10 |",
  ]);
  const pairs = pairsTable([{ library: "mpich", options: OPTIONS, ratios: [1.2, 1, 1.05] }]);
  expect(pairs.split("\n").at(-1)).toBe("| 9m lora rank 16, mpich | 1.050 | 1.000 | 1.200 |");
});

test("tables of many ranks say what is sent and from where on half is lost", () => {
  const known = { options: OPTIONS, compute: { microBatch: 1, update: 0 } };
  // 2 (1 - 1 / 1024) of 4 bytes for each number and 8 for each loss.
  expect(trafficTable([known]).split("\n").at(-1)).toBe("| 9m lora rank 16 | 1.2 | 60 | 69.8 | 0.017 |");
  const free = modelTable([known], { microBatches: 64, speed: 1, local: NO_COSTS }).split("\n");
  expect(free[0]).toBe(
    "| 16384 tokens a step, each rank as fast as this machine | 2 | 4 | 8 | 16 | 64 | half is lost from |",
  );
  expect(free.at(-1)).toBe("| 9m lora rank 16, 100 Gbit/s, 3 µs | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 | none |");
  const updating = { ...known, compute: { microBatch: 1, update: 64 } };
  const slow = modelTable([updating], { microBatches: 64, speed: 16, local: NO_COSTS }).split("\n");
  // (4 + 64) / (4 + 64 N).
  expect(slow.at(-1)).toBe("| 9m lora rank 16, 100 Gbit/s, 3 µs | 0.52 | 0.26 | 0.13 | 0.07 | 0.02 | 4 |");
});
