import { expect, test } from "vitest";
import { NumericError } from "../base/errors.js";
import { Rng } from "../tensor/random.js";
import { bitsOf, largestMagnitude, requireFinite } from "./magnitude.js";

test("the largest magnitude of any range of any finite numbers", () => {
  const rng = new Rng(1);
  const values = Float32Array.from(
    new Float32Array(Uint32Array.from({ length: 4000 }, () => rng.uint32()).buffer),
    (x) => (Number.isFinite(x) ? x : 0),
  );
  const bits = bitsOf(values);
  const result = new Float32Array(1);
  for (let start = 0; start < 3900; start += 13) {
    for (const length of [0, 1, 2, 3, 4, 5, 7, 16, 64]) {
      bitsOf(result)[0] = largestMagnitude(bits, start, start + length);
      const magnitudes = values.subarray(start, start + length).map(Math.abs);
      expect(result[0]).toBe(Math.max(0, ...magnitudes));
    }
  }
});

test("large numbers before and after small ones of the other sign, in each place", () => {
  for (let place = 0; place < 8; place++) {
    const values = Float32Array.from({ length: 8 }, (_, i) => (i === place ? -3e38 : i % 2 === 0 ? 2 ** -149 : 0));
    expect(largestMagnitude(bitsOf(values), 0, 8)).toBe(bitsOf(Float32Array.of(3e38))[0]);
  }
});

test("NaN and infinities are found anywhere in a range, and not outside it", () => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    for (let place = 0; place < 11; place++) {
      const values = new Float32Array(11).fill(3.4e38);
      values[place] = value;
      const check = (start: number, end: number) =>
        requireFinite(largestMagnitude(bitsOf(values), start, end), values, "somewhere");
      expect(() => check(0, 11)).toThrow(NumericError);
      expect(() => check(0, 11)).toThrow(`somewhere: weights must be finite, got ${value} at index ${place}`);
      check(0, place);
      check(place + 1, 11);
    }
  }
});
