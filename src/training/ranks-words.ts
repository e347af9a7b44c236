import { formatBytes } from "../base/numbers.js";
import type { PreparedRun } from "./prepare.js";
import type { RunShape } from "./run-shape.js";

const FLOAT = 4;

/** The ranks of a run in words: their shares, what they send, and whose bits they give. Undefined for one. */
export function ranksInWords(
  { ranks: { size }, settings: { totalBatchSize, batchSize }, threads }: PreparedRun,
  { parameters, trainableParameters }: RunShape,
): string | undefined {
  if (size === 1) return undefined;
  const batches = totalBatchSize / batchSize;
  // Of each sum a rank sends so many times its bytes (Rabenseifner's algorithm, on a power of two).
  const sent = (weights: number): string => formatBytes(FLOAT * weights * 2 * (1 - 1 / size));
  const bits = Number.isInteger(Math.log2(size)) ? "one process" : `${size} ranks`;
  return [
    `${size}, ${threads} ${threads === 1 ? "thread" : "threads"} each`,
    `${batches / size} of the ${batches} micro-batches of a step each`,
    `each sends up to ${sent(trainableParameters)} a step (training all weights: ${sent(parameters)})`,
    `the bits are those of ${bits} with as many threads`,
  ].join("; ");
}
