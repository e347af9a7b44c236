import { expect, test } from "vitest";
import { completeSettings, resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { presetSource } from "../loading/model-source.js";
import { quantizerOf } from "../loading/quantizing.js";
import { type MemoryEstimate, totalBytes } from "../runs/metrics.js";
import { estimateMemory } from "./memory.js";
import { runShapes } from "./run-shape.js";

const held = { atStart: 2 ** 27, data: 1000, peak: 0 };

function estimate(change: Partial<Settings>, memory = held): MemoryEstimate {
  const flags = { model: "tiny", method: "lora", rank: 4, batchSize: 2, sequenceLength: 64, maxSteps: 8, ...change };
  const settings = completeSettings(resolveSettings({ flags: { warmStartSteps: 0, trainModules: [], ...flags } }));
  const sizes = { vocabSize: 300, maxSequenceLength: 64, endOfTextId: 0 };
  const { build } = presetSource("tiny", sizes, 0);
  return estimateMemory(
    runShapes(build, settings, quantizerOf(settings)),
    settings,
    { train: settings, heldOut: settings },
    memory,
  );
}

// tiny: 2 layers of 4 linears (64, 64) and 3 between 64 and 176.
const ADAPTERS = 4 * 2 * (4 * (64 + 64) + 3 * (64 + 176));

test("memory is told by part, in bytes", () => {
  const { data, adapters, optimizer, base } = estimate({ method: "full" });
  const weights = 2 * (4 * 64 * 64 + 3 * 64 * 176 + 2 * 64) + 2 * 300 * 64 + 64;
  expect({ data, adapters, optimizer, base }).toEqual({
    data: 1000,
    adapters: 0,
    optimizer: 8 * weights,
    base: 4 * weights,
  });
  const lora = estimate({});
  expect(lora.optimizer).toBe(2 * 4 * ADAPTERS);
  expect(lora.base).toBe(4 * weights);
  expect(estimate({ quantize: "nf4" }).base).toBeLessThan(lora.base / 2);
});

test("checkpointing keeps less, and longer sequences more", () => {
  const { activations } = estimate({});
  expect(estimate({ checkpointing: true }).activations).toBeLessThan(activations);
  expect(estimate({ batchSize: 4 }).activations).toBeGreaterThan(1.3 * activations);
});

test("merges of adapters that start near what rounding takes away need the inputs of all layers", () => {
  const merging = { method: "relora", quantize: "nf4", reloraEvery: 2 } as const;
  const parts = (mergePolicy: Settings["mergePolicy"]) => estimate({ ...merging, mergePolicy });
  const [residual, deltaLog] = [parts("residual"), parts("delta-log")];
  // Of 2 rows of 64 tokens in 2 layers: those of q, k and v, of o, of gate and up, and of down.
  const inputs = 4 * 2 * 2 * 64 * (64 + 64 + 64 + 176);
  expect(residual.activations - deltaLog.activations).toBeGreaterThan(2 * inputs);
  expect(residual.activations - deltaLog.activations).toBeLessThan(8 * inputs);
  expect(totalBytes(residual) - totalBytes(deltaLog)).toBe(residual.activations - deltaLog.activations);
});

test("a process that has held more already is not told less", () => {
  expect(totalBytes(estimate({}, { ...held, peak: 2 ** 30 }))).toBe(2 ** 30);
});
