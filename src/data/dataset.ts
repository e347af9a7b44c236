import {
  baseName,
  decompress,
  exists,
  extension,
  fileSize,
  filesBelow,
  isDirectory,
  joinPath,
  readBytes,
  readText,
} from "#platform";
import { DataError } from "../base/errors.js";
import { RUN_SETTINGS } from "../base/naming.js";
import { ChatTemplate } from "../chats/chat-template.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import { loadWordNet } from "./builtin-wordnet.js";
import { columnRoles } from "./column-roles.js";
import { readTable, SEPARATORS } from "./csv-format.js";
import { type CardFiles, readDatasetCard } from "./dataset-card.js";
import { splitDocuments } from "./document-split.js";
import { readJson, readJsonLines, requireNoFaults } from "./jsonl-format.js";
import { markdownDocuments } from "./markdown-format.js";
import { readParquet } from "./parquet-format.js";
import {
  asAsked,
  asConversations,
  type DataKind,
  type DataRecord,
  describePlace,
  identityOf,
  NEWEST_RULES,
  type ReadingRules,
  RecordReader,
} from "./records.js";
import { type Cuts, readSample, Sampling } from "./sampling.js";
import { type SplitFiles, splitFiles, splitWholeNames } from "./split-files.js";
import { type DocumentUnit, textDocuments } from "./text-format.js";
import { unzstd } from "./zstandard.js";

/** Records to train on and records held out, all of one kind. */
export interface Dataset {
  /** The source as given. */
  readonly name: string;
  readonly format: DataFormat;
  readonly kind: DataKind;
  /** A record: a sample, or the part of a text that is a document. */
  readonly unit: "sample" | "document" | "section" | DocumentUnit;
  readonly train: DataRecord[];
  /** Empty if the source has only one record, or if the fraction is 0. */
  readonly validation: DataRecord[];
  /** Share of the files that was read: below 1 where a sample was asked for. */
  readonly share: number;
  readonly unused: UnusedData;
}

/** The part of a source that is not used. */
export interface UnusedData {
  /** Data files of a folder that are left out: those for tests, and those about the data. Paths are relative to it. */
  readonly files: readonly string[];
  /** Keys or columns of records. */
  readonly keys: readonly string[];
}

export type DataFormat = "builtin" | "folder" | "txt" | "md" | "jsonl" | "json" | "csv" | "tsv" | "parquet";

export interface DatasetOptions {
  /** Share of the records to hold out, from 0 to below 1; not used if a folder names its own split. */
  validationFraction?: number;
  /** Determines which records are held out. */
  seed?: number;
  /** Default: the newest. */
  rules?: ReadingRules;
  /** Part of a text that is a document. Default and null: paragraphs of `.txt`, sections of `.md`. */
  document?: DocumentUnit | null;
  /** Columns whose names do not say what they are, as ROLE=COLUMN: `prompt=question`. */
  columns?: readonly string[];
  /** Most bytes of files that are read whole; of more, a sample of some. Default and null: any number. */
  sampleAbove?: number | null;
  /** The data set to take of a folder whose README.md describes several. Default and null: the default one. */
  config?: string | null;
  /** True if records may ask without an answer, which is empty then. Default false. */
  isAsking?: boolean;
}

const BUILTINS: ReadonlyMap<string, () => Promise<string[]>> = new Map([["wordnet", loadWordNet]]);

/** The way in which files are read. */
interface Reading {
  readonly unit: DocumentUnit | null;
  readonly sampling: Sampling;
}

type FileReader = (path: string, reader: RecordReader, reading: Reading) => Promise<DataRecord[]>;

/** By extension, before that of a compression. */
const FILE_READERS: Readonly<Record<string, FileReader>> = {
  ".txt": documentsOf((text, unit) => textDocuments(text, unit ?? "paragraph")),
  ".md": documentsOf((text, unit) => (unit === null ? markdownDocuments(text) : textDocuments(text, unit))),
  ".jsonl": async (path, reader, { sampling }) =>
    readJsonLines(await plainText(path, sampling, "lines"), path, (fields, number) => {
      return { place: { path, unit: "line", number }, ...reader.read(fields, path) };
    }),
  ".json": async (path, reader, { sampling }) =>
    readJson(await plainText(path, sampling, null), path, (fields, unit, number) => {
      return { place: { path, unit, number }, ...reader.read(fields, path) };
    }),
  ".csv": tableOf(SEPARATORS[".csv"]),
  ".tsv": tableOf(SEPARATORS[".tsv"]),
  ".parquet": async (path, reader, { sampling }) => {
    const records: DataRecord[] = [];
    const faults: string[] = [];
    const { rows, unread, share } = await readParquet(path, [...reader.columns.values()], sampling.share);
    sampling.note(await fileSize(path), share);
    reader.leaveOut(unread);
    for (const [index, fields] of rows.entries()) {
      const place = { path, unit: "row", number: index + 1 } as const;
      try {
        records.push({ place, ...reader.read(fields, path) });
      } catch (error) {
        if (!(error instanceof DataError)) throw error;
        faults.push(`${describePlace(place)}: ${error.text}`);
      }
    }
    requireNoFaults(faults, "rows");
    return records;
  },
};

/** Extensions that version 1 of the rules knew. */
const FIRST_EXTENSIONS: readonly string[] = [".txt", ".md", ".jsonl", ".parquet"];

/** Formats whose files may be compressed. */
const COMPRESSIBLE: readonly string[] = [".jsonl", ".json", ".csv", ".tsv", ".txt"];

const COMPRESSIONS: readonly string[] = [".gz", ".zst"];

/** Most bytes of a text that was compressed: about the longest string, and what its file can account for. */
const MAX_TEXT_BYTES = { ever: 2 ** 29 - 24, least: 2 ** 26, each: 256 } as const;

/**
 * Reads data to train on.
 * - `.txt`: documents are paragraphs, or the texts between `<|endoftext|>` marks (`textDocuments`).
 * - `.md`: documents are sections (`markdownDocuments`).
 * - `.jsonl`: each line is an object and one record; `.json`: a list of them, or as `.jsonl`; `.csv`, `.tsv` and
 *   `.parquet`: each row is one record. Its keys determine the kind: `input_ids`; `messages` or `conversations`;
 *   `prompt` and `completion`; `instruction` and `output`; `question` and `answer`, and names like these; or `text`.
 * - a folder: all of these in it and below, by path in code unit order, except hidden ones and those about the data; no
 *   link may lead out of it. Names of files and folders make the split (`splitFiles`); without a file for validation
 *   the training files are split.
 * - `builtin:wordnet`: WordNet 3.1 as sentences (`loadWordNet`).
 *
 * All but `.md` and `.parquet` may be compressed, with `.gz` or `.zst` at the end of their names.
 * @throws DataError naming the path and the way out if there is nothing to read, or it is not such data, or of several
 * kinds.
 */
export async function loadDataset(source: string, options: DatasetOptions = {}): Promise<Dataset> {
  const { validationFraction = 0.02, seed = 0, rules = NEWEST_RULES, document = null, config = null } = options;
  const split = (records: readonly DataRecord[]) => splitDocuments(records, { validationFraction, seed }, identityOf);

  if (source.startsWith("builtin:")) {
    const records = textRecords(source, await loadBuiltin(source));
    const unused = { files: [], keys: [] };
    return { name: source, format: "builtin", kind: "text", unit: "document", share: 1, ...split(records), unused };
  }
  if (!(await exists(source))) {
    throw new DataError(`${source}: there is no such file or folder; check the path, or use ${builtinNames()}`);
  }
  const reader = new RecordReader(rules, columnRoles(options.columns ?? []), options.isAsking);
  const isFile = !(await isDirectory(source));
  const files = isFile ? { train: [source], validation: [], leftOut: [] } : await dataFilesIn(source, rules, config);
  const paths = [...files.train, ...files.validation];
  const reading = { unit: document, sampling: new Sampling(await shareOf(paths, options.sampleAbove ?? null)) };
  const inTrain = await loadFiles(files.train, reader, reading);
  const inValidation = files.validation.length === 0 ? [] : await loadFiles(files.validation, reader, reading);
  reader.requireAllSeen();
  const records = asConversations([...inTrain, ...inValidation]);
  const [train, validation] = [records.slice(0, inTrain.length), records.slice(inTrain.length)];
  return {
    name: source,
    format: isFile ? (formatOf(source).slice(1) as DataFormat) : "folder",
    kind: records[0]!.kind,
    unit: unitOf(records[0]!.kind, paths, document),
    share: reading.sampling.done,
    ...(validation.length === 0 ? split(train) : { train, validation }),
    unused: { files: files.leftOut, keys: [...reader.unused].sort() },
  };
}

/** Names that a list shows. */
const SHOWN_NAMES = 8;

/** The unused part in words: `keys id, source; files README.md`. Empty if that is nothing. */
export function describeUnused({ keys, files }: UnusedData): string {
  const listed = (what: string, names: readonly string[]): string[] => {
    if (names.length === 0) return [];
    const more = names.length > SHOWN_NAMES ? ` and ${names.length - SHOWN_NAMES} more` : "";
    return [`${what} ${names.slice(0, SHOWN_NAMES).join(", ")}${more}`];
  };
  return [...listed("keys", keys), ...listed("files", files)].join("; ");
}

/** Questions of a dataset as the model takes them: in its chat template, or as texts if it has none. */
export function asAskedOf(dataset: Dataset, tokenizer: Tokenizer | null | undefined): Dataset {
  if (dataset.kind !== "question-answer") return dataset;
  const hasTemplate = tokenizer !== null && tokenizer !== undefined && ChatTemplate.of(tokenizer) !== null;
  const { train, validation } = dataset;
  const kind = hasTemplate ? "messages" : "prompt-completion";
  return { ...dataset, kind, train: asAsked(train, hasTemplate), validation: asAsked(validation, hasTemplate) };
}

/** Bytes of a sample. */
const SAMPLE_BYTES = 2 ** 21;

async function shareOf(paths: readonly string[], sampleAbove: number | null): Promise<number> {
  if (sampleAbove === null) return 1;
  let bytes = 0;
  for (const path of paths) bytes += await fileSize(path);
  return bytes <= sampleAbove ? 1 : Math.min(1, SAMPLE_BYTES / bytes);
}

/** The word for a record of these files. */
function unitOf(kind: DataKind, files: readonly string[], document: DocumentUnit | null): Dataset["unit"] {
  if (kind !== "text") return "sample";
  const formats = new Set(files.map(formatOf));
  const [format] = formats;
  if (formats.size > 1 || (format !== ".txt" && format !== ".md")) return "document";
  return document ?? (format === ".txt" ? "paragraph" : "section");
}

function textRecords(path: string, documents: readonly string[]): DataRecord[] {
  return documents.map((text, index) => ({ place: { path, unit: "document", number: index + 1 }, kind: "text", text }));
}

function documentsOf(parse: (text: string, unit: DocumentUnit | null) => string[]): FileReader {
  return async (path, reader, { unit, sampling }) => {
    const documents = parse(await plainText(path, sampling, "characters"), unit);
    if (reader.kind !== undefined && reader.kind !== "text") {
      throw new DataError(`${path}: is text, but the files before it are ${reader.kind}; one source has one kind`);
    }
    for (const text of documents.slice(0, 1)) reader.read({ text }, path);
    return textRecords(path, documents);
  };
}

function tableOf(separator: string): FileReader {
  return async (path, reader, { sampling }) => {
    const read = (fields: Readonly<Record<string, string>>, number: number): DataRecord => {
      return { place: { path, unit: "line", number }, ...reader.read(fields, path) };
    };
    // Where the columns make no kind of data, they do so in no row.
    // A line break may stand inside a value, so only the beginning tells where rows begin.
    return readTable(await plainText(path, sampling, "end"), path, separator, read, () => reader.kind !== undefined);
  };
}

/** @param cuts where it may be cut for a sample; null for one that is read whole. */
async function plainText(path: string, sampling: Sampling, cuts: Cuts | null): Promise<string> {
  const isCompressed = COMPRESSIONS.includes(extension(path));
  let text: string;
  if (sampling.share < 1 && cuts !== null && !isCompressed) text = await readSample(path, sampling, cuts);
  else {
    text = isCompressed ? await decompressedText(path) : await readText(path);
    sampling.note(await fileSize(path), 1);
  }
  if (text.includes("\0")) throw new DataError(`${path}: holds zero bytes, so it is not text; name a text file`);
  return text;
}

async function decompressedText(path: string): Promise<string> {
  const bytes = await readBytes(path);
  const { ever, least, each } = MAX_TEXT_BYTES;
  const most = Math.min(ever, least + each * bytes.length);
  try {
    const content = extension(path) === ".gz" ? decompress(bytes, "gzip", most) : unzstd(bytes, most);
    return new TextDecoder("utf-8", { fatal: true }).decode(content);
  } catch (cause) {
    const reason = cause instanceof DataError ? cause.text : "it does not hold UTF-8 text";
    throw new DataError(`${path}: ${reason}; decompress it, or name another file`, { cause });
  }
}

async function loadBuiltin(source: string): Promise<string[]> {
  const load = BUILTINS.get(source.slice("builtin:".length));
  if (load === undefined) throw new DataError(`${source}: there is no such built-in text; there is ${builtinNames()}`);
  return load();
}

function builtinNames(): string {
  return [...BUILTINS.keys()].map((name) => `builtin:${name}`).join(", ");
}

/** The extension that decides how a file is read: that before `.gz` or `.zst`. */
function formatOf(path: string): string {
  const last = extension(path);
  const inner = COMPRESSIONS.includes(last) ? extension(path.slice(0, -last.length)) : "";
  return COMPRESSIBLE.includes(inner) ? inner : last;
}

/** True if the name is that of a file that is read. */
export function isDataFile(path: string): boolean {
  return Object.hasOwn(FILE_READERS, formatOf(path));
}

async function loadFile(path: string, reader: RecordReader, reading: Reading): Promise<DataRecord[]> {
  if (!isDataFile(path)) {
    throw new DataError(`${path}: the name must end in ${formatNames()}; rename or convert the file`);
  }
  const records = await FILE_READERS[formatOf(path)]!(path, reader, reading);
  return records.filter((record) => record.kind !== "text" || record.text.trim() !== "");
}

function formatNames(): string {
  return Object.keys(FILE_READERS).join(", ");
}

/** @throws DataError if all the files together hold nothing. */
async function loadFiles(paths: readonly string[], reader: RecordReader, reading: Reading): Promise<DataRecord[]> {
  const records: DataRecord[] = [];
  for (const path of paths) {
    for (const record of await loadFile(path, reader, reading)) records.push(record);
  }
  if (records.length === 0) throw new DataError(`${paths.join(", ")}: no text in it; name a file with some`);
  return records;
}

/**
 * Paths of a folder's data files, on the sides of the split. Folders of runs in it are passed over: a run may be
 * written where its data lie.
 * @throws DataError if there is none, or none to train on.
 */
export async function dataFilesIn(folder: string, rules: ReadingRules, config: string | null): Promise<SplitFiles> {
  const isRun = (names: readonly string[]): boolean => rules > 2 && names.includes(RUN_SETTINGS);
  const found = await filesBelow(folder, (name) => name.startsWith("."), isRun);
  const hasCard = rules > 1 && found.includes("README.md");
  let chosen: SplitFiles;
  try {
    const card = readDatasetCard(hasCard ? await readText(joinPath(folder, "README.md")) : "", config);
    chosen = chooseFiles(folder, found, card, rules);
  } catch (error) {
    if (!(error instanceof DataError) || error.message.startsWith(folder)) throw error;
    throw new DataError(`${folder}: ${error.text}`, { cause: error });
  }
  const inFolder = (names: readonly string[]) => names.map((name) => joinPath(folder, name));
  return { ...chosen, train: inFolder(chosen.train), validation: inFolder(chosen.validation) };
}

/**
 * The data files among these, on the sides of the split.
 * @param where they are, for messages.
 * @throws DataError as `dataFilesIn`, and as `splitFiles`.
 */
export function chooseFiles(
  where: string,
  found: readonly string[],
  card: CardFiles | null,
  rules: ReadingRules = NEWEST_RULES,
): SplitFiles {
  const files = found.filter((file) => (rules === 1 ? FIRST_EXTENSIONS.includes(extension(file)) : isDataFile(file)));
  if (files.length === 0) {
    throw new DataError(`${where}: it has no file whose name ends in ${formatNames()}; add one or name another`);
  }
  const { train, validation, leftOut } = rules === 1 ? splitWholeNames(files) : splitFiles(files, card, rules > 3);
  if (train.length > 0) return { train, validation, leftOut };
  const others = (validation.length > 0 ? validation : leftOut).map(baseName).join(", ");
  throw new DataError(`${where}: there is only ${others}; add files to train on, or name one of these`);
}
