import { afterAll, describe, expect, test } from "vitest";
import { add, equal, exp, less, matmul, mul, sigmoid, sum } from "../ops/index.js";
import { clearEvaluationCache, evaluate } from "../runtime/evaluate.js";
import { interpret } from "../runtime/reference.js";
import { reachable } from "../tensor/graph.js";
import { Rng } from "../tensor/random.js";
import { type Tensor, tensor } from "../tensor/tensor.js";
import { stopGradient, withGradient } from "./custom.js";
import { grad, pullback, valueAndGrad } from "./grad.js";
import { checkpoint } from "./recompute.js";

afterAll(clearEvaluationCache);

const x = tensor([1, 2, 3]);
const y = tensor([4, 5, 6]);

/** Values in float64. */
function values(...tensors: Tensor[]): number[][] {
  return interpret(tensors, { precision: "float64" }).map((array) => Array.from(array));
}

function random(purpose: string, ...shape: number[]): Tensor {
  const rng = new Rng(1, purpose);
  const size = shape.reduce((a, b) => a * b, 1);
  return tensor(
    Float32Array.from({ length: size }, () => rng.normal()),
    shape,
  );
}

describe("grad", () => {
  test("adds up what comes back along several paths", () => {
    expect(values(...grad(sum(add(mul(x, x), mul(x, y))), [x, y]))).toEqual([
      [6, 9, 12],
      [1, 2, 3],
    ]);
  });

  test("is zeros for what the loss does not depend on, and one for the loss itself", () => {
    const loss = sum(x);
    expect(values(...grad(loss, [y, loss]))).toEqual([[0, 0, 0], [1]]);
  });

  test("stops at intermediate tensors", () => {
    const middle = mul(x, 2);
    expect(values(...grad(sum(mul(middle, middle)), [middle]))).toEqual([[4, 8, 12]]);
  });

  test("keeps the value beside the gradients", () => {
    const { value, gradients } = valueAndGrad(sum(mul(x, x)), [x]);
    expect(values(value, ...gradients)).toEqual([[14], [2, 4, 6]]);
  });

  test("of a gradient is the second derivative", () => {
    const [first] = grad(sum(mul(x, mul(x, x))), [x]);
    expect(values(...grad(sum(first!), [x]))).toEqual([[6, 12, 18]]);
  });

  test("says that a comparison has none", () => {
    const loss = sum(less(x, y));
    expect(() => grad(loss, [x])).toThrow(/less has no gradient/);
    expect(() => grad(sum(equal(x, y)), [x])).toThrow(/equal has no gradient/);
  });

  test("walks a graph deeper than the call stack", () => {
    let deep = x;
    for (let i = 0; i < 20_000; i++) deep = add(deep, y);
    expect(values(...grad(sum(deep), [x]))).toEqual([[1, 1, 1]]);
  });
});

test("pullback weighs each output with its cotangent", () => {
  const weighed = pullback([mul(x, 2), mul(x, x)], [tensor([1, 0, 0]), tensor([0, 1, 10])], [x]);
  expect(values(...weighed)).toEqual([[2, 4, 60]]);
});

describe("a gradient of one's own", () => {
  test("is used in place of the real one, and the value stays", () => {
    const clipped = withGradient(mul(x, 3), [x], (dy, [input]) => [mul(dy, mul(input!, 100))]);
    expect(values(clipped, ...grad(sum(clipped), [x]))).toEqual([
      [3, 6, 9],
      [100, 200, 300],
    ]);
  });

  test("gives the compiled program nothing to compute but the value", async () => {
    const marked = withGradient(exp(x), [x, y], (dy) => [dy, dy]);
    const [value, plain] = await evaluate([mul(marked, 2), mul(exp(x), 2)]);
    expect(value!.data).toEqual(plain!.data);
  });

  test("none flows through stopGradient", () => {
    const loss = sum(mul(x, stopGradient(mul(x, 2))));
    expect(values(loss, ...grad(loss, [x]))).toEqual([[28], [2, 4, 6]]);
  });
});

describe("gradient checkpointing", () => {
  const input = random("input", 3, 4);
  const weights = Array.from({ length: 6 }, (_, i) => random(`weight${i}`, 4, 4));
  const block = (h: Tensor, k: number) =>
    add(h, matmul(sigmoid(matmul(h, weights[2 * k]!)), weights[2 * k + 1]!, { transposeB: true }));
  const loss = (run: typeof block) => {
    const h = run(run(run(input, 0), 1), 2);
    return sum(mul(h, h));
  };
  const recomputing = (h: Tensor, k: number) => checkpoint((inner: Tensor) => block(inner, k), h);

  test("gives bit-equal values and gradients, of arguments and of what the function closes over", async () => {
    const [plain, recomputed] = await Promise.all(
      [block, recomputing].map((run) => {
        const total = loss(run);
        return evaluate([total, ...grad(total, [input, ...weights])]);
      }),
    );
    expect(recomputed).toEqual(plain);
  });

  test("keeps no inner value for the backward pass", () => {
    const total = loss(recomputing);
    const forward = new Set(reachable([total]));
    const inner = [...forward].filter(({ op }) => op?.name === "sigmoid");
    const readers = reachable(grad(total, [input, ...weights])).filter((node) => !forward.has(node));
    expect(inner).toHaveLength(3);
    for (const node of readers) for (const read of node.inputs) expect(inner).not.toContain(read);
  });

  test("takes several arguments and nests", () => {
    const product = (a: Tensor, b: Tensor) => checkpoint((c: Tensor) => mul(c, c), mul(a, b));
    const plain = sum(exp(mul(mul(x, y), mul(x, mul(y, 0.001)))));
    const nested = sum(exp(mul(checkpoint(product, x, y), 0.001)));
    const [expected, actual] = [plain, nested].map((total) => values(total, ...grad(total, [x, y])).flat());
    actual!.forEach((value, i) => {
      expect(value / expected![i]!).toBeCloseTo(1, 6);
    });
  });

  test("passes through an argument that is itself the result", () => {
    const same = checkpoint((h: Tensor) => h, x);
    expect(values(same, ...grad(sum(mul(same, y)), [x]))).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
  });
});
