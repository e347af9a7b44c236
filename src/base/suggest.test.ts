import { expect, test } from "vitest";
import { editDistance, suggest } from "./suggest.js";

test.each([
  ["kitten", "sitting", 3],
  ["rnak", "rank", 1],
  ["", "abc", 3],
  ["same", "same", 0],
  ["ca", "abc", 3],
])("the edit distance of %s and %s is %i", (a, b, distance) => {
  expect(editDistance(a, b)).toBe(distance);
  expect(editDistance(b, a)).toBe(distance);
});

test("the nearest name within reach is suggested, whatever the case", () => {
  const names = ["rank", "alpha", "batchSize", "totalBatchSize"];
  expect(suggest("rnak", names)).toBe("rank");
  expect(suggest("BATCHSIZE", names)).toBe("batchSize");
  expect(suggest("totalBachSise", names)).toBe("totalBatchSize");
});

test("nothing is suggested where nothing is near", () => {
  expect(suggest("colour", ["rank", "alpha"])).toBeUndefined();
  expect(suggest("x", ["lr"])).toBeUndefined();
  expect(suggest("x", [])).toBeUndefined();
});
