import { expect, test } from "vitest";
import { recentLoss, recentSteps, recentWords } from "./recent-loss.js";

test("the loss now is the mean of a tenth of the steps, of one at least and of 20 at most", () => {
  expect([0, 1, 8, 19, 20, 40, 199, 200, 5000].map(recentSteps)).toEqual([1, 1, 1, 1, 2, 4, 19, 20, 20]);
});

test("steps without a finite loss have no part in it", () => {
  expect(recentLoss([1, null, 3, Number.NaN])).toEqual({ loss: 2, steps: 4 });
  expect(recentLoss([null])).toEqual({ loss: null, steps: 1 });
  expect(recentLoss([])).toEqual({ loss: null, steps: 0 });
});

test("its words say what it is the mean of", () => {
  expect([1, 4].map((steps) => recentWords({ steps }))).toEqual(["last step", "mean of 4 steps"]);
});
