export { type Corpus, loadCorpus } from "./corpus.js";
export { BatchCursor, type BatchCursorOptions, type DataPosition } from "./cursor.js";
export { type DataFormat, type Dataset, type DatasetOptions, loadDataset, type UnusedData } from "./dataset.js";
export { type EvaluationBatchesOptions, evaluationBatches } from "./evaluation-batches.js";
export {
  type Batch,
  type BatchShape,
  type Packing,
  type Rows,
  SampleRows,
  SeparateSamples,
  StreamRows,
  type TokenStream,
} from "./packing.js";
export type { DataKind, DataRecord, Place, ReadingRules, RecordContent } from "./records.js";
export { IGNORED_LABEL, loadTokenRows, type TokenLabels, type TokenRow } from "./rows.js";
