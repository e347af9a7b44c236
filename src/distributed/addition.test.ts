import { expect, test } from "vitest";
import { bytesOf } from "../base/arrays.js";
import { Rng } from "../tensor/random.js";
import { add } from "./addition.js";

test.each([Float32Array, Float64Array])("%o: sums are those of the type, also in place of a summand", (Type) => {
  const rng = new Rng(1);
  for (const length of [0, 1, 7, 8, 9, 16_384, 16_385, 40_001]) {
    const [a, b] = [0, 1].map(() => new Type(length).map(() => rng.normal())) as [Float32Array, Float32Array];
    const wanted = new Type(length);
    for (let i = 0; i < length; i++) wanted[i] = a[i]! + b[i]!;
    const [into, first, second] = [new Type(length), a.slice(), b.slice()];
    add(a, b, into);
    add(first, b, first);
    add(a, second, second);
    for (const sum of [into, first, second]) expect(Buffer.compare(bytesOf(sum), bytesOf(wanted))).toBe(0);
  }
});

test("numbers that are not finite stay so, as a step must see that its gradients are", () => {
  const into = new Float32Array(4);
  const largest = 3.4028234663852886e38;
  add(Float32Array.of(Number.NaN, 1, Infinity, largest), Float32Array.of(1, Infinity, -Infinity, largest), into);
  expect([...into]).toEqual([Number.NaN, Infinity, Number.NaN, Infinity]);
});
