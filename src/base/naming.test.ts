import { expect, test } from "vitest";
import { ConfigError } from "./errors.js";
import { either, forCommandLine, forProgram, optionName } from "./naming.js";

test.each([
  [optionName("maxSteps"), "maxSteps", "--max-steps"],
  [optionName("quantize", "nf4"), 'quantize: "nf4"', "--quantize nf4"],
  [optionName("warmStartSteps", 0), "warmStartSteps: 0", "--warm-start-steps 0"],
  [optionName("evalEvery", null), "evalEvery: null", "--eval-every none"],
  [optionName("overwrite", true), "overwrite: true", "--overwrite"],
  [optionName("packing", false), "packing: false", "--no-packing"],
  [either("call it again", "run it again"), "call it again", "run it again"],
])("%j is a key for programs and a flag on the command line", (text, key, flag) => {
  expect(forProgram(`set ${text}; or ${text}`)).toBe(`set ${key}; or ${key}`);
  expect(forCommandLine(`set ${text}; or ${text}`)).toBe(`set ${flag}; or ${flag}`);
});

test("an error has both messages, also one that is made of another's text", () => {
  const first = new ConfigError(`${optionName("lr")}: must be above 0`);
  const second = new ConfigError(`arm a: ${first.text}`);
  expect([second.message, second.commandLineMessage]).toEqual([
    "arm a: lr: must be above 0",
    "arm a: --lr: must be above 0",
  ]);
});
