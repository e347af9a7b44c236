import { expect, test } from "vitest";
import { ConfigError } from "../base/errors.js";
import type { Settings } from "../config/settings.js";
import { requireBatchMemory, requireMemory } from "./memory-limit.js";

const GIB = 2 ** 30;
const memory = {
  program: GIB / 8,
  data: 0,
  base: 2 * GIB,
  adapters: GIB / 16,
  gradients: GIB / 16,
  optimizer: GIB / 8,
  activations: GIB / 2,
};

const settings = {
  method: "relora",
  warmStartSteps: 100,
  quantize: "none",
  doubleQuant: false,
  checkpointing: false,
  batchSize: 4,
  sequenceLength: 256,
  rank: 32,
  force: false,
} as const;

function refusal(change: Partial<Settings> = {}, available: number = GIB): string {
  try {
    requireMemory(memory, available, { ...settings, ...change });
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  return "";
}

test("what fits is let through, and what does not where it is forced", () => {
  const total = 2.875 * GIB;
  expect(refusal({}, total)).toBe("");
  expect(refusal({}, total - 1)).not.toBe("");
  expect(refusal({ force: true })).toBe("");
});

test("a refusal tells the estimate by part, what there is, and every way out", () => {
  expect(refusal()).toBe(
    "memory: training would take about 2.88 GiB, and 1.00 GiB are at hand:\n" +
      "program 128 MiB, base 2.00 GiB, adapters 64.0 MiB, gradients 64.0 MiB, optimizer 128 MiB, activations 512 MiB.\n" +
      'Less is needed with warmStartSteps: 0, quantize: "nf4", checkpointing: true, a smaller batchSize, ' +
      "a smaller sequenceLength or a lower rank; force: true starts all the same",
  );
});

test("a batch whose activations alone are too much is refused without a graph, unless it is forced", () => {
  const model = { hiddenSize: 64, numLayers: 2 };
  const batch = { batchSize: 10_000_000, sequenceLength: 16 };
  const settings = { totalBatchSize: 10_000_000, checkpointing: false, force: false };
  expect(() => requireBatchMemory(model, 2 * GIB, batch, settings)).toThrow(
    new ConfigError(
      "memory: a batch of 10000000 × 16 tokens has at least 305 GiB of activations, and 2.00 GiB are at hand. " +
        "Less is needed with a smaller batchSize; totalBatchSize makes the same steps out of smaller batches",
    ),
  );
  const least = 4 * 2 * 64 * 16 * 10_000_000;
  expect(() => requireBatchMemory(model, least - 1, batch, { ...settings, checkpointing: true })).toThrow(ConfigError);
  requireBatchMemory(model, least, batch, { ...settings, checkpointing: true });
  requireBatchMemory(model, GIB, batch, { ...settings, force: true });
});

test("a step whose tokens alone exceed the memory is refused, however small its batches are", () => {
  const model = { hiddenSize: 64, numLayers: 2 };
  const settings = { totalBatchSize: 1_000_000_000, checkpointing: false, force: false };
  expect(() => requireBatchMemory(model, GIB, { batchSize: 2, sequenceLength: 16 }, settings)).toThrow(
    new ConfigError(
      "memory: the 1000000000 rows of a step have 119 GiB of tokens and labels, and 1.00 GiB are at hand. " +
        "Less is needed with a smaller totalBatchSize",
    ),
  );
  requireBatchMemory(model, GIB, { batchSize: 2, sequenceLength: 16 }, { ...settings, totalBatchSize: 1000 });
});

test("ways out are those that the settings leave", () => {
  const lean = { warmStartSteps: 0, checkpointing: true, batchSize: 1, sequenceLength: 64, rank: 4 };
  const ways = (change: Partial<Settings>): string | undefined =>
    /Less is needed with (.*); force/.exec(refusal({ ...lean, ...change }))?.[1];
  expect(ways({ quantize: "int8" })).toBe('quantize: "nf4"');
  expect(ways({ quantize: "nf4" })).toBe("doubleQuant: true");
  expect(ways({ quantize: "nf4", doubleQuant: true })).toBe("a smaller model");
  expect(ways({ quantize: "nf4", doubleQuant: true, rank: 8 })).toBe("a lower rank");
  expect(ways({ method: "full", warmStartSteps: 5 })).toBe('method: "lora"');
});
