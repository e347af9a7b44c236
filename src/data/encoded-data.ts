import { DataError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import type { ScoredTurns } from "../chats/chat-rendering.js";
import { ChatTemplate, today } from "../chats/chat-template.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import type { OpenDataset } from "./dataset.js";
import { encodeSamples, encodeTexts } from "./encoding.js";
import {
  countScoredLabels,
  type Packing,
  type Rows,
  SampleRows,
  SeparateSamples,
  StreamRows,
  type TokenStream,
} from "./packing.js";
import type { Records } from "./record-parts.js";
import { type DataKind, isChat } from "./records.js";
import { SampleStore, type Samples } from "./sample-store.js";
import { cutSamples, requireVocabulary, type Truncation } from "./samples.js";
import { partOf, TokenStore } from "./token-store.js";

export interface EncodingOptions {
  /** Tokens per row; a sample has at most one more. */
  readonly sequenceLength: number;
  readonly packing: Packing;
  readonly trainOnInputs: boolean;
  /** Default `whole`. */
  readonly scoredTurns?: ScoredTurns;
  /** Day that chat templates are told, as YYYY-MM-DD; null for none. Default: today. */
  readonly chatDate?: string | null;
  /** True if longer samples are cut; otherwise they are errors. */
  readonly truncate?: boolean;
}

/** Records as tokens: a stream that is cut into rows, or samples that stay whole. */
export interface EncodedRecords {
  readonly isStream: boolean;
  /** Empty for a stream. */
  readonly samples: Samples;
  /** Rows to train on. @throws DataError if a stream is too short for one row. */
  trainingRows(): Rows;
  /** Rows with each token once and each sample by itself. */
  evaluationRows(): Rows;
  /** @throws DataError naming a sample with an id outside the vocabulary. */
  requireVocabulary(vocabSize: number): void;
  readonly counts: TokenCounts;
}

export interface TokenCounts {
  /** Documents of a text, or samples. */
  readonly samples: number;
  readonly tokens: number;
  readonly scoredTokens: number;
  /** Tokens of samples after cutting; null for a stream, which has no separate samples. */
  readonly lengths: { readonly min: number; readonly median: number; readonly max: number } | null;
  readonly truncation: Truncation;
}

/** Options that do not depend on the length of the rows. */
type TokenizingOptions = Omit<EncodingOptions, "sequenceLength">;

/** Records as tokens before they are cut to rows of a length. */
export interface TokenizedRecords {
  /** Tokens of the row that the longest sample needs; undefined for a stream. */
  readonly longestRow: number | undefined;
  /** Tokens of a stream; undefined for samples. */
  readonly textTokens: number | undefined;
  /** The tokens themselves. */
  readonly source: TokenSource;
  /** @throws DataError as `cutSamples`. */
  cut(sequenceLength: number): EncodedRecords;
}

/** Tokens of records: of texts one after another, or of samples. */
export type TokenSource =
  | { readonly kind: "texts"; readonly tokens: TokenStream; readonly largest: number; readonly documents: number }
  | { readonly kind: "samples"; readonly samples: SampleStore };

/** @throws DataError as `wholeSamples` and `cutSamples`; CheckpointError as the tokenizer. */
export async function encodeRecords(
  kind: DataKind,
  records: Records,
  tokenizer: Tokenizer | undefined,
  { sequenceLength, ...options }: EncodingOptions,
): Promise<EncodedRecords> {
  return (await tokenizeRecords(kind, records, tokenizer, options)).cut(sequenceLength);
}

function isJoinedText(kind: DataKind, { packing }: TokenizingOptions): boolean {
  return kind === "text" && (packing === "joined" || packing === "auto");
}

/** As `encodeRecords`, before anything is cut. */
async function tokenizeRecords(
  kind: DataKind,
  records: Records,
  tokenizer: Tokenizer | undefined,
  options: TokenizingOptions,
): Promise<TokenizedRecords> {
  if (tokenizer !== undefined && isJoinedText(kind, options)) {
    return tokenizedTexts({ kind: "texts", ...(await encodedTexts(records, tokenizer)), documents: records.count });
  }
  const { trainOnInputs, scoredTurns = "whole", chatDate = today() } = options;
  const template = isChat(kind) && tokenizer !== undefined ? ChatTemplate.of(tokenizer) : null;
  const samples = new SampleStore();
  for await (const some of encodeSamples(records, tokenizer, { template, trainOnInputs, scoredTurns, chatDate })) {
    samples.append(some);
  }
  return tokenizedSamples({ kind: "samples", samples }, options);
}

/** Tokens as records, as `tokenizeDataset` gives them. */
export function tokenizedOf(source: TokenSource, options: CuttingOptions): TokenizedRecords {
  return source.kind === "texts" ? tokenizedTexts(source) : tokenizedSamples(source, options);
}

type CuttingOptions = Pick<TokenizingOptions, "packing" | "truncate">;

function tokenizedSamples(
  source: Extract<TokenSource, { kind: "samples" }>,
  { packing, truncate = true }: CuttingOptions,
): TokenizedRecords {
  const whole = source.samples;
  const alone = (samples: Samples, sequenceLength: number): Rows =>
    packing === "none" ? SampleRows.padded(samples, sequenceLength) : new SeparateSamples(samples);
  return {
    source,
    longestRow: Math.max(0, whole.longest - 1),
    textTokens: undefined,
    cut(sequenceLength) {
      const { samples, truncation } = cutSamples(whole, { maxTokens: sequenceLength + 1, truncate });
      return {
        isStream: false,
        samples,
        trainingRows: () =>
          packing === "joined" ? SampleRows.packed(samples, sequenceLength) : alone(samples, sequenceLength),
        evaluationRows: () => alone(samples, sequenceLength),
        requireVocabulary: (vocabSize) => {
          if (whole.largest >= vocabSize) requireVocabulary(samples, vocabSize);
        },
        counts: countTokens(samples, truncation),
      };
    },
  };
}

/**
 * Tokenizes both sides of a dataset. Packed text of only one document is cut near its end.
 * @throws DataError if nothing can be held out.
 */
export async function tokenizeDataset(
  { name, kind, train, validation }: OpenDataset,
  tokenizer: Tokenizer | undefined,
  { validationFraction, ...options }: TokenizingOptions & { readonly validationFraction: number },
): Promise<{ train: TokenizedRecords; validation: TokenizedRecords }> {
  if (validation.count > 0) {
    return {
      train: await tokenizeRecords(kind, train, tokenizer, options),
      validation: await tokenizeRecords(kind, validation, tokenizer, options),
    };
  }
  if (tokenizer === undefined || !isJoinedText(kind, options)) {
    const remedy = `bring others, or name data for validation as ${optionName("validData")}`;
    const found = train.count === 1 ? "there is 1 sample" : `all ${train.count} samples are the same`;
    throw new DataError(`${name}: ${found}, and none can be held out; ${remedy}`);
  }
  const { tokens, largest } = await encodedTexts(train, tokenizer);
  const held = Math.max(2, Math.floor(tokens.length * validationFraction));
  if (tokens.length <= held) {
    throw new DataError(`${name}: has ${tokens.length} tokens, too few to hold some out; bring more data`);
  }
  const end = tokens.length - held;
  return {
    train: tokenizedTexts({ kind: "texts", tokens: partOf(tokens, 0, end), largest, documents: train.count }),
    validation: tokenizedTexts({
      kind: "texts",
      tokens: partOf(tokens, end, tokens.length),
      largest,
      documents: 0,
    }),
  };
}

/** Tokens of texts, and the largest of them. */
interface EncodedTexts {
  readonly tokens: TokenStream;
  readonly largest: number;
}

function tokenizedTexts(source: Extract<TokenSource, { kind: "texts" }>): TokenizedRecords {
  const { tokens, documents } = source;
  return {
    source,
    longestRow: undefined,
    textTokens: tokens.length,
    cut: (sequenceLength) => encodedStream(source, sequenceLength, documents),
  };
}

/** @throws DataError if the text has ids outside the vocabulary. */
function requireTextVocabulary(largest: number, vocabSize: number): void {
  if (largest < vocabSize) return;
  throw new DataError(
    `the text has token ${largest}, but the model has ${vocabSize}: ` +
      "its tokenizer is another model's; use the model's own",
  );
}

async function encodedTexts(records: Records, tokenizer: Tokenizer): Promise<EncodedTexts> {
  const store = new TokenStore();
  for await (const tokens of encodeTexts(records, tokenizer)) store.append(tokens);
  return { tokens: store, largest: store.largest };
}

function encodedStream({ tokens, largest }: EncodedTexts, sequenceLength: number, documents: number): EncodedRecords {
  return {
    isStream: true,
    samples: [],
    trainingRows: () => StreamRows.complete(tokens, sequenceLength),
    evaluationRows: () => StreamRows.all(tokens, sequenceLength),
    requireVocabulary: (vocabSize) => requireTextVocabulary(largest, vocabSize),
    counts: {
      samples: documents,
      tokens: tokens.length,
      scoredTokens: Math.max(0, tokens.length - 1),
      lengths: null,
      truncation: { samples: 0, tokens: 0 },
    },
  };
}

function countTokens(samples: Samples, truncation: Truncation): TokenCounts {
  let [tokens, scoredTokens, index] = [0, 0, 0];
  const lengths = new Int32Array(samples.length);
  for (const { ids, labels } of samples) {
    tokens += ids.length;
    scoredTokens += countScoredLabels(labels);
    lengths[index++] = ids.length;
  }
  lengths.sort();
  const [min, median, max] = [lengths[0]!, lengths[lengths.length >> 1]!, lengths.at(-1)!];
  return { samples: samples.length, tokens, scoredTokens, lengths: { min, median, max }, truncation };
}
