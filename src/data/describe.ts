import { today } from "../chats/chat-template.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import { type DataFormat, type Dataset, loadDataset, type UnusedData } from "./dataset.js";
import { type EncodedRecords, encodeRecords, type TokenCounts } from "./encoded-data.js";
import { type DataKind, textOfRecord } from "./records.js";
import { IGNORED_LABEL } from "./rows.js";

/** Content of a source of data, in the default split. */
export interface DataDescription {
  readonly kind: DataKind;
  readonly source: string;
  readonly format: DataFormat;
  readonly unused: UnusedData;
  /** Documents of a text, or samples. */
  readonly samples: SideCounts;
  /** Unicode code points of texts, prompts and completions, or messages. */
  readonly characters: SideCounts;
  /** Tokens of the training split; null if they need a tokenizer and none was given. */
  readonly train: TokenCounts | null;
  readonly validation: TokenCounts | null;
  /** The first sample to train on; null as above. */
  readonly sampleTokens: readonly SampleToken[] | null;
}

export interface SideCounts {
  readonly train: number;
  readonly validation: number;
}

export interface SampleToken {
  readonly id: number;
  /** Empty without a tokenizer. */
  readonly text: string;
  readonly isScored: boolean;
}

export interface DescriptionOptions {
  readonly trainOnInputs?: boolean;
  /** Day that chat templates are told, as YYYY-MM-DD. Default and null: today. */
  readonly chatDate?: string | null;
  /** Tokens per row, to which samples are cut. Default: none is cut. */
  readonly sequenceLength?: number | null;
}

/**
 * Describes a source as training reads it.
 * @throws DataError and CheckpointError as `loadDataset` and `encodeRecords`.
 */
export async function describeData(
  source: string,
  tokenizer?: Tokenizer,
  options: DescriptionOptions = {},
): Promise<DataDescription> {
  return describeDataset(await loadDataset(source), tokenizer, options);
}

/** Like `describeData`, for data that is loaded. */
export async function describeDataset(
  dataset: Dataset,
  tokenizer: Tokenizer | undefined,
  { trainOnInputs = false, chatDate, sequenceLength = null }: DescriptionOptions = {},
): Promise<DataDescription> {
  const { name: source, kind, format, unused, train, validation } = dataset;
  const bothSides = (count: (records: typeof train) => number): SideCounts => ({
    train: count(train),
    validation: count(validation),
  });
  const hasTokens = tokenizer !== undefined || kind === "token rows";
  const length = sequenceLength ?? Number.MAX_SAFE_INTEGER - 1;
  const encode = (records: typeof train, packing: boolean | null): Promise<EncodedRecords> =>
    encodeRecords(kind, records, tokenizer, {
      sequenceLength: length,
      packing,
      trainOnInputs,
      chatDate: chatDate ?? today(),
    });
  const counts = async (records: typeof train): Promise<TokenCounts | null> =>
    hasTokens && records.length > 0 ? (await encode(records, null)).counts : null;
  return {
    kind,
    source,
    format,
    unused,
    samples: bothSides((records) => records.length),
    characters: bothSides((records) =>
      records.reduce((sum, record) => sum + countCodePoints(textOfRecord(record) ?? ""), 0),
    ),
    train: await counts(train),
    validation: await counts(validation),
    sampleTokens: hasTokens ? sampleTokens(await encode(train.slice(0, 1), false), tokenizer) : null,
  };
}

function sampleTokens({ samples }: EncodedRecords, tokenizer: Tokenizer | undefined): SampleToken[] {
  const { ids, labels } = samples[0]!;
  return Array.from(ids, (id, index) => ({
    id,
    text: tokenizer?.decode([id]) ?? "",
    isScored: index > 0 && labels[index] !== IGNORED_LABEL,
  }));
}

function countCodePoints(text: string): number {
  let count = text.length;
  for (let i = 0; i < text.length; i++) {
    if ((text.charCodeAt(i) & 0xfc00) === 0xdc00) count--;
  }
  return count;
}
