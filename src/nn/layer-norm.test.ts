import { expect, test } from "vitest";
import { grad } from "../autograd/grad.js";
import { mul, sum } from "../ops/index.js";
import { interpret } from "../runtime/reference.js";
import { tensor } from "../tensor/tensor.js";
import { LayerNorm } from "./layer-norm.js";
import { RMSNorm } from "./rms-norm.js";

/** float64 results of interpreting. */
const run = (...tensors: Parameters<typeof interpret>[0]) =>
  interpret(tensors, { precision: "float64" }).map((each) => Array.from(each));

test("a layer norm gives rows of mean 0 and variance 1, then its weight and bias", () => {
  const norm = new LayerNorm(4, { epsilon: 0 });
  norm.weight.assign([1, 1, 2, 1]);
  norm.bias.assign([0, 0, 0, 3]);
  const [y] = run(norm.forward(tensor([1, 3, 5, 7, -2, -2, 2, 2], [2, 4])));
  const unit = Math.sqrt(5);
  [-3 / unit, -1 / unit, 2 / unit, 3 + 3 / unit, -1, -1, 2, 4].forEach((value, i) => {
    expect(y![i]).toBeCloseTo(value, 12);
  });
});

test("a layer norm has the gradients of torch.nn.functional.layer_norm", () => {
  const norm = new LayerNorm(3, { epsilon: 0.5 });
  norm.weight.assign([0.5, -1, 2]);
  const x = tensor([1, 2, -1, 0.5, 0.25, 4], [2, 3]);
  const weights = tensor([1, -2, 3, 0.5, 1, -1], [2, 3]);
  const gradients = run(...grad(sum(mul(norm.forward(x), weights)), [x, norm.weight, norm.bias]));
  TORCH.forEach((expected, k) => {
    expected.forEach((value, i) => {
      expect(gradients[k]![i]).toBeCloseTo(value, 10);
    });
  });
});

test("an RMS norm with offset 1 starts at zero and scales by one more than its weight", () => {
  const norm = new RMSNorm(2, { epsilon: 0, offset: 1 });
  expect(norm.weight.values).toEqual(Float32Array.of(0, 0));
  norm.weight.assign([0.5, -1]);
  const [y] = run(norm.forward(tensor([1, 7], [1, 2])));
  expect(y![0]).toBeCloseTo(1.5 / 5, 12);
  expect(y![1]).toBeCloseTo(0, 12);
});

/** Gradients of x, weight and bias by PyTorch in float64. */
const TORCH: readonly (readonly number[])[] = [
  [-1.3572697280359, 0.499550663791, 0.8577190642449, 0.415585173694, -0.3087516412059, -0.1068335324881],
  [-0.0599535484452, -2.5798362529665, -4.7922008472455],
  [1.5, -1.0, 2.0],
];
