import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeSmallModel } from "../../tests/small-model.js";
import { SMALL_RUN } from "../../tests/small-run.js";
import { ConfigError } from "../base/errors.js";
import type { OpenSettings } from "../config/derive.js";
import { resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { openWeights } from "../loading/folder-source.js";
import { Tokenizer } from "../tokenizers/tokenizer.js";
import { evaluateTarget } from "../verbs/evaluate.js";
import { exportTarget } from "../verbs/export.js";
import { Writer } from "../verbs/generate.js";
import { prepareRun } from "./prepare.js";
import { resume } from "./resume.js";
import { train } from "./train.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-chat-tokens-"));
  await writeSmallModel(path.join(folder, "model"), { maxSequenceLength: 64 });
  const lines = Array.from({ length: 40 }, (_, i) => JSON.stringify({ question: `the ${i}?`, answer: `cat ${i}` }));
  await writeFile(path.join(folder, "faq.jsonl"), lines.join("\n"));
});
afterAll(() => rm(folder, { recursive: true }));

const at = (name: string): string => path.join(folder, name);

function settingsOf(out: string, change: Partial<Settings>): OpenSettings {
  const { vocabSize: _, ...small } = SMALL_RUN;
  const own = { model: at("model"), data: at("faq.jsonl"), chatTemplate: "chatml", sequenceLength: 48 };
  return resolveSettings({ flags: { ...small, ...own, threads: 1, out: at(out), ...change } });
}

test("tokens that nothing would train are refused, with the way out", async () => {
  const refused = prepareRun(settingsOf("refused", { trainModules: [] }));
  await expect(refused).rejects.toThrow(ConfigError);
  await expect(refused).rejects.toThrow(
    /chatml needs <\|im_start\|>, <\|im_end\|>, .*nothing would train them; add trainModules: "embeddings.*zephyr/,
  );
  expect((await prepareRun(settingsOf("text", { trainModules: [], chatTemplate: "zephyr" }))).model).toBeDefined();
});

test("the tokens of a template get rows, are trained, and stand in what the run writes", async () => {
  const before = await Tokenizer.fromFolder(at("model"));
  const settings = settingsOf("run", { trainModules: ["embeddings", "norms", "head"], warmStartSteps: 0 });
  let step = 0;
  const onRecord = (record: { kind: string; step?: number }): void => {
    step = record.step ?? step;
  };
  await train(settings, { onRecord, stopRequested: () => step === 5 });
  expect(await resume(at("run"), {})).toMatchObject({ outcome: "done" });
  const after = await Tokenizer.fromFolder(at("run/model"));
  expect(after.config.chat_template).toContain("<|im_start|>");
  const [start, end] = after.encode("<|im_start|><|im_end|>");
  expect([start, end]).toEqual([before.vocabSize, before.vocabSize + 1]);
  const { vocab_size } = JSON.parse(await readFile(at("run/model/config.json"), "utf8"));
  expect(vocab_size).toBe(before.vocabSize + 2);
  const generation = JSON.parse(await readFile(at("run/model/generation_config.json"), "utf8"));
  expect([generation.eos_token_id].flat()).toContain(end);
  // Both began as the mean of all rows.
  const table = await (await openWeights(at("run/model")))("model.embed_tokens.weight");
  const width = table.length / vocab_size;
  expect(table.slice(start! * width, end! * width)).not.toEqual(table.slice(end! * width));
  const writer = await Writer.open(at("run"), { base: null, adapter: true, device: "cpu", threads: 1 });
  const options = { maxNewTokens: 4, temperature: 0, topK: null, topP: 1, seed: 0 };
  expect((await writer.answer([{ role: "user", content: "the 1?" }], options)).promptTokens).toBeGreaterThan(4);
  await writer.release();
  const scored = { batchSize: 2, sequenceLength: null, maxTokens: null, device: "cpu", threads: 1 } as const;
  const target = { base: null, adapter: true, data: at("faq.jsonl"), ...scored };
  expect((await evaluateTarget(at("run"), target)).loss).toBeGreaterThan(0);
  // The adapter is for the model without them too, whose weights cannot be compared with those it was trained on.
  await exportTarget(at("run"), { to: "peft", out: at("peft"), base: null, dtype: null });
  const ofAdapter = await evaluateTarget(at("peft"), target);
  const notices: string[] = [];
  const onNotice = (text: string): void => void notices.push(text);
  expect((await evaluateTarget(at("peft"), { ...target, base: at("model"), onNotice })).loss).toBe(ofAdapter.loss);
  expect(notices).toEqual([
    expect.stringMatching(`${vocab_size} tokens, and .*/model has ${vocab_size - 2}, so that they cannot be compared`),
  ]);
  const own = { model: at("model"), data: at("faq.jsonl"), chatTemplate: "chatml", adapterFrom: at("peft") };
  const onward = prepareRun(resolveSettings({ flags: { ...own, maxSteps: 2 } }));
  await expect(onward).rejects.toThrow(
    /training cannot go on from .*peft: it has \d+ tokens and the base \d+; merge it/,
  );
  const adapters = [{ adapter: at("peft"), weight: 1 }];
  await expect(evaluateTarget(at("model"), { ...target, adapters })).rejects.toThrow(
    /peft: has \d+ tokens and .*model \d+; use it by itself, or merge it/,
  );
  // A model that has not learned them is not asked with them.
  await expect(evaluateTarget(at("model"), { ...target, chatTemplate: "chatml" })).rejects.toThrow(
    /written with <\|im_start\|>, <\|im_end\|>, which the model has not learned/,
  );
});

test("a preset's own tokenizer has the tokens from the start", async () => {
  const { tokenizer, model } = await prepareRun(settingsOf("preset", { model: "tiny", vocabSize: 280 }));
  expect(tokenizer!.newTokens).toEqual(["<|im_start|>", "<|im_end|>"]);
  expect(model.config.vocabSize).toBe(tokenizer!.vocabSize);
});
