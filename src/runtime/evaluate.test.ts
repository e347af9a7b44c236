import { afterEach, describe, expect, test } from "vitest";
import { add, matmul, mul } from "../ops/index.js";
import { placeholder, tensor } from "../tensor/tensor.js";
import { clearEvaluationCache, evaluate } from "./evaluate.js";
import { liveSessionCount } from "./session.js";

afterEach(clearEvaluationCache);

describe("evaluate", () => {
  test("computes several tensors at once, among them a leaf and a tensor given twice", async () => {
    const x = tensor([1, 2, 3]);
    const y = mul(x, 2);
    const results = await evaluate([y, x, y]);
    expect(results.map(({ data }) => Array.from(data))).toEqual([
      [2, 4, 6],
      [1, 2, 3],
      [2, 4, 6],
    ]);
  });

  test("compiles one program for equal structures, whatever the data", async () => {
    const before = liveSessionCount();
    for (let i = 0; i < 5; i++) {
      const x = tensor([i, 2, 3, 4], [2, 2]);
      expect(Array.from(await matmul(x, x).data())).toEqual([i * i + 6, 2 * i + 8, 3 * i + 12, 22]);
    }
    expect(liveSessionCount()).toBe(before + 1);
  });

  test("does not keep a program with large results, which would keep their memory", async () => {
    const before = liveSessionCount();
    const x = tensor(new Float32Array(2 ** 21), [2 ** 21]);
    expect((await add(x, 1).data()).at(-1)).toBe(1);
    expect(liveSessionCount()).toBe(before);
    expect((await add(x, 1).data()).at(-1)).toBe(1);
  });

  test("tells structures apart that differ in one number, infinities and the sign of zero included", async () => {
    const x = tensor([1, -1]);
    for (const factor of [2, 3, 0, -0, Infinity, -Infinity, Number.NaN]) {
      expect(Array.from(await mul(x, factor).data())).toEqual([factor, -factor]);
    }
  });

  test("tells apart which input is used where", async () => {
    const [x, y] = [tensor([5]), tensor([3])];
    const twice = add(mul(x, y), x);
    expect(await twice.item()).toBe(20);
    expect(await add(mul(x, y), y).item()).toBe(18);
  });

  test("reads a leaf when it runs", async () => {
    const array = Float32Array.of(1, 2);
    const y = add(tensor(array), 1);
    expect(Array.from(await y.data())).toEqual([2, 3]);
    array.set([10, 20]);
    expect(Array.from(await y.data())).toEqual([11, 21]);
  });

  test("answers each of several calls at once with its own values, and leaves no session behind", async () => {
    const before = liveSessionCount();
    const same = Array.from({ length: 4 }, (_, i) => mul(tensor([i]), 3).item());
    // More structures than the number of programs that are kept.
    const others = Array.from({ length: 40 }, (_, i) => add(tensor([0.5]), i + 1).item());
    expect(await Promise.all(same)).toEqual([0, 3, 6, 9]);
    expect(await Promise.all(others)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1.5));
    await clearEvaluationCache();
    expect(liveSessionCount()).toBe(before);
  });

  test("keeps a bounded number of programs", async () => {
    const before = liveSessionCount();
    for (let i = 1; i <= 40; i++) await add(tensor([1]), i).item();
    expect(liveSessionCount() - before).toBeLessThanOrEqual(32);
  });

  test("names the placeholder that has no values, and works after the failure", async () => {
    await expect(add(placeholder("dose", [2]), 1).data()).rejects.toThrow(/"dose" \(2\)/);
    expect(await add(tensor([1]), 1).item()).toBe(2);
  });
});
