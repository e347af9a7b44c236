import { expect, test } from "vitest";
import { differenceOf, spreadOf } from "./statistics.js";

test("mean and sample deviation, by hand", () => {
  // Deviations −2, 0, 2 of the mean 4: squares 8, over n − 1 = 2 is 4.
  expect(spreadOf([2, 4, 6])).toEqual({ n: 3, mean: 4, deviation: 2 });
  expect(spreadOf([5])).toEqual({ n: 1, mean: 5, deviation: null });
  expect(spreadOf([])).toBeNull();
});

test("the standard error of a mean difference is its deviation over √n", () => {
  const { standardError, ...rest } = differenceOf([2, 4, 6])!;
  expect(standardError).toBeCloseTo(2 / Math.sqrt(3), 12);
  // t = 4 / 1.1547 = 3.46, below the 4.303 of two degrees of freedom.
  expect(rest).toEqual({ n: 3, mean: 4, below: 0, above: 3, clear: false });
});

test("a difference is clear only beyond Student's quantile for its degrees of freedom", () => {
  // Deviation 0.1, error 0.1 / √3 = 0.0577: 4.303 errors are 0.2484.
  expect(differenceOf([0.15, 0.25, 0.35])!.clear).toBe(true);
  expect(differenceOf([0.14, 0.24, 0.34])!.clear).toBe(false);
  expect(differenceOf([-0.35, -0.25, -0.15])).toMatchObject({ clear: true, below: 3, above: 0 });
  // Two pairs: error 0.05, 12.706 errors are 0.6353.
  expect(differenceOf([0.59, 0.69])!.clear).toBe(true);
  expect(differenceOf([0.58, 0.68])!.clear).toBe(false);
});

test("one pair says nothing about chance", () => {
  expect(differenceOf([-1])).toEqual({ n: 1, mean: -1, standardError: null, below: 1, above: 0, clear: null });
  expect(differenceOf([])).toBeNull();
});
