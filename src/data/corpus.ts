import { type DataFormat, type DatasetOptions, loadDataset } from "./dataset.js";
import { textOfRecord } from "./records.js";

/** Texts to train on and texts held out. */
export interface Corpus {
  /** The source as it was given. */
  readonly name: string;
  readonly format: DataFormat;
  readonly train: string[];
  /** Empty when the source has only one document, or when the fraction is 0. */
  readonly validation: string[];
}

/** The texts of a dataset: of samples, what their prompts, completions or messages say. @throws DataError as `loadDataset`. */
export async function loadCorpus(source: string, options: DatasetOptions = {}): Promise<Corpus> {
  const { name, format, train, validation } = await loadDataset(source, options);
  const texts = (records: typeof train) => records.flatMap((record) => textOfRecord(record) ?? []);
  return { name, format, train: texts(train), validation: texts(validation) };
}
