import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { animalText } from "../../tests/animal-text.js";
import { writeSmallModel } from "../../tests/small-model.js";
import type { OpenSettings } from "../config/derive.js";
import { resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { readSafetensors } from "../files/safetensors.js";
import { readPeftAdapter, writePeftAdapter } from "../formats/peft.js";
import { readRunSettings } from "../runs/run-folder.js";
import { evaluateTarget } from "../verbs/evaluate.js";
import { resume } from "./resume.js";
import { train } from "./train.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-adapter-start-"));
  await writeFile(at("text.txt"), animalText());
  await writeSmallModel(at("base"), { numLayers: 1 });
  const targets = {
    rank: 4,
    alpha: 6,
    rslora: true,
    rankPattern: ["up_proj=2"],
    targetModules: ["q_proj", "v_proj", "mlp.up_proj"],
  };
  await train(settingsOf("first", targets));
  await train(settingsOf("norms", { rank: 2, targetModules: ["q_proj"], trainModules: ["norms"], dropout: 0.1 }));
  await train(settingsOf("lengths", { rank: 2, targetModules: ["q_proj"], adapterKind: "dora" }));
});
afterAll(() => rm(folder, { recursive: true }));
const at = (...parts: string[]): string => path.join(folder, ...parts);

function settingsOf(out: string, change: Partial<Settings>): OpenSettings {
  const sizes = { batchSize: 4, sequenceLength: 16, evalTokens: 200, sampleTokens: 0, threads: 1 };
  const schedule = { maxSteps: 4, lr: 1e-2, evalEvery: 4, saveEvery: 2, warmupSteps: 0, overwrite: true } as const;
  const flags = {
    model: at("base"),
    data: at("text.txt"),
    method: "lora",
    ...sizes,
    ...schedule,
    out: at(out),
    ...change,
  };
  return resolveSettings({ flags });
}

const goOn = async (out: string, from: string, change: Partial<Settings> = {}): Promise<number[]> => {
  const losses: number[] = [];
  const settings = settingsOf(out, { adapterFrom: at(from, "adapter"), ...change });
  await train(settings, { onRecord: (record) => void (record.kind === "eval" && losses.push(record.loss)) });
  return losses;
};
const lossOf = async (target: string): Promise<number> => {
  const options = { base: at("base"), data: at("text.txt"), adapter: true, batchSize: 4, sequenceLength: 16 } as const;
  return (await evaluateTarget(target, { ...options, maxTokens: 2000, device: "cpu", threads: 1 })).loss;
};
const adapterFile = (run: string): Promise<Buffer> => readFile(at(run, "adapter/adapter_model.safetensors"));

test.each([
  ["ranks, alphas and targets", "first", { adapterKind: "lora", rank: 4, trainModules: [] }],
  ["norms in full, dropout", "norms", { adapterKind: "lora", rank: 2, dropout: 0.1, trainModules: ["norms"] }],
  ["DoRA", "lengths", { adapterKind: "dora", rank: 2 }],
])("a run starts where an adapter of %s ended, and gives one for the same base", async (_, from, kept) => {
  const out = `${from}-on`;
  const [before] = await goOn(out, from);
  const metrics = await readFile(at(from, "metrics.jsonl"), "utf8");
  const evaluations = metrics.split("\n").filter((line) => line.includes('"kind":"eval"'));
  expect(before).toBeCloseTo(JSON.parse(evaluations.at(-1)!).loss, 5);
  expect(await readRunSettings(at(out))).toMatchObject(kept);
  const [first, second] = [await readPeftAdapter(at(from, "adapter")), await readPeftAdapter(at(out, "adapter"))];
  const { rank, alpha, rankPattern, targetModules, base } = first;
  expect(second).toMatchObject({ rank, alpha, rankPattern, targetModules, base });
  expect(await adapterFile(out)).not.toEqual(await adapterFile(from));
  const model = { base: null, data: at("text.txt"), adapter: true, batchSize: 4, sequenceLength: 16 } as const;
  const whole = await evaluateTarget(at(out), { ...model, maxTokens: 2000, device: "cpu", threads: 1 });
  expect(await lossOf(at(out, "adapter"))).toBeCloseTo(whole.loss, 5);
});

test("it resumes to the bit, and does not need the adapter any more", async () => {
  await goOn("whole", "norms");
  await cp(at("norms"), at("moved"), { recursive: true });
  const settings = settingsOf("stopped", { adapterFrom: at("moved", "adapter") });
  await train(settings, { untilStep: 2 });
  await rm(at("moved"), { recursive: true });
  await resume(at("stopped"));
  expect(await adapterFile("stopped")).toEqual(await adapterFile("whole"));
});

test("with relora the first cycle goes on, and all cycles are one adapter of the base", async () => {
  await goOn("cycles", "first", { method: "relora", reloraEvery: 2, restartWarmupSteps: 0 });
  const { rank, layers } = await readPeftAdapter(at("cycles/adapter"));
  expect([rank, layers.get("model.layers.0.mlp.up_proj")!.loraA.shape[0]]).toEqual([8, 4]);
  const whole = await readSafetensors(at("cycles/model/model.safetensors"));
  expect(whole.tensors.size).toBeGreaterThan(0);
  const model = { base: null, data: at("text.txt"), adapter: true, batchSize: 4, sequenceLength: 16 } as const;
  const { loss } = await evaluateTarget(at("cycles"), { ...model, maxTokens: 2000, device: "cpu", threads: 1 });
  expect(await lossOf(at("cycles/adapter"))).toBeCloseTo(loss, 5);
});

test("what a run does not train, and what does not go with it, is refused by name", async () => {
  const read = await readPeftAdapter(at("norms/adapter"));
  const [norm] = read.modulesToSave.keys();
  const some = new Map([[norm!, read.modulesToSave.get(norm!)!]]);
  await writePeftAdapter(at("some/adapter"), { ...read, modulesToSave: some });
  await writePeftAdapter(at("negative/adapter"), { ...read, alpha: -1 });
  const table = [...(await readSafetensors(at("base/model.safetensors"))).tensors].find(([name]) =>
    /embed/.test(name),
  )!;
  const rows = { dtype: "float32", shape: [1, 16], data: new Float32Array(16) } as const;
  const tokens = new Map([[table[0].replace(".weight", ""), rows]]);
  await writePeftAdapter(at("tokens/adapter"), { ...read, tokens, tokenIndices: { embed_tokens: [3] } });
  for (const [from, words, change] of [
    ["some", "it trains only some of the norms", {}],
    ["negative", "lora_alpha must be above 0", {}],
    ["tokens", "it trains single tokens of embedding tables, which a run does not", {}],
    ["lengths", "adapterKind: ", { method: "relora" }],
  ] as const) {
    await expect(goOn("refused", from, change), from).rejects.toThrow(words);
  }
  expect(() => settingsOf("refused", { adapterFrom: "x", model: "tiny" })).toThrow(
    "adapterFrom: is for the model that",
  );
  expect(() => settingsOf("refused", { adapterFrom: "x", warmStartSteps: 2 })).toThrow(
    "warmStartSteps: must be 0 with",
  );
  expect(() => settingsOf("refused", { adapterFrom: "x", mergePolicy: "residual" })).toThrow("mergePolicy: residual");
});
