import { DataError } from "../base/errors.js";
import type { OpenDataset } from "./dataset.js";
import { drawSides, type SplitOptions } from "./document-split.js";
import type { Records } from "./record-parts.js";
import { identityOf } from "./records.js";

/** The dataset with a share of its records held out; as it is where it has records for validation. */
export async function holdOut(dataset: OpenDataset, options: SplitOptions): Promise<OpenDataset> {
  const { train, validation } = dataset;
  if (validation.count > 0) return dataset;
  const sides = await drawSides(identitiesOf(train), train.count, options);
  const held = sides.reduce((count, side) => count + side, 0);
  if (held === 0) return dataset;
  return {
    ...dataset,
    train: train.where((index) => sides[index] === 0, train.count - held),
    validation: train.where((index) => sides[index] === 1, held),
  };
}

async function* identitiesOf(records: Records): AsyncGenerator<readonly string[], void> {
  for await (const part of records.parts()) yield part.map(identityOf);
}

/**
 * The dataset with all records of another one for validation.
 * @throws DataError if the other is of another kind.
 */
export function validatedBy(dataset: OpenDataset, other: OpenDataset): OpenDataset {
  if (other.kind !== dataset.kind) {
    throw new DataError(
      `${other.name}: holds ${other.kind}, and ${dataset.name} ${dataset.kind}; name data of one kind`,
    );
  }
  return { ...dataset, validation: other.train.followedBy(other.validation) };
}
