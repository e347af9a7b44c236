import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type * as Resolve from "../src/config/resolve.js";
import type { MetricsRecord } from "../src/runs/metrics.js";
import type * as PaceModule from "../src/training/pace.js";
import type { Pause } from "../src/training/pace.js";
import type * as Start from "../src/training/start.js";

// A worker runs built files, so this takes all from dist/.
const DIST = new URL("../dist/", import.meta.url).href;
const { startTraining }: typeof Start = await import(`${DIST}training/start.js`);
const { Pace }: typeof PaceModule = await import(`${DIST}training/pace.js`);
const { resolveSettings }: typeof Resolve = await import(`${DIST}config/resolve.js`);
const { DataError } = await import(`${DIST}base/errors.js`);

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-thread-"));
  const words = Array.from({ length: 400 }, (_, i) => `Number ${i} follows number ${i - 1}.`);
  await writeFile(path.join(folder, "text.txt"), words.join("\n\n"));
});
afterAll(() => rm(folder, { recursive: true }));

function settings(name: string, maxSteps: number, data = "text.txt") {
  const small = { model: "tiny", vocabSize: 280, sequenceLength: 16, batchSize: 2, sampleTokens: 0, evalTokens: 100 };
  const [out, text] = [path.join(folder, name), path.join(folder, data)];
  return resolveSettings({ flags: { ...small, method: "full", maxSteps, out, data: text } });
}

test("records come to the caller's thread in order, and then the result", async () => {
  const records: MetricsRecord[] = [];
  const { done } = startTraining(settings("run", 3), { onRecord: (record) => records.push(record) });
  expect(await done).toMatchObject({ outcome: "done", step: 3, tokens: 96 });
  expect(records.map(({ kind, step }) => `${kind} ${step}`)).toEqual([
    "start 0",
    "eval 0",
    "step 1",
    "step 2",
    "step 3",
    "eval 3",
    "end 3",
  ]);
});

test("a run of many steps ends soon after it is asked to stop", async () => {
  const running = startTraining(settings("stopped", 1_000_000), {
    onRecord: ({ kind, step }) => {
      if (kind === "step" && step === 2) running.stop();
    },
  });
  const { outcome, step, checkpoint } = await running.done;
  expect(outcome).toBe("stopped");
  expect(step).toBeLessThan(1000);
  expect(checkpoint).toContain("checkpoint-");
});

test.each([false, true])("a run in a worker is paused and goes on (in a process: %s)", async (ownProcess) => {
  const pace = new Pace(2);
  const [steps, pauses]: [number[], Pause[]] = [[], []];
  const { done } = startTraining(settings(`paced-${ownProcess}`, 5), {
    ...{ pace, ownProcess },
    onRecord: ({ kind, step }) => {
      if (kind === "step") steps.push(step);
    },
    onPause: (pause) => {
      pauses.push(pause);
      expect(steps.at(-1)).toBe(pause.step);
      if (pause.step === 2) pace.step();
      else pace.goOn();
    },
  });
  expect(await done).toMatchObject({ outcome: "done", step: 5 });
  expect(pauses.map(({ step }) => step)).toEqual([2, 3]);
  expect(pauses[1]!.checkpoint).toMatch(/checkpoint-000003$/);
});

test("a run in a worker that waits ends when it is asked to stop", async () => {
  const running = startTraining(settings("paused-stopped", 5), {
    ...{ pace: new Pace(2), onRecord: () => {} },
    onPause: () => running.stop(),
  });
  expect(await running.done).toMatchObject({ outcome: "stopped", step: 2 });
});

test("a listener that fails ends a run in a worker, saved", async () => {
  const out = settings("failing", 1_000_000);
  const { done } = startTraining(out, {
    onRecord: ({ kind }) => {
      if (kind === "step") throw new Error("no more");
    },
  });
  await expect(done).rejects.toThrow("onRecord failed, which ended the work: Error: no more");
  expect(await readdir(out.out!)).toContain("last");
});

test("an error in the worker keeps its class", async () => {
  const { done } = startTraining(settings("none", 3, "none.txt"), { onRecord: () => {} });
  await expect(done).rejects.toThrow(DataError);
  await expect(done).rejects.toThrow(/none\.txt/);
});

test("what is no settings or no listener is refused by name", () => {
  const onRecord = (): void => {};
  expect(() => startTraining(null as never, { onRecord })).toThrow("startTraining: settings must be an object");
  expect(() => startTraining(settings("none", 3), {} as never)).toThrow("options.onRecord must be a function");
});
