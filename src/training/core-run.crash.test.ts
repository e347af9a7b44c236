import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { animalText } from "../../tests/animal-text.js";
import { resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import type { MergeRecord, MetricsRecord } from "../runs/metrics.js";
import { checkRun } from "../verbs/doctor/check-run.js";
import { evaluateTarget } from "../verbs/evaluate.js";
import { mergeTarget } from "../verbs/merge.js";
import { train } from "./train.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-cores-"));
  await writeFile(path.join(folder, "text.txt"), animalText());
});
afterAll(() => rm(folder, { recursive: true }));
const at = (...parts: string[]): string => path.join(folder, ...parts);

async function run(name: string, change: Partial<Settings>): Promise<MetricsRecord[]> {
  const flags = {
    ...{
      model: "tiny",
      vocabSize: 300,
      batchSize: 4,
      sequenceLength: 32,
      evalTokens: 500,
      sampleTokens: 0,
      threads: 1,
    },
    ...{
      method: "relora",
      adapterKind: "core",
      rank: 12,
      rankPattern: ["q_proj=8"],
      restartBatches: 2,
      trainModules: [],
    },
    ...{ maxSteps: 30, warmStartSteps: 10, reloraEvery: 5, evalEvery: 10, lr: 3e-3, adapterLr: 1e-2 },
    ...{ schedule: "cosine", data: at("text.txt"), out: at(name) },
    ...change,
  };
  const records: MetricsRecord[] = [];
  await train(resolveSettings({ flags: flags as Partial<Settings> }), {
    onRecord: (record) => void records.push(record),
  });
  return records;
}

const lossOf = async (target: string, base: string | null = null): Promise<number> => {
  const sizes = { batchSize: 4, sequenceLength: 32, maxTokens: 500, adapter: true } as const;
  return (await evaluateTarget(target, { ...sizes, data: at("text.txt"), base, device: "cpu", threads: 1 })).loss;
};

test.each<[name: string, change: Partial<Settings>]>([
  ["float32", { optimizerReset: "primed" }],
  ["float32, moments zeroed", {}],
  ["nf4", { optimizerReset: "primed", quantize: "nf4", mergePolicy: "delta-log" }],
])("ReLoRA of cores on %s learns, adds up, and is LoRA for whoever reads it", async (name, change) => {
  const records = await run(name, change);
  const merges = records.filter((record): record is MergeRecord => record.kind === "merge");
  expect(merges.map(({ step }) => step)).toEqual([15, 20, 25, 30]);
  for (const { lossBefore, lossAfter } of merges) {
    if (change.quantize === undefined) expect(Math.abs(lossAfter - lossBefore)).toBeLessThan(1e-5);
  }
  // What is trained beside cores is none, so that all that is learned here, cores learn.
  const losses = records.flatMap((record) => (record.kind === "eval" ? [record.loss] : []));
  expect(losses.at(-1)!).toBeLessThan(losses[1]! - 0.05);

  const config = JSON.parse(await readFile(at(name, "adapter/adapter_config.json"), "utf8"));
  expect(config).toMatchObject({ peft_type: "LORA", r: 48, rank_pattern: { q_proj: 32 } });
  const merged = at(`${name} merged`);
  const { verification } = await mergeTarget(at(name), { out: merged, base: null, dtype: "float32", verify: true });
  expect(verification!.relativeChange).toBeLessThan(1e-5);
  const exact = await lossOf(merged);
  expect(await lossOf(at(name, "adapter"), at(name, "base"))).toBeCloseTo(exact, 5);
  expect(await lossOf(at(name, "model"))).toBeCloseTo(exact, 5);
  expect((await checkRun(at(name))).findings.filter(({ state }) => state !== "ok")).toEqual([]);
});

test("new bases teach cores more than those of the start", async () => {
  const loss = async (name: string, change: Partial<Settings>): Promise<number> => {
    const records = await run(name, { optimizerReset: "primed", rank: 4, rankPattern: [], maxSteps: 20, ...change });
    return records.findLast((record) => record.kind === "eval")!.loss;
  };
  expect(await loss("often", { reloraEvery: 2 })).toBeLessThan(await loss("never", { method: "lora" }));
});
