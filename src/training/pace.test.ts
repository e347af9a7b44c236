import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { animalText } from "../../tests/animal-text.js";
import { ConfigError } from "../base/errors.js";
import type { TrainSettings } from "../config/train-settings.js";
import { loadModel } from "../verbs/model.js";
import { type Run, type RunOptions, resume, train } from "../verbs/train.js";
import { Pace, PacedSteps, type Pause } from "./pace.js";

let folder = "";
/** A run that nobody pauses. */
let whole: Run;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-pace-"));
  await writeFile(path.join(folder, "text.txt"), animalText());
  whole = await run("whole");
});
afterAll(() => rm(folder, { recursive: true }));

async function run(name: string, options: RunOptions = {}, change: TrainSettings = {}): Promise<Run> {
  const small = { model: "tiny", method: "relora", rank: 4, vocabSize: 300, batchSize: 2, sequenceLength: 16 } as const;
  const length = { maxSteps: 6, warmStartSteps: 2, reloraEvery: 2, evalTokens: 200, sampleTokens: 0, threads: 1 };
  const place = { data: path.join(folder, "text.txt"), out: path.join(folder, name) };
  return train({ ...small, ...length, ...place, ...change }, options);
}

async function expectSameWeights({ folder: of }: Run): Promise<void> {
  for (const file of ["model/model.safetensors", "adapter/adapter_model.safetensors"]) {
    expect((await readFile(path.join(of, file))).equals(await readFile(path.join(whole.folder, file)))).toBe(true);
  }
}

const lossesOf = ({ metrics }: Run) => metrics.flatMap((record) => (record.kind === "step" ? [record.loss] : []));

test("a run is paused, makes steps one by one and goes on, to the same bits; each pause has its state saved", async () => {
  const pace = new Pace();
  pace.step();
  const pauses: Pause[] = [];
  const said: boolean[] = [];
  const paced = await run("paced", {
    pace,
    onPause: (pause) => {
      pauses.push(pause);
      said.push(pace.isPaused);
      // Two at once, so that the run merges on its way, and then the rest.
      if (pause.step === 1) for (let i = 0; i < 2; i++) pace.step();
      else pace.goOn();
    },
    onStep: ({ step }) => {
      if (step === 5) pace.pause();
    },
  });
  expect(pauses.map(({ step }) => step)).toEqual([1, 3, 5]);
  for (const { step, checkpoint } of pauses)
    expect(checkpoint).toBe(path.join(paced.folder, `checkpoint-00000${step}`));
  expect(said).toEqual([true, true, true]);
  expect(pace.isPaused).toBe(false);
  expect(paced).toMatchObject({ outcome: "done", step: 6 });
  expect(lossesOf(paced)).toEqual(lossesOf(whole));
  await expectSameWeights(paced);
});

test("the state of a pause can be talked to, and its time is none of training", async () => {
  const pace = new Pace();
  pace.pause();
  const seconds = 1.5;
  let written = "";
  const paced = await run("waiting", {
    pace,
    onPause: async ({ step }) => {
      if (step === 0) return pace.step();
      const model = await loadModel(path.join(folder, "waiting"));
      written = await model.generate("The ", { maxNewTokens: 3 });
      await model.dispose();
      setTimeout(() => pace.goOn(), 1000 * seconds);
    },
  });
  const [first, second] = paced.metrics.flatMap((record) => (record.kind === "step" ? [record.seconds] : []));
  expect(written.length).toBeGreaterThan(0);
  expect(second! - first!).toBeLessThan(seconds);
  await expectSameWeights(paced);
});

test("a run that waits ends when its signal is aborted, and goes on later, paused from the start or not", async () => {
  const stop = new AbortController();
  const pace = new Pace();
  const onPause = (): void => stop.abort();
  const onStep = ({ step }: { readonly step: number }): void => {
    if (step === 3) pace.pause();
  };
  const stopped = await run("stopped", { pace, signal: stop.signal, onPause, onStep });
  expect(stopped).toMatchObject({ outcome: "stopped", step: 3 });
  expect(stopped.checkpoint).toBe(path.join(stopped.folder, "checkpoint-000003"));

  const again = new AbortController();
  const still = await resume(stopped.folder, {}, { pace, signal: again.signal, onPause: () => again.abort() });
  expect(still).toMatchObject({ outcome: "stopped", step: 3 });
  pace.step();
  const paused: number[] = [];
  const onPauseAfter = ({ step: at }: Pause): void => {
    paused.push(at);
    pace.goOn();
  };
  const resumed = await resume(stopped.folder, {}, { pace, onPause: onPauseAfter });
  expect(paused).toEqual([4]);
  expect(resumed).toMatchObject({ outcome: "done", step: 6 });
  await expectSameWeights(resumed);
});

test("a run that is stopped before it has begun saves its first step, as without a pause", async () => {
  const stop = new AbortController();
  const pace = new Pace(0);
  const stopped = await run("not-begun", { pace, signal: stop.signal, onPause: () => stop.abort() });
  expect(stopped).toMatchObject({ outcome: "stopped", step: 1 });
});

test("steps add up; a pause takes back those that were not made", () => {
  const pace = new Pace();
  const steps = new PacedSteps(pace);
  steps.take();
  expect(steps.mustWait).toBe(false);
  for (let i = 0; i < 3; i++) pace.step();
  steps.take();
  expect([steps.mustWait, pace.isPaused]).toEqual([false, true]);
  pace.pause();
  expect(steps.mustWait).toBe(true);
  pace.step();
  steps.take();
  expect(steps.mustWait).toBe(true);
  steps.release();
  pace.goOn();
  expect(steps.mustWait).toBe(true);
});

test("what is no Pace is refused", async () => {
  const pace = { pause: () => {} } as unknown as Pace;
  await expect(run("none", { pace })).rejects.toThrow(ConfigError);
  await expect(run("none", { pace })).rejects.toThrow("train: pace must be a Pace, got an object (Object)");
});
