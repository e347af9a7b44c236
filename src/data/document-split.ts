import { ConfigError } from "../base/errors.js";
import { Rng } from "../tensor/random.js";

export interface SplitOptions {
  /** Share of the documents to hold out, from 0 to below 1. */
  validationFraction: number;
  seed: number;
}

/**
 * Says which documents are held out, by a draw that depends only on the seed and the document's text: the same document
 * falls on the same side whatever else the data holds, and its copies never on both. With at least two different
 * documents neither side is empty, unless the fraction is 0.
 * @param texts of the documents, or what else the draw is to depend on, some at a time.
 * @returns for each document 1 if it is held out, else 0.
 * @throws ConfigError if the fraction is out of range.
 */
export async function drawSides(
  texts: AsyncIterable<readonly string[]>,
  count: number,
  { validationFraction, seed }: SplitOptions,
): Promise<Uint8Array> {
  if (!(validationFraction >= 0 && validationFraction < 1)) {
    throw new ConfigError(`validationFraction must be at least 0 and below 1, got ${validationFraction}`);
  }
  const sides = new Uint8Array(count);
  if (validationFraction === 0) return sides;
  // Draws are exact in float32.
  const draws = new Float32Array(count);
  let [index, lowest, highest] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for await (const part of texts) {
    for (const text of part) {
      const draw = new Rng(seed, `split/${text}`).uniform();
      draws[index++] = draw;
      lowest = Math.min(lowest, draw);
      highest = Math.max(highest, draw);
    }
  }
  for (const [at, draw] of draws.entries()) {
    if (draw < highest && (draw < validationFraction || draw === lowest)) sides[at] = 1;
  }
  return sides;
}
