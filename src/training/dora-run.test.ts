import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { animalText } from "../../tests/animal-text.js";
import type { OpenSettings } from "../config/derive.js";
import { resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { readSafetensors } from "../files/safetensors.js";
import { checkRun } from "../verbs/doctor/check-run.js";
import { evaluateTarget } from "../verbs/evaluate.js";
import { mergeTarget } from "../verbs/merge.js";
import { resume } from "./resume.js";
import { train } from "./train.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-dora-"));
  await writeFile(path.join(folder, "text.txt"), animalText());
});
afterAll(() => rm(folder, { recursive: true }));
const at = (...parts: string[]): string => path.join(folder, ...parts);

function settingsOf(out: string, change: Partial<Settings>): OpenSettings {
  const sizes = { model: "tiny", vocabSize: 300, batchSize: 4, sequenceLength: 32, evalTokens: 500, sampleTokens: 0 };
  const method = {
    method: "lora",
    adapterKind: "dora",
    rank: 4,
    rankPattern: ["q_proj=2"],
    alphaPattern: ["up_proj=12"],
  } as const;
  const schedule = {
    maxSteps: 6,
    warmStartSteps: 2,
    evalEvery: 6,
    saveEvery: 4,
    lr: 3e-3,
    loraPlusRatio: 4,
    threads: 1,
  };
  const flags = { ...sizes, ...method, ...schedule, dropout: 0.1, data: at("text.txt"), out, ...change };
  return resolveSettings({ flags });
}

const weightsOf = async (run: string): Promise<Map<string, ArrayLike<number>>> => {
  const { tensors } = await readSafetensors(at(run, "model/model.safetensors"));
  return new Map([...tensors].map(([name, { data }]) => [name, data] as const));
};

test.each([
  ["float32", {}],
  ["nf4", { quantize: "nf4" }],
] as const)("DoRA on %s trains, resumes, publishes its adapter and merges", async (name, change) => {
  const whole = at(name);
  await train(settingsOf(whole, change));
  const config = JSON.parse(await readFile(at(name, "adapter/adapter_config.json"), "utf8"));
  expect(config).toMatchObject({ use_dora: true, r: 4, rank_pattern: { q_proj: 2 }, alpha_pattern: { up_proj: 12 } });
  const { tensors } = await readSafetensors(at(name, "adapter/adapter_model.safetensors"));
  const magnitude = "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector";
  expect(tensors.get(magnitude)?.shape).toHaveLength(1);

  // Stopped after the checkpoint of step 4 and taken up again, it ends the same.
  let steps = 0;
  const stopped = `${name}-stopped`;
  await train(settingsOf(at(stopped), change), {
    onRecord: (record) => void (record.kind === "step" && steps++),
    stopRequested: () => steps === 4,
  });
  await resume(at(stopped));
  expect(await weightsOf(stopped)).toEqual(await weightsOf(name));
  expect((await checkRun(whole)).state).toBe("ok");

  const sizes = { batchSize: 4, sequenceLength: 32, maxTokens: 500, adapter: true } as const;
  const options = { ...sizes, data: at("text.txt"), device: "cpu", threads: 1 } as const;
  const losses: number[] = [];
  const merged = at(`${name}-merged`);
  const { verification } = await mergeTarget(whole, { out: merged, base: null, dtype: "float32", verify: true });
  expect(verification!.relativeChange).toBeLessThan(1e-5);
  for (const [target, base] of [
    [whole, null],
    [at(name, "adapter"), at(name, "base")],
    [merged, null],
  ] as const) {
    losses.push((await evaluateTarget(target, { ...options, base })).loss);
  }
  for (const loss of losses) expect(loss).toBeCloseTo(losses[0]!, 5);
});
