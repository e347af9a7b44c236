import { expect, test } from "vitest";
import { ConfigError } from "../base/errors.js";
import { resolveSettings } from "./resolve.js";
import { requireUsed } from "./unused.js";

function faultsOf(flags: Readonly<Record<string, unknown>>, file: Readonly<Record<string, unknown>> = {}): string[] {
  const settings = resolveSettings({ flags, file: { path: "run.yaml", values: file } });
  try {
    requireUsed(flags, settings);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message.split("\n");
  }
  return [];
}

test("every flag that the method has no use for is named", () => {
  expect(faultsOf({ method: "full", rank: "8", loraAlpha: "16", lr: "1e-3", dora: false })).toEqual([
    "rank: is for adapters, of which method full has none; leave it out",
    "loraAlpha: is for adapters, of which method full has none; leave it out",
  ]);
  expect(faultsOf({ method: "lora", reloraEvery: "8", pruneRatio: "0.5", cycleLength: "8" })).toEqual([
    "reloraEvery: is for method relora; leave it out",
    "pruneRatio: is for method relora; leave it out",
    "cycleLength: is for method relora, or for schedule cosine_restarts; leave it out",
  ]);
});

test.each<[flags: Record<string, unknown>, fault: string | null]>([
  [{ pruneRatio: 0.5 }, "pruneRatio: is for optimizerReset magnitude or random; leave it out"],
  [{ pruneRatio: 0.5, optimizerReset: "random" }, null],
  [
    { restartBatches: 4 },
    "restartBatches: is for optimizerReset primed and for adapters that start in gradients, as adapterKind core; leave it out",
  ],
  [{ restartBatches: 4, core: true, method: "lora" }, null],
  [
    { adapterKind: "core", adapterInit: "kaiming" },
    "adapterInit: is for other adapters than those of adapterKind core; leave it out",
  ],
  [{ method: "lora", schedule: "cosine_restarts", cycleLength: 20 }, null],
  [{ minLrRatio: 0, schedule: "linear" }, "minLrRatio: is for the cosine schedules; leave it out"],
  [{ minLrRatio: 0 }, null],
  [{ quantBlockSize: 128 }, "quantBlockSize: is for quantize nf4 or fp4; leave it out"],
  [{ quantBlockSize: 128, quantize: "fp4" }, null],
  [
    { model: "m", data: "d.txt", method: "lora", lr: 1e-6, adapterLr: 1e-3 },
    "lr: is for weights that train in full, and here adapters alone do, at adapterLr; leave it out",
  ],
  [{ model: "m", data: "d.txt", method: "lora", lr: 1e-6 }, null],
  [{ model: "m", data: "d.txt", method: "lora", lr: 1e-6, adapterLr: 1e-3, trainModules: "norms" }, null],
  [{ method: "lora", lr: 1e-6, adapterLr: 1e-3 }, null],
  [
    { mergePolicy: "residual", quantize: "none" },
    "mergePolicy: is for quantized weights, and quantize is none; leave it out",
  ],
  [{ mergePolicy: "residual", quantize: "nf4" }, null],
  [{ mergePolicy: "residual", model: "m", data: "d.txt" }, null],
  [
    { vocabSize: 1000, tokenizer: "t.json" },
    "vocabSize: is for a tokenizer that is trained, and tokenizer names one; leave it out",
  ],
  [{ vocabSize: 1000 }, null],
  [
    { tokenCache: "kept", tokenCacheLimit: 0 },
    "tokenCache: is for tokens that are kept, and tokenCacheLimit 0 keeps none; leave it out",
  ],
  [{ tokenCache: "kept" }, null],
  [
    { samplePrompt: "The", sampleTokens: 0 },
    "samplePrompt: is for samples, and sampleTokens 0 writes none; leave it out",
  ],
  [{ samplePrompt: "The" }, null],
  [
    { model: "m", data: "d.txt", method: "relora", restartWarmupSteps: 5 },
    "restartWarmupSteps: is for schedule cosine_restarts, or for adapters after a warm start; leave it out",
  ],
  [{ model: "m", data: "d.txt", method: "relora", restartWarmupSteps: 5, reloraEvery: 10 }, null],
  [{ restartWarmupSteps: 5 }, null],
  [
    { loadBest: true, evalEvery: "none" },
    "loadBest: is for evaluations on the way, and evalEvery none makes none; leave it out",
  ],
  [{ loadBest: true }, null],
  [{ divergenceEvals: 5, divergenceFactor: "none" }, "divergenceEvals: is for divergenceFactor; leave it out"],
  [
    { validationFraction: 0.3, validData: "v.txt" },
    "validationFraction: is for held-out data that are drawn from the data, and validData names others; leave it out",
  ],
  [{ minImprovement: 0.1 }, "minImprovement: is for patience; leave it out"],
  [{ minImprovement: 0.1, patience: 3 }, null],
])("%j", (flags, fault) => {
  expect(faultsOf(flags)).toEqual(fault === null ? [] : [fault]);
});

test("a file may hold what other methods need, and says what flags are for", () => {
  expect(faultsOf({ method: "full" }, { rank: 8, reloraEvery: 5 })).toEqual([]);
  expect(faultsOf({ quantBlockSize: 128 }, { quantize: "nf4" })).toEqual([]);
});
