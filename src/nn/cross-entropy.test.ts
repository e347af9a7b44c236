import { describe, expect, test } from "vitest";
import { grad } from "../autograd/grad.js";
import { cast, constant, less, log, matmul, mul, neg, reshape, softmax, sum, takePerRow, where } from "../ops/index.js";
import { interpret } from "../runtime/reference.js";
import { Rng } from "../tensor/random.js";
import { type Tensor, tensor } from "../tensor/tensor.js";
import { linearCrossEntropy } from "./cross-entropy.js";
import { softcap } from "./softcap.js";

const [TOKENS, DIM, VOCAB] = [11, 4, 6];
const rng = new Rng(5, "cross-entropy");
const normals = (length: number) => Float32Array.from({ length }, () => rng.normal());
const hidden = tensor(normals(TOKENS * DIM), [TOKENS, DIM]);
const weight = tensor(normals(VOCAB * DIM), [VOCAB, DIM]);
const labels = tensor(Int32Array.from({ length: TOKENS }, (_, i) => (i % 4 === 3 ? -100 : rng.below(VOCAB))));

const run = (...tensors: Tensor[]) => interpret(tensors, { precision: "float64" }).map((array) => Array.from(array));

/** Σ −log softmax over scored tokens, written out in float64. */
function expected(h: ArrayLike<number>): number {
  let total = 0;
  for (let t = 0; t < TOKENS; t++) {
    const label = (labels.source as { array: Int32Array }).array[t]!;
    if (label < 0) continue;
    const logits = Array.from({ length: VOCAB }, (_, v) => {
      let logit = 0;
      for (let d = 0; d < DIM; d++)
        logit += h[t * DIM + d]! * (weight.source as { array: Float32Array }).array[v * DIM + d]!;
      return logit;
    });
    total += Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0)) - logits[label]!;
  }
  return total;
}

describe("linearCrossEntropy", () => {
  test("is the negative log-likelihood of the scored labels", () => {
    const h = (hidden.source as { array: Float32Array }).array;
    expect(run(linearCrossEntropy(hidden, weight, labels))[0]![0]).toBeCloseTo(expected(h), 12);
    const scaled = linearCrossEntropy(hidden, weight, labels, { scale: constant(0.25) });
    expect(run(scaled)[0]![0]).toBeCloseTo(expected(h) / 4, 12);
  });

  test("has the gradient of finite differences", () => {
    const [dHidden] = run(grad(linearCrossEntropy(hidden, weight, labels, { chunkSize: 3 }), [hidden])[0]!);
    const h = Float64Array.from((hidden.source as { array: Float32Array }).array);
    dHidden!.forEach((value, i) => {
      const at = h[i]!;
      h[i] = at + 1e-5;
      const above = expected(h);
      h[i] = at - 1e-5;
      expect(value).toBeCloseTo((above - expected(h)) / 2e-5, 8);
      h[i] = at;
    });
  });

  test("caps logits like the function composed of ops", () => {
    const composed = softcap(matmul(hidden, weight, { transposeB: true }), 1.5);
    const logs = log(takePerRow(softmax(composed), where(less(labels, 0), 0, labels)));
    const total = neg(sum(mul(reshape(logs, [TOKENS]), cast(less(-1, labels), "float32"))));
    const capped = linearCrossEntropy(hidden, weight, labels, { softcap: 1.5, chunkSize: 4 });
    const [expected, got] = [total, capped].map((loss) => run(loss, ...grad(loss, [hidden, weight])).flat());
    expect(Math.abs(got![0]! - run(linearCrossEntropy(hidden, weight, labels))[0]![0]!)).toBeGreaterThan(0.1);
    got!.forEach((value, i) => {
      expect(value).toBeCloseTo(expected![i]!, 12);
    });
  });

  test.each([1, 2, 5, 10, 11, 12])("gives the same in chunks of %i", (chunkSize) => {
    const results = [TOKENS, chunkSize].map((size) => {
      const loss = linearCrossEntropy(hidden, weight, labels, { chunkSize: size });
      return run(loss, ...grad(loss, [hidden, weight])).flat();
    });
    results[1]!.forEach((value, i) => {
      expect(value).toBeCloseTo(results[0]![i]!, 12);
    });
  });

  test("gives unscored tokens no loss and no gradient", () => {
    const none = tensor(new Int32Array(TOKENS).fill(-100));
    const loss = linearCrossEntropy(hidden, weight, none);
    for (const values of run(loss, ...grad(loss, [hidden, weight]))) {
      expect(values.every((value) => value === 0)).toBe(true);
    }
  });

  test("stays exact where the label's probability underflows", async () => {
    const far = tensor([1], [1, 1]);
    const head = tensor([0, 300, 299], [3, 1]);
    const loss = linearCrossEntropy(far, head, tensor(Int32Array.of(0)));
    const [value, dFar] = interpret([loss, ...grad(loss, [far])]);
    const second = 1 / (1 + Math.E);
    expect(value![0]).toBeCloseTo(300 + Math.log1p(Math.exp(-1)), 4);
    expect(dFar![0]).toBeCloseTo(300 * (1 - second) + 299 * second, 3);
  });
});
