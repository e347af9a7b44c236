import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as highrank from "../src/index.js";
import {
  answerData,
  ConfigError,
  checkRun,
  compare,
  evaluate,
  exportTo,
  type LanguageModel,
  loadModel,
  loadTarget,
  type MetricsRecord,
  merge,
  quantize,
  type Run,
  resolveSettings,
  resume,
  type TrainSettings,
  tensor,
  train,
} from "../src/index.js";
import { loadServed } from "../src/verbs/serve/served-models.js";
import { writeSmallModel } from "./small-model.js";

let folder: string;
let data: string;
let base: string;
let settings: TrainSettings;
let run: Run;
let model: LanguageModel;
const heard: MetricsRecord[] = [];
const steps: number[] = [];

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-library-"));
  data = path.join(folder, "text.txt");
  await writeFile(data, Array.from({ length: 200 }, (_, i) => `The ${i}th cat sat on mat ${i % 9}.`).join("\n\n"));
  base = path.join(folder, "base");
  await writeSmallModel(base);
  const size = { sequenceLength: 16, batchSize: 2, evalTokens: 200, threads: 1 };
  settings = { model: base, data, method: "lora", rank: 4, maxSteps: 6, evalEvery: 3, sampleTokens: 0, ...size };
  run = await train(
    { ...settings, out: path.join(folder, "run") },
    { onRecord: (record) => heard.push(record), onStep: ({ step }) => steps.push(step) },
  );
  model = await run.load({ threads: 1 });
});

afterAll(async () => {
  await model.dispose();
  await rm(folder, { recursive: true });
});

test("a few settings are enough, and the result says how the run went", async () => {
  expect(steps).toEqual([1, 2, 3, 4, 5, 6]);
  expect(run).toMatchObject({ outcome: "done", step: 6, folder: run.runFolder });
  expect(run.metrics).toEqual(heard);
  const losses = heard.flatMap((record) => (record.kind === "eval" ? [record.loss] : []));
  expect(run.finalLoss).toBe(losses.at(-1));
  expect(run.bestLoss).toBe(Math.min(...losses));
});

test("the settings are those of the same flags", async () => {
  const { out: _, ...resolved } = JSON.parse(readFileSync(path.join(run.folder, "config.resolved.json"), "utf8"));
  const { out: __, ...expected } = resolveSettings({
    flags: Object.fromEntries(Object.entries(settings).map(([key, value]) => [key, String(value)])),
  });
  expect(resolved).toMatchObject(JSON.parse(JSON.stringify(expected)));
});

test("without a model the settings are those of the quickstart, as on the command line", async () => {
  const outlineOf = async (given: Parameters<typeof train>[0]) => {
    const planned = await train({ data, vocabSize: 280, sequenceLength: 16, dryRun: true, ...given });
    const [start] = planned.metrics;
    return start?.kind === "start" ? { model: start.model, ...start.outline } : undefined;
  };
  expect(await outlineOf({})).toMatchObject({ model: "nano", preset: "quickstart", maxSteps: 720 });
  const named = await outlineOf({ model: "nano" });
  expect(named).toMatchObject({ model: "nano", maxSteps: 10_000, rate: expect.stringMatching(/^1e-3, 1e-3 of /) });
  expect(named).not.toHaveProperty("preset");
});

test("settings that change nothing are said, unless all are given", async () => {
  const small = { model: "tiny", data, vocabSize: 280, sequenceLength: 16, maxSteps: 2, dryRun: true } as const;
  const noticesOf = async (given: Parameters<typeof train>[0]): Promise<string[]> => {
    const heard: string[] = [];
    await train(given, { onNotice: (text) => heard.push(text) });
    return heard;
  };
  expect(await noticesOf({ ...small, method: "lora", reloraEvery: 2 })).toEqual([
    "reloraEvery is for method relora, and changes nothing here.",
  ]);
  const whole = resolveSettings({ flags: { ...small, method: "lora" } });
  expect(await noticesOf(whole as Parameters<typeof train>[0])).toEqual([]);
});

test("unknown settings and options are type errors, and at run time errors with the nearest name", async () => {
  // @ts-expect-error there is no such setting
  await expect(train({ maxStep: 200 })).rejects.toThrow(
    new ConfigError("unknown setting maxStep; did you mean maxSteps?"),
  );
  // @ts-expect-error there is no such listener
  await expect(train({}, { onSteps: () => {} })).rejects.toThrow(
    new ConfigError("train: unknown option onSteps; did you mean onStep?"),
  );
  // @ts-expect-error there is no such option
  await expect(loadModel(base, { thread: 1 })).rejects.toThrow(
    "loadModel: unknown option thread; did you mean threads?",
  );
  // @ts-expect-error there is no such option
  await expect(evaluate(run, { data, maxToken: 1 })).rejects.toThrow(
    "unknown option maxToken; did you mean maxTokens?",
  );
  // @ts-expect-error there is no such option
  await expect(merge(run, { out: "x", verfy: true })).rejects.toThrow("unknown option verfy; did you mean verify?");
  // @ts-expect-error there is no such option
  await expect(exportTo(run, "hf", { ouf: "x" })).rejects.toThrow("exportTo: unknown option ouf; did you mean out?");
  // @ts-expect-error there is no such option
  await expect(quantize(base, { to: "nf4", out: "x", blocks: 1 })).rejects.toThrow("quantize: unknown option blocks");
  // @ts-expect-error there is no such option
  await expect(model.generate("x", { maxTokens: 3 })).rejects.toThrow("did you mean maxNewTokens?");
  // @ts-expect-error there is no such option
  await expect(compare({ seeds: [0], arms: {} }, { paralel: 2 })).rejects.toThrow("did you mean parallel?");
  // @ts-expect-error rank is a number
  await expect(train({ rank: true })).rejects.toThrow("rank: must be an integer of at least 1, got true");
});

/** A value that is of no kind. */
const ODD = new (class Odd {
  readonly itself: unknown = this;
})();

test.each<[string, (wrong: never) => unknown]>([
  ["loadModel: target", (wrong) => loadModel(wrong)],
  ["loadModel: options", (wrong) => loadModel(base, wrong)],
  ["evaluate: target", (wrong) => evaluate(wrong, { data })],
  ["merge: target", (wrong) => merge(wrong, { out: "x" })],
  ["merge: options", (wrong) => merge(base, wrong)],
  ["exportTo: target", (wrong) => exportTo(wrong, "hf", { out: "x" })],
  ["exportTo: options", (wrong) => exportTo(base, "hf", wrong)],
  ["quantize: model", (wrong) => quantize(wrong, { to: "nf4", out: "x" })],
  ["quantize: options", (wrong) => quantize(base, wrong)],
  ["train: settings", (wrong) => train(wrong)],
  ["train: options", (wrong) => train({}, wrong)],
  ["resume: runFolder", (wrong) => resume(wrong)],
  ["resume: options", (wrong) => resume(run.folder, wrong)],
  ["resume: options", (wrong) => resume(run.folder, {}, wrong)],
  ["checkRun: runFolder", (wrong) => checkRun(wrong)],
  ["target: name", (wrong) => loadTarget(wrong, { base: null, adapter: true })],
  ["compare: study", (wrong) => compare(wrong)],
  ["compare: options", (wrong) => compare({ seeds: [0], arms: {} }, wrong)],
  ["generateText: target", (wrong) => highrank.generateText(wrong, {} as never)],
  ["generateText: options", (wrong) => highrank.generateText(base, wrong)],
  ["locateModel: text", (wrong) => highrank.locateModel(wrong)],
  ["encode: text", (wrong) => model.encode(wrong)],
  ["decode: ids", (wrong) => model.decode(wrong)],
  ["decode: options", (wrong) => model.decode([1], wrong)],
  ["logits: ids", (wrong) => model.logits(wrong)],
  ["answerData: target", (wrong) => answerData(wrong, {} as never)],
  ["answerData: options", (wrong) => answerData(base, wrong)],
  ["generate: prompt", (wrong) => model.generate(wrong)],
  ["generate: options", (wrong) => model.generate("x", wrong)],
  ["chat: messages", (wrong) => model.chat(wrong)],
  ["chat: options", (wrong) => model.chat("x", wrong)],
  ["generateMany: prompts", (wrong) => model.generateMany(wrong).next()],
  ["generateMany: options", (wrong) => model.generateMany(["x"], wrong).next()],
])("%s of no kind that the call takes is an error of ours", async (argument, call) => {
  for (const wrong of [5, null, true]) {
    const said = call(wrong as never);
    await expect(said).rejects.toThrow(ConfigError);
    await expect(said).rejects.toThrow(new RegExp(`^${argument} must be .*, got ${wrong}$`, "m"));
  }
});

test.each<[string, (options: never) => unknown, readonly string[]]>([
  ...[
    ["loadModel", (options: never) => loadModel(base, options)],
    ["evaluate", (options: object) => evaluate(base, { ...options, data })],
  ].map(
    ([name, call]) =>
      [name, call, ["base", "adapters", "checkpoint", "onNotice", "adapter", "device", "threads"]] as never,
  ),
  ["merge", (options) => merge(base, options), ["base", "adapters", "checkpoint", "onDownload", "out", "dtype"]],
  ["exportTo", (options) => exportTo(base, "gguf", options), ["base", "adapters", "out", "type"]],
  ["quantize", (options) => quantize(base, options), ["onNotice", "to", "out", "blockSize"]],
  ["train", (options) => train({ dryRun: true }, options), ["onStep", "onRecord", "signal", "untilStep", "ownProcess"]],
  ["train", (options) => train(options), ["model", "rank", "out", "targetModules", "dryRun"]],
  ["resume", (options) => resume(run.folder, options), ["checkpoint"]],
  ["compare", (options) => compare({ seeds: [0], arms: {} }, options), ["out", "parallel", "onRun"]],
  ["generate", (options) => model.generate("x", options), ["stop", "onText", "signal", "seed", "topK"]],
  ["chat", (options) => model.chat("x", options), ["stop", "system"]],
  ["generateMany", (options) => model.generateMany(["x"], options).next(), ["stop", "signal", "batchSize"]],
])("an option of %s of no kind that it takes is an error of ours", async (_, call, names) => {
  for (const name of names) {
    const said = call({ [name]: ODD } as never);
    await expect(said).rejects.toThrow(ConfigError);
    await expect(said).rejects.toThrow(new RegExp(`\\b${name}:? must be `));
  }
});

test("errors name settings by their keys, and flags only for the command line", async () => {
  const error: unknown = await train({ maxSteps: -1, batchSize: 3, totalBatchSize: 4 }).catch((reason) => reason);
  expect(error).toBeInstanceOf(ConfigError);
  const { message, commandLineMessage } = error as ConfigError;
  expect(message.split("\n")).toEqual([
    "maxSteps: must be an integer of at least 1, got -1",
    "totalBatchSize: must be a multiple of batchSize (3), got 4; 6 is the next",
  ]);
  expect(commandLineMessage.split("\n")).toEqual([
    "--max-steps: must be an integer of at least 1, got -1",
    "--total-batch-size: must be a multiple of --batch-size (3), got 4; 6 is the next",
  ]);
  await expect(train({ ...settings, out: run.folder })).rejects.toThrow(/^out: .* or replace it with overwrite: true$/);
  await expect(loadModel(run, { base })).rejects.toThrow(/^base is for PEFT adapters/);
  await expect(exportTo(run, "peft", { out: `${folder}/x`, dtype: "float16" })).rejects.toThrow(/^dtype is for to hf/);
});

test("no message of the library is written with a flag in it", () => {
  const root = new URL("../src/", import.meta.url);
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter(
    (file) => file.endsWith(".ts") && !file.endsWith(".test.ts") && !/^(cli|platform)\//.test(file),
  );
  const found = files.flatMap((file) => {
    const source = readFileSync(new URL(file, root), "utf8")
      .replace(/^ *(\*|\/\/|\/\*\*).*$/gm, "")
      .replace(/either\("[^"]*", "[^"]*"\)/g, "");
    const texts = source.match(/"[^"\n]*"|`[^`]*`/g) ?? [];
    // A command line that is to be run, a style sheet, and the notation of flags themselves.
    const flags = texts.filter(
      (text) => /(^|[\s(`"])--[a-z][a-z-]+/.test(text) && !/highrank |[\w-]+: *[#\d]/.test(text),
    );
    return flags.map((text) => `src/${file}: ${text}`);
  });
  const notFlags = [
    "src/adapters/kinds.ts",
    "src/config/flags.ts",
    "src/config/settings-page.ts",
    "src/base/naming.ts",
  ];
  const commands = [
    "src/distributed/mpi-transport.ts",
    "src/formats/card-loading.ts",
    "src/runs/divergence.ts",
    "src/verbs/doctor/check-run.ts",
    "src/verbs/options.ts",
  ];
  expect(found.filter((text) => ![...notFlags, ...commands].includes(text.split(":")[0]!))).toEqual([]);
});

test("a signal ends a run after its step, with a checkpoint that it goes on from", async () => {
  const control = new AbortController();
  const stopped = await train(
    { ...settings, out: path.join(folder, "stopped") },
    {
      signal: control.signal,
      onStep: ({ step }) => {
        if (step === 2) control.abort();
      },
    },
  );
  expect(stopped).toMatchObject({ outcome: "stopped", step: 2 });
  expect(readdirSync(stopped.folder)).toContain("checkpoint-000002");
  const whole = await highrank.resume(stopped.folder);
  expect(whole).toMatchObject({ outcome: "done", step: 6, finalLoss: run.finalLoss });
  expect(whole.metrics.filter(({ kind }) => kind === "step")).toHaveLength(6);
  const aborted = train({ ...settings, out: path.join(folder, "never") }, { signal: AbortSignal.abort() });
  await expect(aborted).rejects.toThrow("aborted");
  expect(readdirSync(folder)).not.toContain("never");
});

test.each(["throws", "rejects"])("a listener that %s ends the run, saved, and then the call", async (how) => {
  const pace = new highrank.Pace(2);
  const boom = new TypeError("boom");
  const failing = (): Promise<never> => {
    if (how === "throws") throw boom;
    return Promise.reject(boom);
  };
  const unhandled: unknown[] = [];
  const hear = (error: unknown): number => unhandled.push(error);
  process.on("unhandledRejection", hear);
  for (const [name, options, step] of [
    ["onStep", { onStep: failing }, 1],
    ["onPause", { onPause: failing, pace }, 2],
  ] as const) {
    const out = path.join(folder, `${name}-${how}`);
    const said = await train({ ...settings, out }, options).catch((error) => error);
    expect(said).toBeInstanceOf(highrank.HighrankError);
    expect(said).toMatchObject({ message: `${name} failed, which ended the work: TypeError: boom`, cause: boom });
    expect(readdirSync(out)).toContain(`checkpoint-00000${step}`);
  }
  const text = "onText failed, which ended the work: TypeError: boom";
  await expect(model.generate("The", { maxNewTokens: 1e6, onText: failing })).rejects.toThrow(text);
  const prompts = path.join(folder, `prompts-${how}.jsonl`);
  await writeFile(prompts, '{"prompt": "The"}\n'.repeat(3));
  const answering = {
    adapter: false,
    data: prompts,
    out: `${prompts}-answers.jsonl`,
    base: null,
    device: "cpu",
    threads: 1,
  } as const;
  const rules = { maxNewTokens: 4, temperature: 0, topK: null, topP: 1, seed: 0, batchSize: 1 };
  await expect(answerData(run.folder, { ...answering, ...rules, onProgress: failing })).rejects.toThrow(
    "onProgress failed, which ended the work: TypeError: boom",
  );
  await new Promise((resolve) => setTimeout(resolve));
  process.off("unhandledRejection", hear);
  expect(unhandled).toEqual([]);
});

test("a reply is awaited for its text, or iterated for its pieces", async () => {
  const options = { maxNewTokens: 12, seed: 3 };
  const whole = await model.generate("The 1th cat", options);
  const pieces: string[] = [];
  for await (const piece of model.generate("The 1th cat", options)) pieces.push(piece);
  expect(pieces.length).toBeGreaterThan(1);
  expect(pieces.join("")).toBe(whole);
  const reply = model.generate("The 1th cat", options);
  expect(await reply.generation).toMatchObject({ text: whole, tokens: 12, finish: "length" });
  expect(await reply).toBe(whole);
});

test("many prompts are answered in their order, each as it would be alone", async () => {
  const greedy = { maxNewTokens: 12, temperature: 0 };
  const prompts = ["The 1th cat", "", "The 2th cat sat on", "mat"];
  const alone = await Promise.all(prompts.map((prompt) => model.generate(prompt, greedy).generation));
  const texts: string[] = [];
  for await (const { text, tokens, finish } of model.generateMany(prompts, { ...greedy, batchSize: 3 })) {
    expect({ text, tokens, finish }).toEqual(expect.objectContaining({ text: alone[texts.length]!.text, tokens: 12 }));
    texts.push(text);
  }
  expect(texts).toHaveLength(4);
  for await (const _ of model.generateMany(prompts, greedy)) break;
  expect(await model.generate("mat", greedy)).toBe(texts[3]);
  await expect(model.generateMany(prompts, { batchSize: 0 }).next()).rejects.toThrow("batchSize: must be");
  await expect(model.generateMany([[{ role: "user", content: "x" }]]).next()).rejects.toThrow("no chat template");
});

test("leaving the loop ends the writing, and a signal throws its reason", async () => {
  let tokens = 0;
  for await (const _ of model.generate("The", { maxNewTokens: 1e6 })) if (++tokens === 3) break;
  expect(tokens).toBe(3);
  const control = new AbortController();
  setTimeout(() => control.abort(new Error("enough")), 20);
  await expect(model.generate("The", { maxNewTokens: 1e6, signal: control.signal })).rejects.toThrow("enough");
  expect(await model.generate("The", { maxNewTokens: 2 })).toEqual(expect.any(String));
});

test("calls at once are served one after the other", async () => {
  const greedy = { maxNewTokens: 6, temperature: 0 };
  const alone = await model.generate("The 2th", greedy);
  const [first, ids, second] = await Promise.all([
    model.generate("The 2th", greedy),
    model.logits([1, 2, 3]),
    model.generate("The 2th", greedy),
  ]);
  expect([first, second]).toEqual([alone, alone]);
  expect(ids.shape).toEqual([3, model.vocabSize]);
});

test("half of a surrogate pair and an empty stop text are refused by name", async () => {
  const half = "a\ud800";
  await expect((async () => model.generate(half))()).rejects.toThrow(
    'generate: prompt must be a text, got "a\\ud800", with half of a surrogate pair',
  );
  const messages = [{ role: "user", content: half }];
  for (const prompt of [half, messages]) {
    await expect(model.generateMany([prompt]).next()).rejects.toThrow("generateMany: prompts must be a list");
  }
  for (const stop of [[""], ["x", half]]) {
    await expect((async () => model.generate("x", { stop }))()).rejects.toThrow(
      "generate: stop must be a list of which each is a text of at least one character",
    );
  }
});

test("ids that are none, and answers without a place, are refused by name", async () => {
  for (const wrong of [undefined, 10n, Symbol("1"), 1.5, -1, "1"]) {
    await expect(model.logits([wrong] as never)).rejects.toThrow("logits: ids must be a list of token ids, which are");
  }
  await expect(answerData(base, { data } as never)).rejects.toThrow("answerData: out must be a text, got undefined");
  await expect(answerData(base, { data, out: {} } as never)).rejects.toThrow("answerData: out must be a text, got an");
});

test("ids of any length that are none are refused without a copy", async () => {
  await expect(model.logits({ length: 2 ** 40 })).rejects.toThrow("logits: ids must be a list of token ids");
});

test("logits are those of the model, and what cannot be scored is refused", async () => {
  const ids = await model.encode("The 3th cat");
  expect(await model.decode(ids)).toBe("The 3th cat");
  const { shape, data: scores } = await model.logits(ids);
  expect(shape).toEqual([ids.length, model.vocabSize]);
  const expected = await model.module.logits(tensor(Int32Array.from(ids), [1, ids.length])).data();
  expect(scores.length).toBe(expected.length);
  expect(Math.max(...scores.map((score, i) => Math.abs(score - expected[i]!)))).toBeLessThan(1e-5);
  const last = scores.slice(-model.vocabSize);
  const next = await model.generate("The 3th cat", { maxNewTokens: 1, temperature: 0 });
  const likeliest = await model.decode([last.indexOf(Math.max(...last))], { skipSpecialTokens: false });
  expect(likeliest).toBe(next);
  await expect(model.logits([])).rejects.toThrow("needs from 1 to 32 ids");
  await expect(model.logits([model.vocabSize])).rejects.toThrow("ids must be integers from 0 to");
});

test("what generation_config.json asks for in vain is said when a model is loaded, and when it is served", async () => {
  const penalized = path.join(folder, "penalized");
  await writeSmallModel(penalized);
  await writeFile(path.join(penalized, "generation_config.json"), '{"repetition_penalty": 1.3}');
  const notices: string[] = [];
  const onNotice = (text: string): number => notices.push(text);
  await (await loadModel(penalized, { threads: 1, onNotice })).dispose();
  const job = { target: penalized, name: "model", base: null, adapters: {}, parallel: 1, contextTokens: null };
  const served = await loadServed({ ...job, device: "cpu", threads: 1 }, { onNotice });
  await served.get("model")!.release();
  const said = "generation_config.json asks for what is not done here, and is ignored: repetition_penalty 1.3.";
  expect(notices).toEqual([said, said]);
});

test("a context of more tokens than the model sees is not served", async () => {
  const job = { target: run.modelFolder!, name: "model", base: null, adapters: {}, parallel: 1, contextTokens: 33 };
  await expect(loadServed({ ...job, device: "cpu", threads: 1 }, {})).rejects.toThrow(
    `contextTokens: must be at most 32, the length of ${run.modelFolder}, got 33`,
  );
});

test("a chat template that is not there is missed when the model is loaded", async () => {
  await expect(loadModel(run, { chatTemplate: "bogus", threads: 1 })).rejects.toThrow(
    /^chatTemplate: there is no file bogus, and the built-in ones chatml, .*; name one$/,
  );
});

test("chat without a chat template says what to do in words of a program", async () => {
  await expect(model.chat("Hello")).rejects.toThrow(/name one as chatTemplate, a file or one of .*, or use generate/);
  const template = path.join(folder, "chat.jinja");
  await writeFile(template, "{% for m in messages %}{{ m.content }} {% endfor %}");
  const chat = await loadModel(run, { chatTemplate: template, threads: 1 });
  const options = { maxNewTokens: 4, temperature: 0 };
  const asked = [{ role: "user", content: "The cat" }];
  expect(await chat.chat(asked, options)).toBe(await chat.chat("The cat", options));
  const prompted = await chat.chat(asked, { ...options, system: "On mats" });
  const whole = [{ role: "system", content: "On mats" }, ...asked];
  expect(await chat.chat(whole, options)).toBe(prompted);
  expect(await chat.chat(whole, { ...options, system: "On mats" })).toBe(prompted);
  await expect(chat.chat(whole, { ...options, system: "Be brief" })).rejects.toThrow(
    "chat: system must not differ from the first message, which is of the system; leave one out",
  );
  await chat.dispose();
  await expect(chat.chat("The cat")).rejects.toThrow("was disposed of; load it again");
});

test("one door: a run, its model, its adapter on the base, and quantized weights", async () => {
  const options = { maxNewTokens: 8, temperature: 0 };
  const expected = await model.generate("The cat", options);
  const quantized = path.join(folder, "quantized");
  const { relativeError } = await quantize(base, { to: "int8", out: quantized });
  expect(relativeError).toBeLessThan(0.02);
  const doors = [
    [run.folder, {}],
    [`${run.folder}/model`, {}],
    [`${run.folder}/adapter`, { base }],
    [base, { adapters: [`${run.folder}/adapter`] }],
  ] as const;
  for (const [target, given] of doors) {
    const loaded = await loadModel(target, { ...given, threads: 1 });
    expect(await loaded.generate("The cat", options)).toBe(expected);
    await loaded.dispose();
  }
  const loaded = await loadModel(quantized, { threads: 1 });
  expect(await loaded.generate("The cat", options)).toEqual(expect.any(String));
  await loaded.dispose();
});

test("evaluate, merge and exportTo take a run and fill in what is left out", async () => {
  const { loss, tokens } = await evaluate(run, { data, maxTokens: 300, threads: 1 });
  const out = path.join(folder, "merged");
  const merged = await merge(run, { out, verify: true });
  expect(merged).toMatchObject({ modelFolder: out, dtype: "float32" });
  expect(await evaluate(out, { data, maxTokens: 300, threads: 1 })).toMatchObject({ tokens });
  expect((await evaluate(out, { data, maxTokens: 300, threads: 1 })).loss).toBeCloseTo(loss, 5);
  expect(await exportTo(run, "peft", { out: `${folder}/peft` })).toMatchObject({ rank: 4 });
  expect(await evaluate([tensor([1, 2])])).toMatchObject([{ shape: [2] }]);
});

test("compare takes a study as an object", async () => {
  const out = path.join(folder, "study");
  const { sampleTokens, ...shared } = settings;
  const study = { settings: shared, seeds: [0], arms: { lora: {}, full: { method: "full" } } } as const;
  await expect(compare({ ...study, seeds: [] }, { out })).rejects.toThrow("compare: seeds: must be a list");
  await expect(compare(study, { out, signal: AbortSignal.abort() })).rejects.toThrow("aborted");
});
