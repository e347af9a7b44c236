import { expect, test } from "vitest";
import { FORMATS, factorTicks, placeSteps, placeText, valueTicks } from "./ticks.js";

test("a logarithmic axis has a few ticks that read well, however far it reaches", () => {
  expect(factorTicks(2.2, 8.6)).toEqual([3, 4, 5, 6, 8]);
  expect(factorTicks(0.5, 12)).toEqual([0.5, 1, 2, 5, 10]);
  expect(factorTicks(0.01, 900)).toEqual([0.01, 0.1, 1, 10, 100]);
  expect(factorTicks(1e-12, 1)).toEqual([1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 0.01, 1]);
  expect(factorTicks(4.21, 4.58)).toEqual([4.3, 4.4, 4.5]);
  for (const [low, high] of [
    [1, 1.01],
    [3, 3.5],
    [0.9, 1.2],
    [5, 40],
  ] as const) {
    const ticks = factorTicks(low, high);
    expect(ticks.length).toBeGreaterThanOrEqual(2);
    expect(ticks.length).toBeLessThanOrEqual(7);
    expect(ticks.every((tick) => tick >= low && tick <= high)).toBe(true);
  }
});

test("ticks and values are in the words of their kind", () => {
  expect(valueTicks([0, 5e-4, 1e-3], "rate", false)).toEqual(["0", "5e-4", "1e-3"]);
  expect(valueTicks([0, 5e-4, 1.5e-3], "rate", false)).toEqual(["0", "5.0e-4", "1.5e-3"]);
  expect(valueTicks([0.001, 1, 5000], "loss", true)).toEqual(["1e-3", "1", "5e+3"]);
  expect(valueTicks([1000, 1500], "count", false)).toEqual(["1K", "1.5K"]);
  expect(FORMATS.change(0.00012)).toBe("+1.2e-4");
  expect(FORMATS.share(0.998)).toBe("99.8%");
});

test("places on the horizontal axis are counts or times", () => {
  expect(placeText(12_345, "tokens")).toBe("12.3K");
  expect(placeText(65, "time")).toBe("1:05");
  expect(placeText(3723, "time")).toBe("1:02:03");
  expect(placeSteps("step").slice(0, 6)).toEqual([1, 2, 5, 10, 20, 25]);
  expect(placeSteps("time")).toContain(1800);
});
