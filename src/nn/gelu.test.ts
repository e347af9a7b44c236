import { describe, expect, test } from "vitest";
import { grad } from "../autograd/grad.js";
import { sum } from "../ops/index.js";
import { interpret } from "../runtime/reference.js";
import { tensor } from "../tensor/tensor.js";
import { gelu, geluTanh } from "./gelu.js";

const X = [-9, -4, -1.5, -0.3, 0, 0.01, 0.7, 2, 3.5, 9];
const values = (f: typeof gelu, xs: ArrayLike<number> = X) =>
  interpret([f(tensor(Float32Array.from(xs)))], { precision: "float64" })[0]!;

describe.each([
  // torch.nn.functional.gelu of X in float64, and with approximate="tanh".
  [
    "gelu",
    gelu,
    [
      0, -0.00012668496733, -0.10021080190329, -0.11462657334331, 0, 0.00503989356315, 0.53062543444385,
      1.95449973610364,
    ],
  ],
  [
    "geluTanh",
    geluTanh,
    [
      0, -0.00007024594819, -0.10042842301978, -0.11462907645724, 0, 0.00503989355986, 0.53057013470512,
      1.95459769408778,
    ],
  ],
] as const)("%s", (_, f, expected) => {
  test("gives PyTorch's values", () => {
    const y = values(f);
    expected.forEach((value, i) => {
      expect(y[i]).toBeCloseTo(value, 7);
    });
    expect(y[9]).toBeCloseTo(9, 12);
  });

  test("has the gradient of finite differences", () => {
    const x = tensor(X);
    const [dx] = interpret(grad(sum(f(x)), [x]), { precision: "float64" });
    // Inputs are rounded to float32, so that differences need steps that are exact there.
    const step = 2 ** -12;
    const at = (sign: number) =>
      values(
        f,
        Array.from(X, (value) => Math.fround(value) + sign * step),
      );
    const [above, below] = [at(1), at(-1)];
    dx!.forEach((slope, i) => {
      expect(slope).toBeCloseTo((above[i]! - below[i]!) / (2 * step), 5);
    });
  });
});
