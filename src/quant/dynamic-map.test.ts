import { expect, test } from "vitest";
import { golden, hexOf } from "../../tests/quant/golden.js";
import { DYNAMIC_MAP } from "./dynamic-map.js";

/** Number of float32 steps between the two of each pair. */
function stepsBetween(a: Float32Array, b: Float32Array): number {
  const [first, second] = [new Int32Array(a.buffer), new Int32Array(b.buffer)];
  return Math.max(...first.map((bits, i) => Math.abs(bits - second[i]!)));
}

test("is the map that bitsandbytes builds from PyTorch's linspace, bit for bit", () => {
  expect(DYNAMIC_MAP).toHaveLength(256);
  expect(hexOf(DYNAMIC_MAP)).toBe(golden.dynamicMap);
});

test("is within one float32 step of the closed form in float64", () => {
  const magnitudes = [0, 1, 2, 3, 4, 5, 6].flatMap((i) =>
    Array.from({ length: 2 ** i }, (_, k) => (0.1 + (0.9 * (2 * k + 1)) / 2 ** (i + 1)) / 10 ** (6 - i)),
  );
  const values = [...magnitudes, ...magnitudes.map((value) => -value), 0, 1].sort((a, b) => a - b);
  expect(stepsBetween(DYNAMIC_MAP, Float32Array.from(values))).toBeLessThanOrEqual(1);
});

test("rises from -0.99297 over 0 at index 127 to 1", () => {
  expect(DYNAMIC_MAP.every((value, i) => i === 0 || value > DYNAMIC_MAP[i - 1]!)).toBe(true);
  expect(DYNAMIC_MAP[0]).toBeCloseTo(-0.99297, 5);
  expect(DYNAMIC_MAP[254]).toBeCloseTo(0.99297, 5);
  expect([DYNAMIC_MAP[127], DYNAMIC_MAP[255]]).toEqual([0, 1]);
});
