import { expect, test } from "vitest";
import { putTogether, takeApart } from "./error-parts.js";
import { DataError } from "./errors.js";

test("an error of ours keeps its class, message and stack over a copy", () => {
  const error = new DataError("a.txt: is empty");
  const rebuilt = putTogether(structuredClone(takeApart(error)));
  expect(rebuilt).toBeInstanceOf(DataError);
  expect([rebuilt.name, rebuilt.message, rebuilt.stack]).toEqual(["DataError", "a.txt: is empty", error.stack]);
});

test("other errors, and what is no error, become errors", () => {
  const rebuilt = putTogether(structuredClone(takeApart(new RangeError("out"))));
  expect([rebuilt.constructor, rebuilt.message]).toEqual([Error, "out"]);
  expect(putTogether(takeApart("why")).message).toBe("why");
});
