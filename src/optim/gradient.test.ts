import { expect, test } from "vitest";
import { globalNorm } from "./clip.js";
import { addGradients, copyGradient, discardGradient, RowGradient, readGradient } from "./gradient.js";

// A (5, 3) matrix with rows 4 and 1 set, row 4 twice.
const sparse = () => new RowGradient(Int32Array.of(4, 1, 4), Float32Array.of(1, 2, 3, 10, 20, 30, 0.5, 0.5, 0.5), 15);
const DENSE = [0, 0, 0, 10, 20, 30, 0, 0, 0, 0, 0, 0, 1.5, 2.5, 3.5];

test("equal rows add up and the others are zero", () => {
  expect([...readGradient(sparse())]).toEqual(DENSE);
});

test("every range is copied as from the dense matrix, over what was there", () => {
  for (const gradient of [sparse(), Float32Array.from(DENSE)]) {
    for (let start = 0; start <= 15; start++) {
      for (let end = start; end <= 15; end++) {
        const target = new Float32Array(end - start).fill(7);
        copyGradient(gradient, start, target);
        expect([...target]).toEqual(DENSE.slice(start, end));
      }
    }
  }
});

test("sums and norms are those of the dense matrix", () => {
  const other = new RowGradient(Int32Array.of(1, 0), Float32Array.of(1, 1, 1, -2, -2, -2), 15);
  const sum = addGradients(sparse(), other);
  const expected = DENSE.map((value, i) => value + (i < 3 ? -2 : i >= 3 && i < 6 ? 1 : 0));
  expect([...readGradient(sum)]).toEqual(expected);
  expect(globalNorm([sum])).toBeCloseTo(Math.hypot(...expected), 12);
  const dense = Float32Array.of(1, 2);
  expect(addGradients(dense, Float32Array.of(3, 4))).toBe(dense);
  expect([...dense]).toEqual([4, 6]);
});

test("a discarded gradient holds no memory", () => {
  for (const gradient of [sparse(), Float32Array.of(1, 2)]) {
    discardGradient(gradient);
    expect((gradient instanceof Float32Array ? gradient : gradient.rows).byteLength).toBe(0);
  }
});
