import { kernels } from "../kernels/kernels.js";
import { type Gradient, storedEntries } from "./gradient.js";

/** Elements summed at once, which stay in the cache. */
const CHUNK = 16 * 1024;

/** The Euclidean norm of all gradients taken as one vector, accumulated in float64. NaN or Infinity if an entry is. */
export function globalNorm(gradients: Iterable<Gradient>): number {
  let squares = 0;
  for (const gradient of gradients) squares += sumOfSquares(storedEntries(gradient));
  return Math.sqrt(squares);
}

/** Factor that keeps gradients of this norm from exceeding maxNorm, as in torch's clip_grad_norm_; 1 for null. */
export function clipCoefficient(norm: number, maxNorm: number | null): number {
  return maxNorm === null ? 1 : Math.min(1, maxNorm / (norm + 1e-6));
}

function sumOfSquares(values: Float32Array): number {
  const { memory, sumOfSquares } = kernels(4 * CHUNK);
  const chunk = new Float32Array(memory.buffer, 0, CHUNK);
  let sum = 0;
  for (let start = 0; start < values.length; start += CHUNK) {
    const part = values.subarray(start, start + CHUNK);
    chunk.set(part);
    chunk.fill(0, part.length, part.length + 7); // the kernel takes eight at a time
    sum += sumOfSquares(0, 4 * part.length);
  }
  return sum;
}
