import { expect, test } from "vitest";
import * as errors from "../base/errors.js";
import { describeError, exitCodeOf } from "./exit-codes.js";

test.each([
  [new errors.ConfigError(""), 2],
  [new errors.ShapeError(""), 2],
  [new errors.DataError(""), 3],
  [new errors.CheckpointError(""), 3],
  [new errors.ModelError(""), 3],
  [new errors.InterruptedError(""), 130],
  [new errors.NumericError(""), 4],
  [new errors.DeviceError(""), 5],
  [new errors.DTypeError(""), 1],
  [new TypeError(""), 1],
  ["text", 1],
])("%o ends with exit code %i", (error, code) => {
  expect(exitCodeOf(error)).toBe(code);
});

test("an error is shown as its message, and with its stack only on request", () => {
  const error = new errors.ConfigError("rank: too large\nlr: too small");
  expect(describeError(error, { debug: false })).toBe("error: rank: too large\n  lr: too small");
  expect(describeError(error, { debug: true })).toContain("exit-codes.test.ts");
  expect(describeError(new TypeError("x is undefined"), { debug: false })).toMatch(/^internal error: x is undefined\n/);
});
