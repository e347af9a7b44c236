import { interpret } from "../../src/runtime/reference.js";
import type { Tensor } from "../../src/tensor/tensor.js";

const STEP = 1e-4;

/**
 * d loss / d input by differences in float64 on the reference interpreter, for the placeholder `input`.
 * Two central differences, with steps h and 2h, cancel the h² term of the error and leave h⁴ (Richardson).
 */
export function centralDifferences(
  loss: Tensor,
  feeds: Readonly<Record<string, ArrayLike<number>>>,
  input: string,
): Float64Array {
  const values = Float64Array.from(feeds[input]!);
  const slope = (i: number, step: number): number => {
    const at = values[i]!;
    const [above, under] = [at + step, at - step].map((value) => {
      values[i] = value;
      return interpret([loss], { precision: "float64", feeds: { ...feeds, [input]: values } })[0]![0]!;
    });
    values[i] = at;
    return (above! - under!) / (2 * step);
  };
  return values.map((_, i) => (4 * slope(i, STEP) - slope(i, 2 * STEP)) / 3);
}
