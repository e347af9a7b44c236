import { type DataFormat, type DatasetOptions, loadDataset } from "./dataset.js";
import { textOfRecord } from "./records.js";

/** Texts to train on and texts held out. */
export interface Corpus {
  /** The source as given. */
  readonly name: string;
  readonly format: DataFormat;
  readonly train: string[];
  /** Empty if the source has only one document, or if the fraction is 0. */
  readonly validation: string[];
}

/**
 * Loads the texts of a dataset: of samples, the texts of their prompts, completions or messages.
 * @throws DataError as `loadDataset`.
 */
export async function loadCorpus(source: string, options: DatasetOptions = {}): Promise<Corpus> {
  const { name, format, train, validation } = await loadDataset(source, options);
  const texts = (records: typeof train) => records.flatMap((record) => textOfRecord(record) ?? []);
  return { name, format, train: texts(train), validation: texts(validation) };
}
