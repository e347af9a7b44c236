import { type Gradient, storedEntries } from "./gradient.js";

/** The Euclidean norm of all gradients taken as one vector, accumulated in float64. NaN or Infinity if an entry is. */
export function globalNorm(gradients: Iterable<Gradient>): number {
  let squares = 0;
  for (const gradient of gradients) squares += sumOfSquares(storedEntries(gradient));
  return Math.sqrt(squares);
}

/** Factor that keeps gradients of this norm from exceeding maxNorm, as in torch's clip_grad_norm_. */
export function clipCoefficient(norm: number, maxNorm: number): number {
  return Math.min(1, maxNorm / (norm + 1e-6));
}

/** In float64, in four sums that do not wait for each other. */
function sumOfSquares(values: Float32Array): number {
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = values.length - (values.length % 4);
  for (let i = 0; i < whole; i += 4) {
    a += values[i]! * values[i]!;
    b += values[i + 1]! * values[i + 1]!;
    c += values[i + 2]! * values[i + 2]!;
    d += values[i + 3]! * values[i + 3]!;
  }
  for (let i = whole; i < values.length; i++) a += values[i]! * values[i]!;
  return a + b + (c + d);
}
