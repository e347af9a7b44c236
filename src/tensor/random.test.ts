import { expect, test } from "vitest";
import { ConfigError } from "../base/errors.js";
import { philox4x32, Rng } from "./random.js";

// Known-answer vectors of Random123 (kat_vectors, philox4x32 with 10 rounds).
test.each([
  [
    [0, 0, 0, 0],
    [0, 0],
    ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"],
  ],
  [
    [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    [0xffffffff, 0xffffffff],
    ["408f276d", "41c83b0e", "a20bc7c6", "6d5451fd"],
  ],
  [
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    ["d16cfe09", "94fdcceb", "5001e420", "24126ea1"],
  ],
])("philox4x32-10 of counter %j", (counter, key, words) => {
  const out = new Uint32Array(4);
  philox4x32(out, counter, key);
  expect([...out].map((word) => word.toString(16).padStart(8, "0"))).toEqual(words);
});

test("a stream depends on seed, purpose and step alone", () => {
  const draw = (rng: Rng) => Array.from({ length: 6 }, () => rng.uint32());
  const base = draw(new Rng(1, "init", 3));
  expect(draw(new Rng(1, "init", 3))).toEqual(base);
  for (const other of [new Rng(2, "init", 3), new Rng(1, "mask", 3), new Rng(1, "init", 4)]) {
    expect(draw(other)).not.toEqual(base);
  }
});

test("a seed is an integer, and a step one of at least 0", () => {
  expect(new Rng(-1).uint32()).toBe(new Rng(2 ** 32 - 1).uint32());
  expect(() => new Rng(Number.NaN, "init")).toThrow("Rng: seed must be an integer, got NaN");
  expect(() => new Rng(0.5)).toThrow(ConfigError);
  expect(() => new Rng(0).fork("init", -1)).toThrow("Rng: step must be an integer of at least 0, got -1");
});

test("uniform and normal have their moments", () => {
  const rng = new Rng(7, "moments");
  const n = 50_000;
  let [uniformSum, normalSum, normalSquares] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    const u = rng.uniform();
    expect(u).toBeGreaterThanOrEqual(0);
    expect(u).toBeLessThan(1);
    const z = rng.normal();
    uniformSum += u;
    normalSum += z;
    normalSquares += z * z;
  }
  expect(uniformSum / n).toBeCloseTo(0.5, 2);
  expect(normalSum / n).toBeCloseTo(0, 1);
  expect(normalSquares / n).toBeCloseTo(1, 1);
});

test.each([0, -1, Number.NaN, 2 ** 32 + 1])("no integer is drawn below %d", (bound) => {
  expect(() => new Rng(1, "draw").below(bound)).toThrow(`Rng.below: bound must be from 1 to 2^32, got ${bound}`);
});
