import path from "node:path";
import process from "node:process";
import { expect, test } from "vitest";
import { withFolder } from "../../tests/run-command.js";
import { CheckpointError, InterruptedError } from "../base/errors.js";
import type { StartRecord } from "../runs/metrics.js";
import { Context } from "./context.js";
import { supervise } from "./supervise.js";

const START: StartRecord = {
  ...{ kind: "start", step: 0, model: "tiny", parameters: 1, trainableParameters: 1, quantizer: null },
  memory: { program: 0, data: 0, base: 0, adapters: 0, gradients: 0, optimizer: 0, activations: 0 },
  ...{ availableMemoryBytes: 1, device: "cpu", data: "", maxSteps: 1, plan: "", runFolder: "run" },
};

test.each([
  [new InterruptedError("no room"), 131],
  [new CheckpointError("no room"), 3],
])("a run that a signal ends with %s has the exit code %i", async (error, code) => {
  const said: string[] = [];
  const stream = { write: (text: string) => said.push(text), on: () => {}, isTTY: false };
  const context = new Context({ stdin: process.stdin, stdout: stream, stderr: stream, env: {} }, { json: false });
  const work = supervise(context, "", ({ onRecord }) => {
    onRecord?.(START);
    let fail = (_: Error): void => {};
    const done = new Promise<never>((_, reject) => {
      fail = reject;
    });
    setTimeout(() => process.emit("SIGQUIT"));
    return { done, stop: () => fail(error) };
  });
  await work.catch((reason) => context.fail(reason));
  expect(said.join("")).toContain("error: no room");
  expect(context.exitCode).toBe(code);
});

test.each([
  ["a tokenizer", { "model/tokenizer.json": "{}" }, "generate RUN --prompt The"],
  ["none", {}, "inspect RUN"],
])("a run whose model has %s ends with a command that it takes", (_, files, next) =>
  withFolder({ "model/config.json": "{}", "metrics.jsonl": "", ...files }, async (runFolder) => {
    const said: string[] = [];
    const stream = { write: (text: string) => said.push(text), on: () => {}, isTTY: false };
    const context = new Context({ stdin: process.stdin, stdout: stream, stderr: stream, env: {} }, { json: false });
    const modelFolder = path.join(runFolder, "model");
    const ended = {
      outcome: "done",
      runFolder,
      modelFolder,
      step: 1,
      modelStep: 1,
      tokens: 1,
      heldOutLoss: null,
    } as const;
    const result = { ...ended, losses: null, checkpoint: null, warnings: [] };
    await supervise(context, "", ({ onRecord }) => {
      onRecord({ ...START, runFolder });
      return { done: Promise.resolve(result), stop: () => {} };
    });
    expect(said.join("")).toContain(`Next: highrank ${next.replace("RUN", runFolder)}`);
  }),
);
