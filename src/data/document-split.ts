import { ConfigError } from "../base/errors.js";
import { Rng } from "../tensor/random.js";

export interface SplitOptions {
  /** Share of the documents to hold out, from 0 to below 1. */
  validationFraction: number;
  seed: number;
}

export interface DocumentSplit<T> {
  readonly train: T[];
  readonly validation: T[];
}

/**
 * Holds documents out by a draw that depends only on the seed and the document's text: the same document falls on the
 * same side whatever else the data holds, and its copies never on both. With at least two different documents neither
 * side is empty, unless the fraction is 0.
 * @param textOf returns a document's text, which is the basis of the draw.
 * @throws ConfigError if the fraction is out of range.
 */
export function splitDocuments<T>(
  documents: readonly T[],
  { validationFraction, seed }: SplitOptions,
  textOf: (document: T) => string,
): DocumentSplit<T> {
  if (!(validationFraction >= 0 && validationFraction < 1)) {
    throw new ConfigError(`validationFraction must be at least 0 and below 1, got ${validationFraction}`);
  }
  if (validationFraction === 0) return { train: [...documents], validation: [] };
  const draws = documents.map((document) => new Rng(seed, `split/${textOf(document)}`).uniform());
  let [lowest, highest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const draw of draws) {
    lowest = Math.min(lowest, draw);
    highest = Math.max(highest, draw);
  }
  const isHeldOut = (draw: number) => draw < highest && (draw < validationFraction || draw === lowest);
  return {
    train: documents.filter((_, index) => !isHeldOut(draws[index]!)),
    validation: documents.filter((_, index) => isHeldOut(draws[index]!)),
  };
}
