import {
  baseName,
  exists,
  extension,
  fileSize,
  fileStamp,
  filesBelow,
  isDirectory,
  joinPath,
  readText,
} from "#platform";
import { OBJECT, requireArguments, TEXT } from "../base/arguments.js";
import { DataError } from "../base/errors.js";
import { append } from "../base/lists.js";
import { RUN_SETTINGS } from "../base/naming.js";
import { ChatTemplate } from "../chats/chat-template.js";
import type { Tokenizer } from "../tokenizers/tokenizer.js";
import { loadWordNet } from "./builtin-wordnet.js";
import { columnRoles } from "./column-roles.js";
import { SEPARATORS, Table } from "./csv-format.js";
import { type CardFiles, readDatasetCard } from "./dataset-card.js";
import { holdOut } from "./hold-out.js";
import { Faults, JsonLines, readJson } from "./jsonl-format.js";
import { markdownDocuments } from "./markdown-format.js";
import { openParquet } from "./parquet-format.js";
import { Records } from "./record-parts.js";
import {
  asAsked,
  asConversation,
  type DataKind,
  type DataRecord,
  describePlace,
  hasContext,
  NEWEST_RULES,
  type ReadingRules,
  RecordReader,
} from "./records.js";
import { Sampling } from "./sampling.js";
import { type SplitFiles, splitFiles, splitWholeNames } from "./split-files.js";
import { DOCUMENT_MARK, DocumentSplitter, type DocumentUnit, textDocuments } from "./text-format.js";
import { isCompressed, openText, type TextReading, wholeText, withoutCompression } from "./text-parts.js";

/** A source of records to train on and records held out, all of one kind. */
interface DataSource<R> {
  /** The source as given. */
  readonly name: string;
  readonly format: DataFormat;
  readonly kind: DataKind;
  /** A record: a sample, or the part of a text that is a document. */
  readonly unit: "sample" | "document" | "section" | DocumentUnit;
  readonly train: R;
  /** Empty if the source has only one record, or if the fraction is 0. */
  readonly validation: R;
  /** Share of the files that was read: below 1 where a sample was asked for. */
  readonly share: number;
  readonly unused: UnusedData;
}

/** A dataset in memory. */
export type Dataset = DataSource<DataRecord[]>;

/** A dataset of any size. */
export type OpenDataset = DataSource<Records>;

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
  /** Called while a large source is gone through, each time that it is, with the share that has been, from 0 to 1. */
  onProgress?: (share: number) => void;
  /** True if records may ask without an answer, which is empty then. Default false. */
  isAsking?: boolean;
}

const BUILTINS: ReadonlyMap<string, () => Promise<string[]>> = new Map([["wordnet", loadWordNet]]);

/** The way in which files are read. */
interface Reading extends TextReading {
  readonly unit: DocumentUnit | null;
  /** By path, whether a text has a mark between its documents, once it has been gone through for it. */
  readonly marks: Map<string, boolean>;
}

/** Gives the records of a file, some at a time. */
type FileReader = (path: string, reader: RecordReader, reading: Reading) => AsyncIterable<readonly DataRecord[]>;

/** By extension, before that of a compression. */
const FILE_READERS: Readonly<Record<string, FileReader>> = {
  ".txt": documentsOf(async function* (path, reading) {
    const { parts, includes } = await openText(path, reading, "characters");
    const isMarked = reading.marks.get(path) ?? (await includes(DOCUMENT_MARK));
    reading.marks.set(path, isMarked);
    const splitter = new DocumentSplitter(path, reading.unit ?? "paragraph", isMarked);
    for await (const part of parts()) yield splitter.take(part);
    yield splitter.end();
  }),
  ".md": documentsOf(async function* (path, reading) {
    const text = await wholeText(path, reading, "characters");
    const { unit } = reading;
    yield unit === null ? markdownDocuments(text) : textDocuments(text, unit);
  }),
  ".jsonl": async function* (path, reader, reading) {
    const { parts } = await openText(path, reading, "lines");
    const lines = new JsonLines(path, (fields, number): DataRecord => {
      return { place: { path, unit: "line", number }, ...reader.read(fields, path) };
    });
    for await (const part of parts()) yield lines.take(part);
    yield lines.end();
  },
  ".json": async function* (path, reader, reading) {
    yield readJson(await wholeText(path, reading, null), path, (fields, unit, number): DataRecord => {
      return { place: { path, unit, number }, ...reader.read(fields, path) };
    });
  },
  ".csv": tableOf(SEPARATORS[".csv"]),
  ".tsv": tableOf(SEPARATORS[".tsv"]),
  ".parquet": async function* (path, reader, { sampling, onBytes = () => {} }) {
    const { unread, share, count, parts, close } = await openParquet(
      path,
      [...reader.columns.values()],
      sampling.share,
    );
    try {
      const size = await fileSize(path);
      sampling.note(size, share);
      reader.leaveOut(unread);
      const faults = new Faults();
      let done = 0;
      for await (const rows of parts()) {
        yield rowsAsRecords(rows, { path, before: done, reader, faults });
        done += rows.length;
        onBytes((size * done) / count);
      }
      faults.requireNone("rows");
    } finally {
      close();
    }
  },
};

/** Extensions that version 1 of the rules knew. */
const FIRST_EXTENSIONS: readonly string[] = [".txt", ".md", ".jsonl", ".parquet"];

/** Formats whose files may be compressed. */
const COMPRESSIBLE: readonly string[] = [".jsonl", ".json", ".csv", ".tsv", ".txt"];

/** The split of a source that names none, where no other is asked for. */
export const DEFAULT_SPLIT = { validationFraction: 0.02, seed: 0 } as const;

/** Twice as much text and the records that it is made of fit any machine. */
const HELD_BYTES = 2 ** 26;

/** Bytes that one of a compressed file may stand for, usually. */
const COMPRESSION_RATIO = 4;

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
  requireArguments("loadDataset", { source: TEXT, options: OBJECT }, { source, options });
  const { validationFraction = DEFAULT_SPLIT.validationFraction, seed = DEFAULT_SPLIT.seed } = options;
  const dataset = await holdOut(await openDataset(source, options), { validationFraction, seed });
  return { ...dataset, train: await dataset.train.all(), validation: await dataset.validation.all() };
}

/**
 * As `loadDataset`, of any size, with nothing held out but what the files say.
 * @param heldBytes of files whose records are held in memory; those of larger ones are read each time they are gone
 * through.
 * @throws DataError as `loadDataset`.
 */
export async function openDataset(
  source: string,
  options: DatasetOptions = {},
  heldBytes: number = HELD_BYTES,
): Promise<OpenDataset> {
  const { rules = NEWEST_RULES, document = null, config = null } = options;
  if (source.startsWith("builtin:")) {
    const train = Records.of(textRecords(source, await loadBuiltin(source)));
    const unused = { files: [], keys: [] };
    const facts = { name: source, format: "builtin", kind: "text", unit: "document", share: 1, unused } as const;
    return { ...facts, train, validation: Records.of([]) };
  }
  if (!(await exists(source))) {
    throw new DataError(`${source}: there is no such file or folder; check the path, or use ${builtinNames()}`);
  }
  const newReader = (): RecordReader => new RecordReader(rules, columnRoles(options.columns ?? []), options.isAsking);
  const reader = newReader();
  const isFile = !(await isDirectory(source));
  const files = isFile ? { train: [source], validation: [], leftOut: [] } : await dataFilesIn(source, rules, config);
  const paths = [...files.train, ...files.validation];
  for (const path of paths) requireDataFile(path);
  const bytes = await bytesOf(paths);
  const sampling = new Sampling(shareOf(bytes, options.sampleAbove ?? null));
  const isHeld = bytes * sampling.share <= heldBytes;
  const found: FoundRecords = { kind: undefined, haveContext: false };
  const marks = new Map<string, boolean>();
  const open = async (names: readonly string[]): Promise<Records> => {
    const held: DataRecord[] = [];
    const stamps = await stampsOf(names);
    let count = 0;
    const onProgress = isHeld ? undefined : options.onProgress;
    for await (const part of recordsIn(names, reader, { unit: document, sampling, marks }, onProgress)) {
      count += part.length;
      found.kind ??= part[0]?.kind;
      found.haveContext ||= part.some(hasContext);
      if (isHeld) append(held, part);
    }
    if (count === 0) throw new DataError(`${names.join(", ")}: no text in it; name a file with some`);
    if (isHeld) return Records.of(held);
    return Records.from(count, async function* () {
      await requireUnchanged(source, names, stamps);
      const reading = { unit: document, sampling: new Sampling(sampling.share), marks };
      yield* recordsIn(names, newReader(), reading, onProgress);
      await requireUnchanged(source, names, stamps);
    });
  };
  const train = await open(files.train);
  const validation = files.validation.length === 0 ? Records.of([]) : await open(files.validation);
  reader.requireAllSeen();
  const kind = found.haveContext ? "messages" : found.kind!;
  const asFound = (records: Records): Records => (found.haveContext ? records.map(asConversation) : records);
  return {
    name: source,
    format: isFile ? (formatOf(source).slice(1) as DataFormat) : "folder",
    kind,
    unit: unitOf(kind, paths, document),
    share: sampling.done,
    train: asFound(train),
    validation: asFound(validation),
    unused: { files: files.leftOut, keys: [...reader.unused].sort() },
  };
}

/** The facts of a source's records that have been read. */
interface FoundRecords {
  kind: DataKind | undefined;
  /** True if one of them is an instruction that has more than a question and an answer. */
  haveContext: boolean;
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
export function asAskedOf(dataset: OpenDataset, tokenizer: Tokenizer | null | undefined): OpenDataset {
  if (dataset.kind !== "question-answer") return dataset;
  const hasTemplate = tokenizer !== null && tokenizer !== undefined && ChatTemplate.of(tokenizer) !== null;
  const kind = hasTemplate ? "messages" : "prompt-completion";
  const asTaken = (records: Records): Records => records.map((record) => asAsked(record, hasTemplate));
  return { ...dataset, kind, train: asTaken(dataset.train), validation: asTaken(dataset.validation) };
}

/** Bytes of a sample. */
const SAMPLE_BYTES = 2 ** 21;

/** Bytes of files; of compressed ones about those of their content. */
async function bytesOf(paths: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const path of paths) bytes += (await fileSize(path)) * (isCompressed(path) ? COMPRESSION_RATIO : 1);
  return bytes;
}

function shareOf(bytes: number, sampleAbove: number | null): number {
  return sampleAbove === null || bytes <= sampleAbove ? 1 : Math.min(1, SAMPLE_BYTES / bytes);
}

/** The word for a record of these files. */
function unitOf(kind: DataKind, files: readonly string[], document: DocumentUnit | null): Dataset["unit"] {
  if (kind !== "text") return "sample";
  const formats = new Set(files.map(formatOf));
  const [format] = formats;
  if (formats.size > 1 || (format !== ".txt" && format !== ".md")) return "document";
  return document ?? (format === ".txt" ? "paragraph" : "section");
}

function textRecords(path: string, documents: readonly string[], before = 0): DataRecord[] {
  return documents.map((text, index) => ({
    place: { path, unit: "document", number: before + index + 1 },
    kind: "text",
    text,
  }));
}

function documentsOf(parse: (path: string, reading: Reading) => AsyncIterable<readonly string[]>): FileReader {
  return async function* (path, reader, reading) {
    let count = 0;
    for await (const documents of parse(path, reading)) {
      if (reader.kind !== undefined && reader.kind !== "text") {
        throw new DataError(`${path}: is text, but the files before it are ${reader.kind}; one source has one kind`);
      }
      for (const text of documents.slice(0, 1)) reader.read({ text }, path);
      yield textRecords(path, documents, count);
      count += documents.length;
    }
  };
}

function tableOf(separator: string): FileReader {
  return async function* (path, reader, reading) {
    const read = (fields: Readonly<Record<string, string>>, number: number): DataRecord => {
      return { place: { path, unit: "line", number }, ...reader.read(fields, path) };
    };
    // Where the columns make no kind of data, they do so in no row.
    const table = new Table(path, separator, read, () => reader.kind !== undefined);
    // A line break may stand inside a value, so only the beginning tells where rows begin.
    const { parts } = await openText(path, reading, "end");
    for await (const part of parts()) yield table.take(part);
    yield table.end();
  };
}

/** The records of a table's rows, of which so many came before; the faults of others are added. */
function rowsAsRecords(
  rows: readonly Readonly<Record<string, unknown>>[],
  { path, before, reader, faults }: { path: string; before: number; reader: RecordReader; faults: Faults },
): DataRecord[] {
  const records: DataRecord[] = [];
  for (const [index, fields] of rows.entries()) {
    const place = { path, unit: "row", number: before + index + 1 } as const;
    try {
      records.push({ place, ...reader.read(fields, path) });
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      faults.add(`${describePlace(place)}: ${error.text}`);
    }
  }
  return records;
}

async function loadBuiltin(source: string): Promise<string[]> {
  const load = BUILTINS.get(source.slice("builtin:".length));
  if (load === undefined) throw new DataError(`${source}: there is no such built-in text; there is ${builtinNames()}`);
  return load();
}

function builtinNames(): string {
  return [...BUILTINS.keys()].map((name) => `builtin:${name}`).join(", ");
}

/** Formats of records, in the groups that are one to `datasets`. */
const RECORD_FORMATS: readonly (readonly string[])[] = [[".jsonl", ".json"], [".csv", ".tsv"], [".parquet"]];

/** @throws DataError for records in several formats, of which `datasets` takes one: often they are the same data. */
function requireOneFormat(where: string, files: readonly string[]): void {
  const examples = RECORD_FORMATS.flatMap((group) => files.find((file) => group.includes(formatOf(file))) ?? []);
  if (examples.length < 2) return;
  throw new DataError(
    `${where}: holds data in several formats, such as ${examples.join(" and ")}; name one of the files, keep one ` +
      "format in the folder, or say in README.md which files are the data (configs, data_files)",
  );
}

/** The extension that decides how a file is read: that before `.gz` or `.zst`. */
function formatOf(path: string): string {
  const inner = extension(withoutCompression(path));
  return !isCompressed(path) || COMPRESSIBLE.includes(inner) ? inner : extension(path);
}

/** True if the name is that of a file that is read. */
export function isDataFile(path: string): boolean {
  return Object.hasOwn(FILE_READERS, formatOf(path));
}

function requireDataFile(path: string): void {
  if (isDataFile(path)) return;
  throw new DataError(`${path}: the name must end in ${formatNames()}; rename or convert the file`);
}

async function stampsOf(paths: readonly string[]): Promise<string> {
  return (await Promise.all(paths.map(fileStamp))).join();
}

/** @throws DataError if one of the files has been written to since it had its stamp. */
async function requireUnchanged(source: string, paths: readonly string[], stamps: string): Promise<void> {
  if ((await stampsOf(paths)) === stamps) return;
  throw new DataError(`${source}: was changed while it was read; do not write into data while a run prepares`);
}

/** The records of files, some at a time. */
async function* recordsIn(
  paths: readonly string[],
  reader: RecordReader,
  reading: Reading,
  onProgress: (share: number) => void = () => {},
): AsyncGenerator<readonly DataRecord[], void> {
  const total = await bytesOf(paths);
  let before = 0;
  for (const path of paths) {
    const onBytes = (done: number): void => onProgress((before + done) / total);
    for await (const part of FILE_READERS[formatOf(path)]!(path, reader, { ...reading, onBytes })) {
      yield part.filter((record) => record.kind !== "text" || record.text.trim() !== "");
    }
    before += await bytesOf([path]);
    onProgress(before / total);
  }
}

function formatNames(): string {
  return Object.keys(FILE_READERS).join(", ");
}

/**
 * Paths of a folder's data files, on the sides of the split. Folders of runs in it are passed over: a run may be
 * written where its data lie.
 * @throws DataError if there is none, or none to train on, and for the folder of a run.
 */
export async function dataFilesIn(folder: string, rules: ReadingRules, config: string | null): Promise<SplitFiles> {
  const isRun = (names: readonly string[]): boolean => rules > 2 && names.includes(RUN_SETTINGS);
  if (rules > 4 && (await exists(joinPath(folder, RUN_SETTINGS)))) {
    throw new DataError(`${folder}: is the folder of a run, which holds no data; name the data that it was trained on`);
  }
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
  for (const side of rules > 4 && card?.splits == null ? [train, validation] : []) requireOneFormat(where, side);
  if (train.length > 0) return { train, validation, leftOut };
  const others = (validation.length > 0 ? validation : leftOut).map(baseName).join(", ");
  throw new DataError(`${where}: there is only ${others}; add files to train on, or name one of these`);
}
