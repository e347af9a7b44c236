import { exists, extension, isDirectory, readText } from "#platform";
import { parseJson } from "../tensor/json.js";
import { type CorpusFormat, loadCorpus } from "./corpus.js";
import { IGNORED_LABEL } from "./packing.js";
import { loadTokenRows, type TokenRow } from "./rows.js";
import type { Tokenizer } from "./tokenizer.js";

/** What a source of data holds. */
export type DataDescription = TextDescription | TokenRowsDescription;

/** Counts per side of the split that `loadCorpus` makes by default. */
export interface TextDescription {
  readonly kind: "text";
  readonly source: string;
  readonly format: CorpusFormat;
  readonly documents: SideCounts;
  /** In Unicode code points. */
  readonly characters: SideCounts;
  /** With one end-of-text token a document; left out where no tokenizer was given. */
  readonly tokens?: SideCounts;
  /** The first document to train on. */
  readonly sample: string;
  /** The sample in tokens, all of them scored; left out where no tokenizer was given. */
  readonly sampleTokens?: readonly SampleToken[];
}

export interface SideCounts {
  readonly train: number;
  readonly validation: number;
}

/** Counts over the rows of a file with `input_ids`. */
export interface TokenRowsDescription {
  readonly kind: "token rows";
  readonly source: string;
  readonly format: "jsonl";
  readonly rows: number;
  readonly tokens: number;
  /** Tokens that the loss counts: the first of a row never is. */
  readonly scoredTokens: number;
  readonly longestRow: number;
  /** The first row, less its last token where that is not scored. `text` is empty where no tokenizer was given. */
  readonly sampleTokens: readonly SampleToken[];
}

export interface SampleToken {
  readonly id: number;
  readonly text: string;
  readonly isScored: boolean;
}

/** Looks at a source as `loadCorpus` and `loadTokenRows` read it. @throws DataError as they do. */
export async function describeData(source: string, tokenizer?: Tokenizer): Promise<DataDescription> {
  return (await holdsTokenRows(source)) ? describeRows(source, tokenizer) : describeText(source, tokenizer);
}

/** Whether the source is a `.jsonl` file whose first line has `input_ids`, to be read with `loadTokenRows`. */
export async function holdsTokenRows(source: string): Promise<boolean> {
  if (extension(source) !== ".jsonl" || !(await exists(source)) || (await isDirectory(source))) return false;
  const firstLine = (await readText(source)).trimStart().split("\n", 1)[0]!;
  try {
    const record: unknown = parseJson(firstLine);
    return typeof record === "object" && record !== null && "input_ids" in record;
  } catch {
    return false; // The reader of texts names the fault.
  }
}

async function describeText(source: string, tokenizer: Tokenizer | undefined): Promise<TextDescription> {
  const { train, validation, format } = await loadCorpus(source);
  const bothSides = (count: (documents: readonly string[]) => number): SideCounts => ({
    train: count(train),
    validation: count(validation),
  });
  const sample = train[0]!;
  const description: TextDescription = {
    kind: "text",
    source,
    format,
    documents: bothSides((documents) => documents.length),
    characters: bothSides((documents) => documents.reduce((sum, document) => sum + countCodePoints(document), 0)),
    sample,
  };
  if (tokenizer === undefined) return description;
  const sampleIds = tokenizer.encodeDocuments([sample]);
  return {
    ...description,
    tokens: bothSides((documents) => tokenizer.encodeDocuments(documents).length),
    sampleTokens: Array.from(sampleIds, (id) => ({ id, text: tokenizer.decode([id]), isScored: true })),
  };
}

async function describeRows(source: string, tokenizer: Tokenizer | undefined): Promise<TokenRowsDescription> {
  const rows = await loadTokenRows(source);
  let [tokens, scoredTokens, longestRow] = [0, 0, 0];
  for (const { inputIds, labels } of rows) {
    tokens += inputIds.length + 1;
    scoredTokens += labels.filter((label) => label !== IGNORED_LABEL).length;
    longestRow = Math.max(longestRow, inputIds.length + 1);
  }
  const counts = { rows: rows.length, tokens, scoredTokens, longestRow };
  return { kind: "token rows", source, format: "jsonl", ...counts, sampleTokens: rowTokens(rows[0]!, tokenizer) };
}

function rowTokens({ inputIds, labels }: TokenRow, tokenizer: Tokenizer | undefined): SampleToken[] {
  const token = (id: number, label: number): SampleToken => {
    return { id, text: tokenizer?.decode([id]) ?? "", isScored: label !== IGNORED_LABEL };
  };
  const tokens = Array.from(inputIds, (id, index) => token(id, labels[index - 1] ?? IGNORED_LABEL));
  const last = labels.at(-1)!;
  return last === IGNORED_LABEL ? tokens : [...tokens, token(last, last)];
}

function countCodePoints(text: string): number {
  let count = text.length;
  for (let i = 0; i < text.length; i++) {
    if ((text.charCodeAt(i) & 0xfc00) === 0xdc00) count--;
  }
  return count;
}
