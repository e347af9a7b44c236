import { expect, test } from "vitest";
import * as highrank from "../src/index.js";

const wrong = null as never;
const rng = new highrank.Rng(1, "test");
const linear = new highrank.Linear(new highrank.Parameter(new Float32Array(16), [4, 4]));
const SETTINGS = { maxSteps: 0 } as never;

test.each<[fault: string, call: () => unknown]>([
  ["LoRAAdapter: options must be an object, got null", () => new highrank.LoRAAdapter(4, 4, wrong, rng)],
  ["CoreAdapter: rng must be an Rng, got null", () => new highrank.CoreAdapter(4, 4, { rank: 1 }, wrong)],
  ["MergeableLinear: linear must be a Linear or a QuantizedLinear", () => new highrank.MergeableLinear(wrong, wrong)],
  ["MergeableLinear: adapter must be a LinearAdapter, got null", () => new highrank.MergeableLinear(linear, wrong)],
  ["injectAdapters: model must be a Module, got null", () => highrank.injectAdapters(wrong, wrong, rng)],
  ["injectAdapters: createAdapter must be a function", () => highrank.injectAdapters(linear, {} as never, rng)],
  ["mergeAdapters: model must be a Module, got null", () => highrank.mergeAdapters(wrong, rng)],
  ["singularValues: terms must be a list", () => highrank.singularValues(wrong, 4, 4)],
  ["singularValues: outFeatures must be an integer of at least 1", () => highrank.singularValues([], 0, 4)],
  ["createMergePolicy: name must be one of ", () => highrank.createMergePolicy("none" as never, wrong)],
  ["planStep: config must be an object, got null", () => highrank.planStep(1, wrong)],
  ["planRun: config: maxSteps must be an integer of at least 1, got 0", () => highrank.planRun(SETTINGS)],
  ["runWarnings: records must be a list, got null", () => highrank.runWarnings(wrong)],
  ["metricsCsv: table must be an object, got null", () => highrank.metricsCsv(wrong)],
  ["loadDataset: source must be a text, got 5", () => highrank.loadDataset(5 as never)],
  ["loadDataset: source must be a text, got undefined", () => highrank.loadCorpus(undefined as never)],
  [
    "resetOptimizerState: reset: method must be one of reset, magnitude, random",
    () => highrank.resetOptimizerState([], { method: "zz" } as never, rng),
  ],
  [
    "resetOptimizerState: reset: ratio must be in [0, 1), got 7",
    () => highrank.resetOptimizerState([], { method: "random", ratio: 7 }, rng),
  ],
])("%s", async (fault, call) => {
  const said = (async () => call())();
  await expect(said).rejects.toThrow(highrank.ConfigError);
  await expect(said).rejects.toThrow(fault);
});
