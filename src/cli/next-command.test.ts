import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { withFolder } from "../../tests/run-command.js";
import { generateWords, nextLines, promptFor } from "./next-command.js";

test("the command can be copied: a shell takes each word as it is meant", () => {
  const words = generateWords("my runs/it's $HOME", { prompt: 'Say "hi"\n`now`', isChat: true });
  const [empty, line] = nextLines("echo", words);
  expect(empty).toBe("");
  const copied = line!.replace(/^Next: echo/, "printf '%s\\n---\\n'");
  expect(execFileSync("sh", ["-c", copied], { encoding: "utf8" }).split("\n---\n").slice(0, -1)).toEqual(words);
});

const START = {
  ...{ kind: "start", step: 0, model: "tiny", parameters: 1, trainableParameters: 1, quantizer: null },
  memory: { program: 1, data: 1, base: 1, adapters: 1, gradients: 1, optimizer: 1, activations: 1 },
  ...{ availableMemoryBytes: 1, device: "cpu", data: "a", maxSteps: 1, plan: "", runFolder: "run" },
};
const OUTLINE = {
  ...{ job: "", method: "", rate: "", batchSize: 1, totalBatchSize: 1, maxSteps: 1, epochs: 1, stepsPerEpoch: 1 },
  ...{ rowsPerEpoch: 1, rowLength: 1, padding: null, heldOutSamples: 1, heldOutTokens: 1, heldOut: "", evaluated: 1 },
  ...{ evaluations: "", unreachableLoss: null, hasCycles: false, isRough: false },
};

test("what was made of a run is asked as the run's data ask", async () => {
  const start = JSON.stringify({ ...START, outline: { ...OUTLINE, prompt: "Who?", isChat: true } });
  await withFolder({ "config.resolved.json": "{}", "metrics.jsonl": `${start}\n` }, async (run) => {
    expect(await promptFor(run, run)).toEqual({ prompt: "Who?", isChat: true });
    await mkdir(path.join(run, "model"));
    expect(await promptFor(path.join(run, "model"), run)).toEqual({ prompt: "Hello!", isChat: false });
  });
});

test("a run whose records are gone is asked something all the same", async () => {
  await withFolder({ "config.resolved.json": "{}" }, async (run) => {
    expect(await promptFor(run, run)).toEqual({ prompt: "Hello!", isChat: false });
  });
});

test("a model without a tokenizer is not asked for text", async () => {
  await withFolder({ "model/config.json": "{}", "text/config.json": "{}", "text/tokenizer.json": "{}" }, async (at) => {
    expect(await promptFor("any", path.join(at, "text"))).toEqual({ prompt: "Hello!", isChat: false });
    expect(await promptFor("any", path.join(at, "model"))).toBeNull();
    expect(generateWords("model", null)).toEqual(["inspect", "model"]);
  });
});
