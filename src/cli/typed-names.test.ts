import process from "node:process";
import { expect, test } from "vitest";
import { runCommandLine } from "./program.js";
import { withTypedNames } from "./typed-names.js";

test("a flag is told by the name that was typed, its own before others", () => {
  const text = "--rank: 100 exceeds --rank-pattern; see --lr";
  expect(withTypedNames(text, ["train", "--lora-r", "100", "--learning_rate=1"])).toBe(
    "--lora-r: 100 exceeds --rank-pattern; see --learning_rate",
  );
  expect(withTypedNames(text, ["--lora-r", "1", "--rank", "2", "--dora"])).toBe(text);
});

test("the command line's messages name the flags that were typed", async () => {
  const said: string[] = [];
  const stream = { write: (text: string) => said.push(text), on: () => {}, isTTY: false };
  const args = ["train", "--per-device-train-batch-size", "8", "--total-batch-size", "12"];
  const code = await runCommandLine(args, { stdin: process.stdin, stdout: stream, stderr: stream, env: {} });
  expect(code).toBe(2);
  expect(said.join("")).toMatch(
    /^error: --total-batch-size: .* multiple of --per-device-train-batch-size \(8\), got 12/,
  );
});
