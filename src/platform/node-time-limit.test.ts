import { expect, test } from "vitest";
import { DataError } from "../base/errors.js";
import { withTimeLimit } from "./node.js";

test("the result or error of a call comes through", () => {
  expect(withTimeLimit(60, () => 7)).toBe(7);
  const error = new TypeError("mine");
  expect(() =>
    withTimeLimit(60, () => {
      throw error;
    }),
  ).toThrow(error);
});

test("a regular expression that backtracks endlessly is stopped", () => {
  const backtrack = () => /^(a+)+$/.test(`${"a".repeat(60)}b`);
  expect(() => withTimeLimit(0.05, backtrack)).toThrow(DataError);
  expect(() => withTimeLimit(0.05, backtrack)).toThrow("it did not finish within 1 s");
});
