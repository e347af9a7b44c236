import { expect, test } from "vitest";
import { scale, ticks } from "../site/idea/charts/scale.js";

test("ticks are round, begin at 0 and reach the largest value", () => {
  expect(ticks(1, 4)).toEqual([0, 0.5, 1]);
  expect(ticks(32, 4)).toEqual([0, 10, 20, 30, 40]);
  expect(ticks(0.0023, 4)).toEqual([0, 0.001, 0.002, 0.003]);
  expect(ticks(0, 4)).toEqual([0]);
});

test("a scale maps its ends to its ends, and a range of no length to its start", () => {
  const scaled = scale([0, 4], [100, 20]);
  expect([0, 1, 4].map(scaled)).toEqual([100, 80, 20]);
  expect(scale([3, 3], [5, 9])(3)).toBe(5);
});
