import { describe, expect, test } from "vitest";
import { grad } from "../autograd/grad.js";
import { interpret } from "../runtime/reference.js";
import { tensor } from "../tensor/tensor.js";
import { constant, max, mean, mul, silu, sum } from "./index.js";

const x = tensor([1, 5, 5, -2, 0, 3], [2, 3]);

describe("compositions", () => {
  test("silu is x times its sigmoid", () => {
    const [y] = interpret([silu(tensor([-1, 0, 2]))], { precision: "float64" });
    [-0.2689414213699951, 0, 1.7615941559557649].forEach((value, i) => {
      expect(y![i]).toBeCloseTo(value, 12);
    });
  });

  test("mean divides by what it adds up", () => {
    const [all, columns] = interpret([mean(x), mean(x, { axes: [0] })], { precision: "float64" });
    expect(all![0]).toBeCloseTo(2, 12);
    expect(Array.from(columns!)).toEqual([-0.5, 2.5, 4]);
  });

  test("the gradient of max is shared by equal largest elements", () => {
    const [dx] = interpret(grad(sum(mul(max(x, { axes: [1] }), tensor([4, 10]))), [x]));
    expect(Array.from(dx!)).toEqual([0, 2, 2, 0, 0, 10]);
  });

  test("multiplying by one or adding zero adds nothing to the graph, unless it broadcasts", () => {
    expect(mul(x, 1)).toBe(x);
    expect(mul(constant(1), x)).toBe(x);
    expect(mul(constant(3), tensor([1], [1])).shape).toEqual([1]);
  });
});
