import { DataError } from "../base/errors.js";
import type { Dataset } from "./dataset.js";
import { type SplitOptions, splitDocuments } from "./document-split.js";
import { identityOf } from "./records.js";

/** The dataset with a share of its records held out; as it is where it has records for validation. */
export function holdOut(dataset: Dataset, options: SplitOptions): Dataset {
  if (dataset.validation.length > 0) return dataset;
  return { ...dataset, ...splitDocuments(dataset.train, options, identityOf) };
}

/**
 * The dataset with all records of another one for validation.
 * @throws DataError if the other is of another kind.
 */
export function validatedBy(dataset: Dataset, other: Dataset): Dataset {
  if (other.kind !== dataset.kind) {
    throw new DataError(
      `${other.name}: holds ${other.kind}, and ${dataset.name} ${dataset.kind}; name data of one kind`,
    );
  }
  return { ...dataset, validation: [...other.train, ...other.validation] };
}
