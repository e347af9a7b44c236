import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { animalText } from "../../tests/animal-text.js";
import { runContents } from "../../tests/run-contents.js";
import { MemoryError } from "../base/errors.js";
import { resolveSettings } from "../config/resolve.js";
import { TrainingStep } from "../programs/training-step.js";
import { listCheckpoints } from "../runs/checkpoint.js";
import { resume } from "./resume.js";
import { train } from "./train.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-memory-out-"));
  await writeFile(path.join(folder, "text.txt"), animalText());
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

const settingsOf = (name: string) =>
  resolveSettings({
    flags: {
      ...{ model: "tiny", rank: 4, vocabSize: 300, batchSize: 2, sequenceLength: 16, maxSteps: 6, threads: 1 },
      ...{ method: "relora", warmStartSteps: 2, reloraEvery: 2, evalEvery: 3, evalTokens: 100, sampleTokens: 0 },
      ...{ quantize: "none", dropout: 0.1, data: path.join(folder, "text.txt"), out: path.join(folder, name) },
    },
  });

function failAtStep(failing: number, error: Error): void {
  const { runAll } = TrainingStep.prototype;
  let step = 0;
  vi.spyOn(TrainingStep.prototype, "runAll").mockImplementation(function (this: TrainingStep, ...given) {
    return ++step === failing ? Promise.reject(error) : runAll.apply(this, given);
  });
}

test.each([
  ["ONNX Runtime", new MemoryError("cpu: the memory ran out"), "cpu: the memory ran out\n"],
  [
    "JavaScript",
    new RangeError("Array buffer allocation failed"),
    "the memory ran out: Array buffer allocation failed\n",
  ],
])(
  "where %s runs out of memory, the steps before are saved, and the estimate is told",
  async (name, error, message) => {
    const out = path.join(folder, name);
    failAtStep(6, error);
    const training = train(settingsOf(name));
    await expect(training).rejects.toThrow(MemoryError);
    await expect(training).rejects.toThrow(`${message}The run was estimated to take about `);
    vi.restoreAllMocks();
    expect(await listCheckpoints(out)).toEqual([5]);
    await resume(out);
    await train(settingsOf(`${name} unbroken`));
    const [broken, unbroken] = [await runContents(out), await runContents(path.join(folder, `${name} unbroken`))];
    for (const [file, content] of Object.entries(unbroken)) {
      if (file !== "config.resolved.json") expect(broken[file], file).toEqual(content);
    }
  },
);

test("before the first step of a phase nothing is saved, and the error is told", async () => {
  failAtStep(3, new MemoryError("cpu: the memory ran out"));
  await expect(train(settingsOf("first"))).rejects.toThrow("The run was estimated to take about ");
  expect(await listCheckpoints(path.join(folder, "first"))).toEqual([]);
});
