import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { animalText } from "../../tests/animal-text.js";
import { runContents } from "../../tests/run-contents.js";
import { writeSmallModel } from "../../tests/small-model.js";
import { LoRAAdapter } from "../adapters/lora-adapter.js";
import { NumericError } from "../base/errors.js";
import { completeSettings, resolveSettings } from "../config/resolve.js";
import type { Settings } from "../config/settings.js";
import { TrainingStep } from "../programs/training-step.js";
import { readCheckpoint } from "../runs/checkpoint.js";
import type { MetricsRecord } from "../runs/metrics.js";
import { evaluateTarget } from "../verbs/evaluate.js";
import { resume } from "./resume.js";
import { type TrainOptions, train } from "./train.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-numbers-"));
  await writeFile(path.join(folder, "text.txt"), animalText());
});
afterEach(() => void vi.restoreAllMocks());
afterAll(() => rm(folder, { recursive: true }));

const SMALL: Partial<Settings> = {
  model: "tiny",
  method: "full",
  rank: 4,
  vocabSize: 300,
  batchSize: 2,
  sequenceLength: 32,
  maxSteps: 8,
  warmupSteps: 0,
  schedule: "constant",
  lr: 3e-3,
  evalEvery: 2,
  evalTokens: 200,
  sampleTokens: 0,
  saveEvery: 2,
  threads: 1,
};

/** With adapters from the first step, merged after every third. */
const RELORA: Partial<Settings> = { method: "relora", warmStartSteps: 0, reloraEvery: 3, restartWarmupSteps: 0 };

/** What would follow from the data of a fine-tune. */
const FINE_TUNED: Partial<Settings> = { validationFraction: 0.02, trainModules: ["embeddings", "norms", "head"] };

function settingsOf(name: string, change: Partial<Settings> = {}): Settings {
  const out = path.join(folder, name);
  return completeSettings(
    resolveSettings({ flags: { ...SMALL, data: path.join(folder, "text.txt"), out, ...change } }),
  );
}

/** Trains and stops after that step, as an interrupt does. Returns the run folder. */
async function stoppedAt(step: number, settings: Settings): Promise<string> {
  const { records, options } = recording();
  await train(settings, { ...options, stopRequested: () => records.at(-1)!.step === step });
  return settings.out!;
}

function recording(): { records: MetricsRecord[]; options: TrainOptions } {
  const records: MetricsRecord[] = [];
  return { records, options: { onRecord: (record) => records.push(record) } };
}

function ofKind<K extends MetricsRecord["kind"]>(records: readonly MetricsRecord[], kind: K) {
  return records.filter((record): record is Extract<MetricsRecord, { kind: K }> => record.kind === kind);
}

/** Has the loss of steps on some batches be NaN, as the data themselves have it: the same in every process. */
function spoil(isBad: (firstToken: number) => boolean): void {
  const { runAll } = TrainingStep.prototype;
  vi.spyOn(TrainingStep.prototype, "runAll").mockImplementation(async function (this: TrainingStep, batches, before) {
    const result = await runAll.call(this, batches, before);
    return isBad(batches[0]!.inputIds[0]!) ? { ...result, loss: Number.NaN } : result;
  });
}

/** The error that the run ends with, which must be a NumericError. */
async function failure(run: Promise<unknown>): Promise<string> {
  const error: unknown = await run.then(
    () => "it did not fail",
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(NumericError);
  return (error as NumericError).message;
}

async function expectSound(run: string, step: number): Promise<void> {
  const { step: last, tensorFiles } = await readCheckpoint(run, "last");
  expect(last).toBe(step);
  for (const file of ["trainable", "optimizer"]) {
    for (const [name, { data }] of tensorFiles[file]!) {
      expect(data.every(Number.isFinite), `${file} ${name}`).toBe(true);
    }
  }
  const options = { data: path.join(folder, "text.txt"), batchSize: 2, sequenceLength: 32, maxTokens: 200 };
  const machine = { base: null, adapter: true, device: "cpu", threads: 1 } as const;
  expect((await evaluateTarget(run, { ...options, ...machine })).loss).toBeLessThan(10);
}

test("skipped updates are counted, and an interruption among them changes nothing", async () => {
  spoil((token) => token % 2 === 0);
  const { records, options } = recording();
  const whole = await train(settingsOf("skips", { maxSteps: 12 }), options);
  const skips = ofKind(records, "skip");
  const steps = skips.map(({ step }) => step);
  expect(skips.length).toBeGreaterThan(2);
  expect(skips.length).toBeLessThan(9);
  expect(skips.map(({ skipped }) => skipped)).toEqual(skips.map((_, i) => i + 1));
  const inARow = (step: number): number => (steps.includes(step) ? 1 + inARow(step - 1) : 0);
  expect(skips.map((skip) => skip.inARow)).toEqual(steps.map(inARow));
  expect(ofKind(records, "end")[0]).toMatchObject({ outcome: "done", skipped: skips.length });
  const expected = await runContents(whole.runFolder);
  // At a skipped update, and after one that was not.
  const sound = ofKind(records, "step").find(({ step }) => step > steps[0]! && step < steps.at(-1)!)!.step;
  for (const step of [steps[0]!, sound]) {
    const run = await stoppedAt(step, settingsOf(`skips-${step}`, { maxSteps: 12 }));
    const after = recording();
    await resume(run, {}, after.options);
    expect(await runContents(run)).toEqual(expected);
    expect(ofKind(after.records, "end")[0]).toMatchObject({ skipped: skips.length });
  }
});

test("too many skipped updates save the state that they left, with the merge that was due, to go on from", async () => {
  let bad = false;
  spoil(() => bad);
  const { records, options } = recording();
  const onRecord = (record: MetricsRecord): void => {
    options.onRecord!(record);
    bad ||= record.kind === "step" && record.step === 4;
  };
  const settings = settingsOf("bad-steps", {
    ...RELORA,
    maxSteps: 9,
    saveEvery: null,
    evalEvery: null,
    maxBadSteps: 1,
  });
  const message = await failure(train(settings, { onRecord }));
  const { out } = settings;
  expect(message).toBe(
    `training diverged at step 6: 2 updates in a row were skipped, at last because the loss is NaN; ` +
      `${path.join(out!, "checkpoint-000006")} is the last good state; go on from it with a lower lr: ` +
      `highrank resume ${out} --lr 0.0015 --adapter-lr 0.0015`,
  );
  expect(ofKind(records, "merge").map(({ step }) => step)).toEqual([3, 6]);
  expect(records.at(-1)).toMatchObject({ kind: "end", outcome: "diverged", skipped: 2 });
  await expectSound(out!, 6);
  bad = false;
  vi.restoreAllMocks();
  const after = recording();
  expect(await resume(out!, { changes: { lr: 1e-3 } }, after.options)).toMatchObject({ outcome: "done", step: 9 });
  expect(ofKind(after.records, "step").map(({ step, cycle }) => [step, cycle])).toEqual(
    [7, 8, 9].map((step) => [step, 3]),
  );
});

test.each<[string, Partial<Settings>, Record<string, unknown>, RegExp]>([
  [
    "weights that overflow",
    {},
    { lr: 1e40 },
    /diverged at step 6: \S+\.weight is no longer finite; .*checkpoint-000004/,
  ],
  [
    "weights that are finite and useless",
    { evalEvery: null },
    { lr: 1e30 },
    /diverged at step 6: the held-out loss is /,
  ],
  [
    "adapters that overflow before a merge",
    { ...RELORA, evalEvery: null },
    { adapterLr: 1e40, saveEvery: "none", clipGradNorm: "none" },
    /diverged at step 6: \S+\.lora[AB] is no longer finite; .*--adapter-lr \S+ --clip-grad-norm 1$/,
  ],
])(
  "%s are neither saved nor merged: the last good state is the checkpoint before",
  async (name, change, wild, message) => {
    const settings = settingsOf(`overflow ${name}`, change);
    const run = await stoppedAt(4, settings);
    const deltas = await readdir(path.join(run, "deltas")).catch(() => []);
    expect(await failure(resume(run, { changes: wild }))).toMatch(message);
    await expectSound(run, 4);
    expect(await readdir(path.join(run, "deltas")).catch(() => [])).toEqual(deltas);
    const whole = await train(settingsOf(`whole ${name}`, change));
    const { lr, saveEvery, clipGradNorm } = settings;
    const rates = settings.method === "full" ? { lr } : { lr, adapterLr: settings.adapterLr };
    await resume(run, { changes: { ...rates, saveEvery, clipGradNorm } });
    expect(await runContents(run)).toEqual(await runContents(whole.runFolder));
  },
);

test("a held-out loss far above its lowest stops the run, interrupted or not; the best checkpoint stays", async () => {
  const change = { keepCheckpoints: 1, evalEvery: 1, maxSteps: 20 } as const;
  const wild = { lr: 3, clipGradNorm: "none" };
  const messages: string[] = [];
  const contents: unknown[] = [];
  for (const name of ["diverging", "diverging, interrupted"]) {
    const run = await stoppedAt(4, settingsOf(name, change));
    const { records, options } = recording();
    if (name === "diverging") {
      messages.push(await failure(resume(run, { changes: wild }, options)));
    } else {
      const stopRequested = (): boolean => records.at(-1)!.step === 6;
      await resume(run, { changes: wild }, { ...options, stopRequested });
      messages.push(await failure(resume(run, {}, options)));
    }
    const evals = ofKind(records, "eval");
    expect(evals.length).toBeGreaterThanOrEqual(3);
    for (const { loss } of evals.slice(-3)) expect(loss).toBeGreaterThan(9);
    expect(records.at(-1)).toMatchObject({ kind: "end", outcome: "diverged" });
    expect((await readFile(path.join(run, "best"), "utf8")).trim()).toBe("checkpoint-000004");
    expect(await readdir(run)).toContain("checkpoint-000004");
    contents.push(await runContents(run));
  }
  expect(messages[0]).toMatch(
    /diverged at step \d+: the held-out loss is \d+\S*, above 1\.5 times its lowest, \d\.\d+, in evaluation 3 in a row; the best checkpoint is that of step 4, with \d\.\d+; go on from it with a lower lr: highrank resume .*diverging --checkpoint best --lr 1\.5 /,
  );
  expect(messages[1]).toBe(messages[0]!.replaceAll("diverging ", "diverging, interrupted "));
  expect(contents[1]).toEqual(contents[0]);
  const run = path.join(folder, "diverging");
  const changes = { lr: 3e-3, clipGradNorm: 1 };
  expect(await resume(run, { checkpoint: "best", changes })).toMatchObject({ outcome: "done", step: 20 });
});

test("a run that jumped and comes down again names the checkpoint that it saved last, as the best", async () => {
  const { modelFolder } = await train(settingsOf("from low", { maxSteps: 20 }));
  const jump = { ...FINE_TUNED, model: modelFolder!, lr: 0.05, schedule: "cosine", minLrRatio: 0.01 } as const;
  const often = { maxSteps: 4, evalEvery: 1, saveEvery: 1, divergenceFactor: 1.02 } as const;
  const settings = settingsOf("jumped", { ...jump, ...often });
  const { records, options } = recording();
  const message = await failure(train(settings, options));
  const losses = ofKind(records, "eval").map(({ loss }) => loss);
  expect(losses.at(-1)!).toBeLessThan(losses.at(-2)!);
  const best = Number((await readFile(path.join(settings.out!, "best"), "utf8")).trim().slice("checkpoint-".length));
  expect(message).toContain(`the best checkpoint is that of step ${best}, with ${losses[best]}`);
});

test("a run that is to go on whatever its loss does so", async () => {
  const settings = settingsOf("unbounded", { lr: 3, clipGradNorm: null, divergenceFactor: null, evalEvery: 1 });
  expect(await train(settings)).toMatchObject({ outcome: "done", step: 8 });
});

test.each<[string, Partial<Settings>, RegExp]>([
  [
    "quantized",
    { ...RELORA, warmStartSteps: 1, quantize: "nf4", evalEvery: null, lr: 1e300 },
    /step 1: \S+ is no longer/,
  ],
  [
    "asked to write",
    { evalEvery: 1, sampleTokens: 3, lr: 1e300 },
    /step 1: the held-out loss is NaN|is no longer finite/,
  ],
  ["decayed", { evalEvery: 1, sampleTokens: 3, weightDecay: 1e300 }, /is no longer finite|the held-out loss is NaN/],
])(
  "weights that one update has ruined end the run by its numbers before they are %s",
  async (name, change, message) => {
    const { records, options } = recording();
    expect(await failure(train(settingsOf(`ruined ${name}`, change), options))).toMatch(message);
    expect(records.at(-1)).toMatchObject({ kind: "end", outcome: "diverged" });
  },
);

test("a model whose loss is not a number does not begin to train", async () => {
  const model = path.join(folder, "nan-model");
  await writeSmallModel(model, {
    change: (tensors) => void tensors.get("model.norm.weight")!.data.fill(Number.NaN),
  });
  const settings = settingsOf("nan", { model, ...FINE_TUNED, sampleTokens: 3 });
  expect(await failure(train(settings))).toMatch(
    /^the held-out loss is NaN before the first step; check the weights of /,
  );
});

/** Adapters on v_proj alone, and in the second layer a weight behind it that lets nothing through. */
async function unreachable(name: string, targetModules: readonly string[]): Promise<Settings> {
  const model = path.join(folder, `${name}-model`);
  await writeSmallModel(model, {
    change: (tensors) => void tensors.get("model.layers.1.self_attn.o_proj.weight")!.data.fill(0),
  });
  return settingsOf(name, { ...RELORA, model, ...FINE_TUNED, targetModules });
}

test("an adapter that the loss does not reach is found by its second update, also after an interruption", async () => {
  const message =
    /^1 of 2 adapters get no gradient in their second update.*\nmodel\.layers\.1\.self_attn\.v_proj: loraA, loraB$/;
  const settings = await unreachable("cut-off", ["v_proj"]);
  const { records, options } = recording();
  expect(await failure(train(settings, options))).toMatch(message);
  expect(ofKind(records, "step").map(({ step }) => step)).toEqual([1]);
  expect(records.at(-1)).toMatchObject({ kind: "end", outcome: "diverged" });
  const run = await stoppedAt(1, { ...settings, out: path.join(folder, "cut-off-stopped") });
  expect(await failure(resume(run))).toMatch(message);
});

test("adapters behind a weight that is zero but trained are sound", async () => {
  const settings = await unreachable("zero-but-trained", ["v_proj", "o_proj"]);
  expect(await train(settings)).toMatchObject({ outcome: "done" });
});

test("adapters whose A and B are both zero are found at once, skipped updates aside", async () => {
  let first = true;
  const zeroA = vi.spyOn(LoRAAdapter.prototype, "redrawDropout").mockImplementation(function (this: LoRAAdapter) {
    this.loraA.values.fill(0);
  });
  spoil(() => {
    const bad = first;
    first = false;
    return bad;
  });
  const { records, options } = recording();
  const message = await failure(train(settingsOf("zero", RELORA), options));
  expect(zeroA).toHaveBeenCalled();
  expect(message).toMatch(/^14 of 14 adapters get no gradient in their first update.*\n… and 6 more$/s);
  expect(ofKind(records, "skip").map(({ step }) => step)).toEqual([1]);
  expect(ofKind(records, "step")).toEqual([]);
});
