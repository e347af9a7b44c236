import { today } from "../chats/chat-template.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import {
  asAskedOf,
  type DataFormat,
  DEFAULT_SPLIT,
  type OpenDataset,
  openDataset,
  type UnusedData,
} from "./dataset.js";
import { type EncodedRecords, encodeRecords, type TokenCounts } from "./encoded-data.js";
import { holdOut } from "./hold-out.js";
import type { Packing } from "./packing.js";
import { Records } from "./record-parts.js";
import { type DataKind, type DataRecord, textOfRecord } from "./records.js";
import { IGNORED_LABEL } from "./rows.js";
import type { Sample } from "./samples.js";

/** Content of a source of data, in the default split. */
export interface DataDescription {
  readonly kind: DataKind;
  readonly source: string;
  readonly format: DataFormat;
  readonly unused: UnusedData;
  /** True if only a sample of the files was read, from which all counts are estimated. */
  readonly isEstimated: boolean;
  /** Documents of a text, or samples. */
  readonly samples: SideCounts;
  /** Unicode code points of texts, prompts and completions, or messages. */
  readonly characters: SideCounts;
  /** Tokens of the training split; null if they need a tokenizer and none was given. */
  readonly train: TokenCounts | null;
  readonly validation: TokenCounts | null;
  /** The first samples to train on, three at most; null as above. */
  readonly rows: readonly ShownRow[] | null;
  /** The tokens of the first of them; null as above. */
  readonly sampleTokens: readonly SampleToken[] | null;
}

export interface SideCounts {
  readonly train: number;
  readonly validation: number;
}

/** The beginning of a sample. */
export interface ShownRow {
  /** 256 at most. */
  readonly tokens: readonly SampleToken[];
  /** True if more follow. */
  readonly goesOn: boolean;
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

/** Samples that are shown, since people read them, and tokens of each. */
const SHOWN = { rows: 3, tokens: 256 } as const;

/** UTF-16 units of a text from which the shown tokens come. */
const SHOWN_TEXT = 4096;

/**
 * Describes a source as training reads it.
 * @throws DataError and CheckpointError as `loadDataset` and `encodeRecords`.
 */
export async function describeData(
  source: string,
  tokenizer?: Tokenizer,
  options: DescriptionOptions = {},
): Promise<DataDescription> {
  const dataset = await holdOut(await openDataset(source), DEFAULT_SPLIT);
  return describeDataset(dataset, tokenizer, options);
}

/** Like `describeData`, for data that is loaded. */
export async function describeDataset(
  dataset: OpenDataset,
  tokenizer: Tokenizer | undefined,
  { trainOnInputs = false, chatDate, sequenceLength = null }: DescriptionOptions = {},
): Promise<DataDescription> {
  const { name: source, format, unused, share } = dataset;
  const { kind, train, validation } = asAskedOf(dataset, tokenizer);
  const inAll = (count: number): number => Math.round(count / share);
  const charactersOf = async (records: Records): Promise<number> => {
    let count = 0;
    for await (const record of records) count += countCodePoints(textOfRecord(record) ?? "");
    return inAll(count);
  };
  const hasTokens = tokenizer !== undefined || kind === "token rows";
  const length = sequenceLength ?? Number.MAX_SAFE_INTEGER - 1;
  const encode = (records: Records, packing: Packing): Promise<EncodedRecords> =>
    encodeRecords(kind, records, tokenizer, {
      sequenceLength: length,
      packing,
      trainOnInputs,
      chatDate: chatDate ?? today(),
    });
  const counts = async (records: Records): Promise<TokenCounts | null> => {
    if (!hasTokens || records.count === 0) return null;
    const { samples, tokens, scoredTokens, lengths, truncation } = (await encode(records, "auto")).counts;
    const cut = { samples: inAll(truncation.samples), tokens: inAll(truncation.tokens) };
    const all = { samples: inAll(samples), tokens: inAll(tokens), scoredTokens: inAll(scoredTokens) };
    return { ...all, lengths, truncation: cut };
  };
  const first = await train.first(SHOWN.rows);
  const beginnings = first.map(beginningOf);
  const shownSamples = async (): Promise<Iterable<ShownSample>> =>
    kind === "text"
      ? beginnings.map((each) => joinedDocument(each, tokenizer!))
      : (await encode(Records.of(beginnings), "separate")).samples;
  const rows = hasTokens
    ? Array.from(await shownSamples(), (sample, index) =>
        shownRow(sample, beginnings[index] !== first[index], tokenizer),
      )
    : null;
  return {
    kind: dataset.kind,
    source,
    format,
    unused,
    isEstimated: share < 1,
    samples: { train: inAll(train.count), validation: inAll(validation.count) },
    characters: { train: await charactersOf(train), validation: await charactersOf(validation) },
    train: await counts(train),
    validation: await counts(validation),
    rows,
    sampleTokens: rows === null ? null : rows[0]!.tokens,
  };
}

/** A document that is long enough to show, so that a book in one paragraph is not encoded for its first lines. */
function beginningOf(record: DataRecord): DataRecord {
  if (record.kind !== "text" || record.text.length <= SHOWN_TEXT) return record;
  return { ...record, text: record.text.slice(0, SHOWN_TEXT) };
}

type ShownSample = Pick<Sample, "ids" | "labels">;

/** A document as it stands at the beginning of joined text. */
function joinedDocument(record: DataRecord, tokenizer: Tokenizer): ShownSample {
  const ids = tokenizer.encodeDocuments([textOfRecord(record) ?? ""]);
  return { ids, labels: ids };
}

function shownRow({ ids, labels }: ShownSample, isCut: boolean, tokenizer: Tokenizer | undefined): ShownRow {
  // Behind a text that is cut stands an end that it does not have.
  const count = Math.min(isCut ? ids.length - 1 : ids.length, SHOWN.tokens);
  const tokens = Array.from(ids.subarray(0, count), (id, index) => ({
    id,
    text: tokenizer?.decode([id]) ?? "",
    isScored: index > 0 && labels[index] !== IGNORED_LABEL,
  }));
  return { tokens, goesOn: isCut || count < ids.length };
}

function countCodePoints(text: string): number {
  let count = text.length;
  for (let i = 0; i < text.length; i++) {
    if ((text.charCodeAt(i) & 0xfc00) === 0xdc00) count--;
  }
  return count;
}
