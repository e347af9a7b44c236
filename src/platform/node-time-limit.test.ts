import { expect, test } from "vitest";
import { DataError } from "../base/errors.js";
import { withTimeLimit } from "./node.js";

test("what a call returns or throws comes through", () => {
  expect(withTimeLimit(60, () => 7)).toBe(7);
  const error = new TypeError("mine");
  expect(() =>
    withTimeLimit(60, () => {
      throw error;
    }),
  ).toThrow(error);
});

test("a regular expression that backtracks without end is stopped", () => {
  const backtrack = () => /^(a+)+$/.test(`${"a".repeat(60)}b`);
  expect(() => withTimeLimit(0.05, backtrack)).toThrow(DataError);
  expect(() => withTimeLimit(0.05, backtrack)).toThrow("there was no end after 1 s");
});
