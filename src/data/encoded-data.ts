import { DataError } from "../base/errors.js";
import { ChatTemplate } from "./chat-template.js";
import type { Dataset } from "./dataset.js";
import { countScoredLabels, type Rows, SampleRows, StreamRows, type TokenStream } from "./packing.js";
import type { DataKind, DataRecord } from "./records.js";
import { encodeSamples, requireVocabulary, type Sample, type Truncation } from "./samples.js";
import type { Tokenizer } from "./tokenizer.js";

export interface EncodingOptions {
  /** Tokens of a row; a sample has one more at most. */
  readonly sequenceLength: number;
  /** Null packs text, and nothing else. */
  readonly packing: boolean | null;
  readonly trainOnInputs: boolean;
  /** Whether longer samples are cut; otherwise they are faults. */
  readonly truncate?: boolean;
}

/** Records in tokens: a stream that is cut into rows, or samples that stay whole. */
export interface EncodedRecords {
  readonly isStream: boolean;
  /** None where it is a stream. */
  readonly samples: readonly Sample[];
  /** To learn from. @throws DataError for a stream too short for one row. */
  trainingRows(): Rows;
  /** Each token once, each sample by itself. @param length of the rows, of which no sample may need more. */
  evaluationRows(length?: number): Rows;
  /** @throws DataError naming a sample with an id outside of the vocabulary. */
  requireVocabulary(vocabSize: number): void;
  readonly counts: TokenCounts;
}

export interface TokenCounts {
  /** Documents of a text, or samples. */
  readonly samples: number;
  readonly tokens: number;
  readonly scoredTokens: number;
  /** Tokens of samples, as they are cut; null for a stream, in which none stands by itself. */
  readonly lengths: { readonly min: number; readonly median: number; readonly max: number } | null;
  readonly truncation: Truncation;
}

/** @throws DataError as `encodeSamples`; CheckpointError as the tokenizer. */
export async function encodeRecords(
  kind: DataKind,
  records: readonly DataRecord[],
  tokenizer: Tokenizer | undefined,
  options: EncodingOptions,
): Promise<EncodedRecords> {
  if (tokenizer !== undefined && kind === "text" && options.packing !== false) {
    return encodedStream(encodeTexts(records, tokenizer), options.sequenceLength, records.length);
  }
  const { sequenceLength, packing, trainOnInputs, truncate = true } = options;
  const template = kind === "messages" && tokenizer !== undefined ? ChatTemplate.of(tokenizer) : null;
  const maxTokens = sequenceLength + 1;
  const { samples, truncation } = await encodeSamples(records, {
    tokenizer,
    template,
    trainOnInputs,
    maxTokens,
    truncate,
  });
  return {
    isStream: false,
    samples,
    trainingRows: () => (packing === true ? SampleRows.packed : SampleRows.padded)(samples, sequenceLength),
    evaluationRows: (length = sequenceLength) => SampleRows.padded(samples, length),
    requireVocabulary: (vocabSize) => requireVocabulary(samples, vocabSize),
    counts: countTokens(samples, truncation),
  };
}

/** Both sides of a dataset. Packed text that is one document is cut near its end. @throws DataError where nothing can be held out. */
export async function encodeDataset(
  { name, kind, train, validation }: Dataset,
  tokenizer: Tokenizer,
  { validationFraction, ...options }: EncodingOptions & { readonly validationFraction: number },
): Promise<{ train: EncodedRecords; validation: EncodedRecords }> {
  if (validation.length > 0) {
    return {
      train: await encodeRecords(kind, train, tokenizer, options),
      validation: await encodeRecords(kind, validation, tokenizer, options),
    };
  }
  if (kind !== "text" || options.packing === false) {
    const remedy = "bring more, or a folder with files train and valid";
    throw new DataError(`${name}: has ${train.length} different samples, too few to hold some out; ${remedy}`);
  }
  const tokens = encodeTexts(train, tokenizer);
  const held = Math.max(2, Math.floor(tokens.length * validationFraction));
  if (tokens.length <= held) {
    throw new DataError(`${name}: has ${tokens.length} tokens, too few to hold some out; bring more data`);
  }
  const { sequenceLength } = options;
  return {
    train: encodedStream(tokens.subarray(0, tokens.length - held), sequenceLength, train.length),
    validation: encodedStream(tokens.subarray(tokens.length - held), sequenceLength, 0),
  };
}

/** @throws DataError for a text whose tokenizer has ids outside of the vocabulary. */
function requireTextVocabulary(tokens: TokenStream, vocabSize: number): void {
  const largest = tokens.reduce((most, id) => Math.max(most, id), 0);
  if (largest < vocabSize) return;
  throw new DataError(
    `the text has token ${largest}, but the model has ${vocabSize}: its tokenizer is another model's, and must be that of this one`,
  );
}

function encodeTexts(records: readonly DataRecord[], tokenizer: Tokenizer): TokenStream {
  return tokenizer.encodeDocuments(records.map((record) => (record.kind === "text" ? record.text : "")));
}

function encodedStream(tokens: TokenStream, sequenceLength: number, documents: number): EncodedRecords {
  return {
    isStream: true,
    samples: [],
    trainingRows: () => StreamRows.complete(tokens, sequenceLength),
    evaluationRows: (length = sequenceLength) => StreamRows.all(tokens, length),
    requireVocabulary: (vocabSize) => requireTextVocabulary(tokens, vocabSize),
    counts: {
      samples: documents,
      tokens: tokens.length,
      scoredTokens: Math.max(0, tokens.length - 1),
      lengths: null,
      truncation: { samples: 0, tokens: 0 },
    },
  };
}

function countTokens(samples: readonly Sample[], truncation: Truncation): TokenCounts {
  let [tokens, scoredTokens] = [0, 0];
  for (const { ids, labels } of samples) {
    tokens += ids.length;
    scoredTokens += countScoredLabels(labels);
  }
  const lengths = samples.map(({ ids }) => ids.length).sort((a, b) => a - b);
  const [min, median, max] = [lengths[0]!, lengths[lengths.length >> 1]!, lengths.at(-1)!];
  return { samples: samples.length, tokens, scoredTokens, lengths: { min, median, max }, truncation };
}
