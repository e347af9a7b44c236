import process from "node:process";
import { expect, test } from "vitest";
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
