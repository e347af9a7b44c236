import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runContents } from "../../tests/run-contents.js";
import { SMALL_RUN } from "../../tests/small-run.js";
import { completeSettings, resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import type { MetricsRecord } from "../runs/metrics.js";
import { parseRunState } from "../runs/run-state.js";
import { openRun } from "../runs/saved-run.js";
import { loadModel } from "../verbs/model.js";
import { prepareRun } from "./prepare.js";
import { resume } from "./resume.js";
import { train } from "./train.js";

const TEMPLATE =
  "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-fine-tuning-"));
  await writeFile(path.join(folder, "chat.jinja"), TEMPLATE);
  const lines = (record: (i: number) => object) =>
    Array.from({ length: 30 }, (_, i) => JSON.stringify(record(i))).join("\n");
  const pairs = lines((i) => ({ prompt: `${i} + ${i} = `, completion: `${2 * i}` }));
  await writeFile(path.join(folder, "pairs.jsonl"), pairs);
  const rows = lines((i) => ({ input_ids: [i, i + 1, 299 - i, 7], completion_mask: [0, 0, 1, 1] }));
  await writeFile(path.join(folder, "rows.jsonl"), rows);
  const turns = (i: number) => [
    { role: "user", content: `${i}?` },
    { role: "assistant", content: `${i}!` },
  ];
  await writeFile(
    path.join(folder, "chat.jsonl"),
    lines((i) => ({ messages: turns(i) })),
  );
});
afterAll(() => rm(folder, { recursive: true }));

function settingsOf(out: string, data: string, change: Partial<Settings> = {}): Settings {
  const flags = { ...SMALL_RUN, threads: 1, data: path.join(folder, data), out: path.join(folder, out), ...change };
  return completeSettings(resolveSettings({ flags }));
}

describe.each<[name: string, data: string, change: Partial<Settings>]>([
  ["padded pairs", "pairs.jsonl", {}],
  ["packed pairs", "pairs.jsonl", { packing: "joined" }],
  ["messages", "chat.jsonl", { sequenceLength: 48 }],
  ["rows of tokens without a tokenizer", "rows.jsonl", {}],
])("%s", (name, data, change) => {
  test("stopped, a run ends as it would have, to the last bit", async () => {
    const all = data === "chat.jsonl" ? { ...change, chatTemplate: path.join(folder, "chat.jinja") } : change;
    const whole = settingsOf(`${name}-whole`, data, all);
    await train(whole);
    const stopped = settingsOf(`${name}-stopped`, data, all);
    let at = 0;
    const onRecord = (record: MetricsRecord): void => {
      if (record.kind === "step") at = record.step;
    };
    await train(stopped, { onRecord, stopRequested: () => at === 5 });
    // The template has become part of the run.
    if (data === "chat.jsonl") await rm(path.join(folder, "chat.jinja"));
    expect(await resume(stopped.out!, {})).toMatchObject({ outcome: "done", step: 11 });
    expect(await runContents(stopped.out!)).toEqual(await runContents(whole.out!));
  });
});

test.each(["pairs.jsonl", "chat.jsonl"])("the held-out answers of %s are those of the finished model", async (data) => {
  const chatTemplate = data === "chat.jsonl" ? path.join(folder, "chat.jinja") : null;
  await writeFile(path.join(folder, "chat.jinja"), TEMPLATE);
  const settings = settingsOf(`answers-${data}`, data, {
    chatTemplate,
    sequenceLength: 48,
    sampleTokens: 6,
    validationFraction: 0.2,
    maxSteps: 8,
  });
  const records: MetricsRecord[] = [];
  const { runFolder } = await train(settings, { onRecord: (record) => void records.push(record) });
  const asked = records.flatMap((record) => (record.kind === "eval" ? [record.samples!] : []));
  expect(asked.length).toBeGreaterThan(2);
  const prompts = asked.map((samples) => samples.map(({ text: _, ...prompt }) => prompt));
  for (const each of prompts) expect(each).toEqual(prompts[0]);
  expect(asked[0]!.length).toBeGreaterThan(1);
  expect(asked[0]).not.toEqual(asked.at(-1));
  const model = await loadModel(runFolder);
  const greedy = { temperature: 0, maxNewTokens: 6 };
  for (const { prompt, messages, text } of asked.at(-1)!) {
    const reply = messages === undefined ? model.generate(prompt!, greedy) : model.chat(messages, greedy);
    expect(await reply).toBe(text);
  }
  await model.dispose();
});

test("the hash of the data covers what is scored", async () => {
  const hash = async (change: Partial<Settings>) =>
    (await prepareRun(settingsOf("hash", "pairs.jsonl", change))).dataSha256;
  const hashes = [await hash({}), await hash({ trainOnInputs: true }), await hash({ packing: "joined" })];
  expect(new Set(hashes).size).toBe(3);
  expect(await hash({})).toBe(hashes[0]);
});

test("a run goes on by the rules of reading that it began with", async () => {
  const data = path.join(folder, "texts");
  await mkdir(data);
  await writeFile(path.join(data, "a.jsonl"), await readFile(path.join(folder, "pairs.jsonl")));
  await writeFile(
    path.join(data, "b.jsonl"),
    '{"prompt": "x", "completion": "y"}\n{"prompt": "v", "completion": "w"}\n',
  );
  const settings = settingsOf("rules", "texts");
  await train(settings);
  const saved = await openRun(settings.out!);
  expect(saved.state.readingRules).toBe(5);
  const { readingRules: _, ...before } = saved.state;
  expect(parseRunState(before, "state.json").readingRules).toBe(1);
  await rename(path.join(data, "b.jsonl"), path.join(data, "my_test.jsonl"));
  const hash = async (readingRules: 1 | 2) =>
    (await prepareRun(saved.settings, { ...saved, state: { readingRules } })).dataSha256;
  expect(await hash(1)).toBe(saved.state.dataSha256);
  expect(await hash(2)).not.toBe(saved.state.dataSha256);
});

test("what is cut is said where the run starts", async () => {
  const records: MetricsRecord[] = [];
  const settings = settingsOf("cut", "pairs.jsonl", { sequenceLength: 4, trainOnInputs: true, dryRun: true });
  await train(settings, { onRecord: (record) => void records.push(record) });
  expect(records[0]).toMatchObject({
    data: expect.stringMatching(/29 samples, .* scored; \d+ samples cut, which left out/),
    outline: { stepsPerEpoch: 7.25 },
  });
});

test("samples of chats answer a question as the template writes it: the first held out, or samplePrompt", async () => {
  const template = path.join(folder, "sample.jinja");
  await writeFile(template, TEMPLATE);
  const chats = { sequenceLength: 64, chatTemplate: template };
  const { sampleChat, tokenizer, example } = await prepareRun(settingsOf("sampled", "chat.jsonl", chats));
  expect(example).toEqual({ prompt: sampleChat!.question, isChat: true });
  expect(sampleChat!.question).toMatch(/^\d+\?$/);
  expect(tokenizer!.decode(sampleChat!.ids)).toBe(`user: ${sampleChat!.question}\nassistant: `);
  const settings = settingsOf("sampled", "chat.jsonl", { ...chats, samplePrompt: "Hi?" });
  const asked = await prepareRun(settings);
  expect(asked.example).toEqual({ prompt: "Hi?", isChat: true });
  expect(asked.tokenizer!.decode(asked.sampleChat!.ids)).toBe("user: Hi?\nassistant: ");
  const samples: string[] = [];
  await train(settings, { onRecord: (record) => record.kind === "eval" && samples.push(record.sample) });
  for (const sample of samples) expect(sample).toMatch(/^Hi\?\n/);
  expect(samples.length).toBeGreaterThan(0);
});

test("the head of a run says what questions became, and what of them is not used", async () => {
  const lines = Array.from({ length: 30 }, (_, i) => `${i}?,${i}!,x`).join("\n");
  await writeFile(path.join(folder, "faq.csv"), `question,answer,id\n${lines}\n`);
  const starts: string[] = [];
  const settings = settingsOf("faq", "faq.csv");
  expect((await prepareRun(settings)).example).toEqual({ prompt: expect.stringMatching(/^\d+\?$/), isChat: false });
  await train(settings, { onRecord: (record) => record.kind === "start" && starts.push(record.data) });
  expect(starts[0]).toMatch(
    /faq\.csv, \d+ samples, .*; questions and answers as texts, since the tokenizer has no chat template; not used: keys id$/,
  );
});
