import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { DataError } from "../base/errors.js";
import { writeModelFolder } from "../formats/model-folder.js";
import { diskParameters } from "../loading/model-source.js";
import { LlamaForCausalLM } from "../models/llama.js";
import { llamaConfig, writeLlamaConfig } from "../models/llama-config.js";
import { interpret } from "../runtime/reference.js";
import { Rng } from "../tensor/random.js";
import { tensor } from "../tensor/tensor.js";
import { evaluateTarget } from "./evaluate.js";

const folder = mkdtempSync(join(tmpdir(), "highrank-evaluation-"));
afterAll(() => rmSync(folder, { recursive: true }));

const config = llamaConfig({
  vocabSize: 30,
  hiddenSize: 16,
  intermediateSize: 24,
  numLayers: 1,
  numHeads: 2,
  maxSequenceLength: 8,
  initializerRange: 0.5,
});
const model = new LlamaForCausalLM(config, new Rng(1));
const target = join(folder, "model");
await writeModelFolder(target, { config: writeLlamaConfig(config), tensors: hostTensors() });

function hostTensors() {
  const entries = [...diskParameters(model)].map(([name, { shape, values }]) => {
    return [name, { dtype: "float32", shape, data: values }] as const;
  });
  return new Map(entries);
}

function evaluate(rows: readonly object[]) {
  const data = join(folder, "rows.jsonl");
  writeFileSync(data, rows.map((row) => JSON.stringify(row)).join("\n"));
  const settings = { batchSize: 2, sequenceLength: null, maxTokens: null, device: "cpu", threads: 2 } as const;
  return evaluateTarget(target, { data, base: null, adapter: true, ...settings });
}

test("rows of input_ids are scored one by one, without a tokenizer, where their labels say so", async () => {
  const rows = [
    { input_ids: [3, 1, 4, 1, 5, 9, 2, 6] },
    { input_ids: [5, 3, 5], labels: [-100, -100, 5] },
    { input_ids: [8, 9, 7, 9, 3], labels: [8, 9, -100, 9, 3] },
  ];
  let [nats, tokens] = [0, 0];
  for (const { input_ids: ids, labels = ids } of rows) {
    const length = ids.length - 1;
    const scored = Int32Array.from(labels.slice(1));
    const loss = model.loss(tensor(Int32Array.from(ids.slice(0, -1)), [1, length]), tensor(scored, [1, length]));
    nats += interpret([loss], { precision: "float64" })[0]![0]!;
    tokens += scored.filter((label) => label >= 0).length;
  }
  const found = await evaluate(rows);
  expect(found.tokens).toBe(tokens);
  expect(found.loss / (nats / tokens)).toBeCloseTo(1, 5);
  expect(found.perplexity).toBeCloseTo(Math.exp(found.loss), 6);
});

test("a row that the model cannot take is refused by its number", async () => {
  const short = { input_ids: [1, 2] };
  await expect(evaluate([short, { input_ids: [1, 30] }])).rejects.toThrow(DataError);
  await expect(evaluate([short, { input_ids: [1, 30] }])).rejects.toThrow("line 2: ids must be below 30");
  const long = { input_ids: Array.from({ length: 10 }, () => 1) };
  await expect(evaluate([short, short, long])).rejects.toThrow("line 3: must have at most 9 ids, got 10");
});
