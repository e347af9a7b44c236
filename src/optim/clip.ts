import { type Gradient, storedEntries } from "./gradient.js";

/** The Euclidean norm of all gradients taken as one vector, accumulated in float64. NaN or Infinity if one entry is. */
export function globalNorm(gradients: Iterable<Gradient>): number {
  let squares = 0;
  for (const gradient of gradients) {
    const entries = storedEntries(gradient);
    for (let i = 0; i < entries.length; i++) squares += entries[i]! * entries[i]!;
  }
  return Math.sqrt(squares);
}

/** What to multiply gradients of this norm by so that it does not exceed maxNorm, as torch's clip_grad_norm_ does. */
export function clipCoefficient(norm: number, maxNorm: number): number {
  return Math.min(1, maxNorm / (norm + 1e-6));
}
