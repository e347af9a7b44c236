import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { resolveSettings } from "../src/config/resolve.js";
import { createQuantizer } from "../src/quant/quantizer.js";
import { train } from "../src/training/train.js";
import { evaluateTarget } from "../src/verbs/evaluate.js";
import { exportTarget } from "../src/verbs/export.js";
import { quantizeModel } from "../src/verbs/quantize.js";
import { TEXT, writeSmallModel } from "./small-model.js";

let root = "";
const at = (name: string): string => path.join(root, name);
const GGUF = { base: null, to: "gguf", dtype: null } as const;

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), "highrank-gguf-run-"));
  await writeFile(at("a.txt"), TEXT);
  await writeSmallModel(at("plain"));
  await exportTarget(at("plain"), { ...GGUF, type: "f16", out: at("model.gguf") });
});
afterAll(async () => rm(root, { recursive: true }));

async function lossOf(target: string, base: string | null = null, onNotice = (_: string) => {}): Promise<number> {
  const limits = { batchSize: 4, sequenceLength: null, maxTokens: null } as const;
  const machine = { device: "cpu", threads: 1, adapter: true, onNotice } as const;
  return (await evaluateTarget(target, { base, data: at("a.txt"), ...limits, ...machine })).loss;
}

test("a run on a GGUF file ends in another one, and its adapter goes with either", async () => {
  const start = await lossOf(at("model.gguf"));
  expect(start).toBeCloseTo(await lossOf(at("plain")), 3);
  const sizes = { maxSteps: 6, batchSize: 4, sequenceLength: 16, sampleTokens: 0, threads: 1, rank: 2, lr: 2e-2 };
  const relora = { method: "relora", reloraEvery: 3, warmupSteps: 0, restartWarmupSteps: 0 } as const;
  const model = at("model.gguf");
  await train(resolveSettings({ flags: { model, data: at("a.txt"), out: at("run"), ...sizes, ...relora } }));
  const trained = await lossOf(at("run"));
  expect(trained).toBeLessThan(start - 0.1);

  await exportTarget(at("run"), { ...GGUF, type: "f32", out: at("run.gguf") });
  expect(await lossOf(at("run.gguf"))).toBeCloseTo(trained, 4);
  await exportTarget(at("run"), { base: null, to: "peft", dtype: null, out: at("adapter") });
  const notices: string[] = [];
  expect(await lossOf(at("adapter"), model, (text) => notices.push(text))).toBeCloseTo(trained, 4);
  expect(notices).toEqual([]);
  await exportTarget(at("plain"), { ...GGUF, type: "q8_0", out: at("other.gguf") });
  expect(await lossOf(at("adapter"), at("other.gguf"), (text) => notices.push(text))).toBeCloseTo(trained, 1);
  expect(notices).toEqual([expect.stringContaining("make sure that it is the same model")]);
  await exportTarget(at("adapter"), { ...GGUF, base: model, type: "f32", out: at("merged.gguf") });
  expect(await lossOf(at("merged.gguf"))).toBeCloseTo(trained, 4);
  const lora = { ...GGUF, adapterOnly: true, out: at("lora.gguf") };
  expect(await exportTarget(at("run"), lora)).toMatchObject({ rank: 4, baseModel: model });
});

test("a GGUF file is quantized to a folder", async () => {
  const quantizer = createQuantizer("int8", {});
  await quantizeModel(at("model.gguf"), { quantizer, out: at("int8") });
  expect(await lossOf(at("int8"))).toBeCloseTo(await lossOf(at("model.gguf")), 1);
});
