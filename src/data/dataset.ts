import { baseName, exists, extension, filesBelow, isDirectory, joinPath, readText } from "#platform";
import { DataError } from "../base/errors.js";
import { loadWordNet } from "./builtin-wordnet.js";
import { splitDocuments } from "./document-split.js";
import { readJsonLines, requireNoFaults } from "./jsonl-format.js";
import { markdownDocuments } from "./markdown-format.js";
import { readParquet } from "./parquet-format.js";
import { type DataKind, type DataRecord, describePlace, identityOf, RecordReader } from "./records.js";
import { textDocuments } from "./text-format.js";

/** Records to train on and records held out, all of one kind. */
export interface Dataset {
  /** The source as given. */
  readonly name: string;
  readonly format: DataFormat;
  readonly kind: DataKind;
  readonly train: DataRecord[];
  /** Empty if the source has only one record, or if the fraction is 0. */
  readonly validation: DataRecord[];
}

export type DataFormat = "builtin" | "folder" | "txt" | "md" | "jsonl" | "parquet";

export interface DatasetOptions {
  /** Share of the records to hold out, from 0 to below 1; not used if a folder names its own split. */
  validationFraction?: number;
  /** Determines which records are held out. */
  seed?: number;
}

const BUILTINS: ReadonlyMap<string, () => Promise<string[]>> = new Map([["wordnet", loadWordNet]]);

type FileReader = (path: string, reader: RecordReader) => Promise<DataRecord[]>;

const FILE_READERS: Readonly<Record<string, FileReader>> = {
  ".txt": documentsOf(textDocuments),
  ".md": documentsOf(markdownDocuments),
  ".jsonl": async (path, reader) =>
    readJsonLines(await plainText(path), path, (fields, number) => {
      return { place: { path, unit: "line", number }, ...reader.read(fields) };
    }),
  ".parquet": async (path, reader) => {
    const records: DataRecord[] = [];
    const faults: string[] = [];
    for (const [index, fields] of (await readParquet(path)).entries()) {
      const place = { path, unit: "row", number: index + 1 } as const;
      try {
        records.push({ place, ...reader.read(fields) });
      } catch (error) {
        if (!(error instanceof DataError)) throw error;
        faults.push(`${describePlace(place)}: ${error.message}`);
      }
    }
    requireNoFaults(faults, "rows");
    return records;
  },
};

/** File names, without extension, that put a file on one side of the split. Files named for tests are left out. */
const SIDES: ReadonlyMap<string, "train" | "validation" | "test"> = new Map([
  ["train", "train"],
  ["valid", "validation"],
  ["validation", "validation"],
  ["test", "test"],
]);

/**
 * Reads data to train on.
 * - `.txt`: documents are paragraphs, or the texts between `<|endoftext|>` marks (`textDocuments`).
 * - `.md`: documents are sections (`markdownDocuments`).
 * - `.jsonl`: each line is an object and one record; `.parquet`: each row is one record. Its keys determine the kind:
 *   `input_ids`; `messages`; `prompt` and `completion`; `instruction` and `output`; or `text`.
 * - a folder: all of these in it and below, by path in code unit order, except hidden ones; no link may lead out of it.
 *   Files named train, valid or validation, and test make the split, as in mlx-lm; without a file for validation the
 *   training files are split.
 * - `builtin:wordnet`: WordNet 3.1 as sentences (`loadWordNet`).
 * @throws DataError naming the path and the way out if there is nothing to read, or it is not such data, or of several
 * kinds.
 */
export async function loadDataset(source: string, options: DatasetOptions = {}): Promise<Dataset> {
  const { validationFraction = 0.02, seed = 0 } = options;
  const split = (records: DataRecord[]) => splitDocuments(records, { validationFraction, seed }, identityOf);

  if (source.startsWith("builtin:")) {
    const records = textRecords(source, await loadBuiltin(source));
    return { name: source, format: "builtin", kind: "text", ...split(records) };
  }
  if (!(await exists(source))) {
    throw new DataError(`${source}: there is no such file or folder; check the path, or use ${builtinNames()}`);
  }
  const reader = new RecordReader();
  if (!(await isDirectory(source))) {
    const records = await loadFiles([source], reader);
    return { name: source, format: extension(source).slice(1) as DataFormat, kind: kindOf(records), ...split(records) };
  }
  const files = await filesToTrainFrom(source);
  const train = await loadFiles(files.train, reader);
  const found = { name: source, format: "folder", kind: kindOf(train) } as const;
  if (files.validation.length === 0) return { ...found, ...split(train) };
  return { ...found, train, validation: await loadFiles(files.validation, reader) };
}

function kindOf(records: readonly DataRecord[]): DataKind {
  return records[0]!.kind;
}

function textRecords(path: string, documents: readonly string[]): DataRecord[] {
  return documents.map((text, index) => ({ place: { path, unit: "document", number: index + 1 }, kind: "text", text }));
}

function documentsOf(parse: (text: string) => string[]): FileReader {
  return async (path, reader) => {
    const documents = parse(await plainText(path));
    if (reader.kind !== undefined && reader.kind !== "text") {
      throw new DataError(`${path}: is text, but the files before it are ${reader.kind}; one source has one kind`);
    }
    for (const text of documents.slice(0, 1)) reader.read({ text });
    return textRecords(path, documents);
  };
}

async function plainText(path: string): Promise<string> {
  const text = await readText(path);
  if (text.includes("\0")) throw new DataError(`${path}: holds zero bytes, so it is not text; name a text file`);
  return text;
}

async function loadBuiltin(source: string): Promise<string[]> {
  const load = BUILTINS.get(source.slice("builtin:".length));
  if (load === undefined) throw new DataError(`${source}: there is no such built-in text; there is ${builtinNames()}`);
  return load();
}

function builtinNames(): string {
  return [...BUILTINS.keys()].map((name) => `builtin:${name}`).join(", ");
}

function isDataFile(path: string): boolean {
  return Object.hasOwn(FILE_READERS, extension(path));
}

async function loadFile(path: string, reader: RecordReader): Promise<DataRecord[]> {
  if (!isDataFile(path)) {
    throw new DataError(`${path}: the name must end in ${formatNames()}; rename or convert the file`);
  }
  const records = await FILE_READERS[extension(path)]!(path, reader);
  return records.filter((record) => record.kind !== "text" || record.text.trim() !== "");
}

function formatNames(): string {
  return Object.keys(FILE_READERS).join(", ");
}

/** @throws DataError if all the files together hold nothing. */
async function loadFiles(paths: readonly string[], reader: RecordReader): Promise<DataRecord[]> {
  const records: DataRecord[] = [];
  for (const path of paths) {
    for (const record of await loadFile(path, reader)) records.push(record);
  }
  if (records.length === 0) throw new DataError(`${paths.join(", ")}: no text in it; name a file with some`);
  return records;
}

async function filesToTrainFrom(folder: string): Promise<{ train: string[]; validation: string[] }> {
  const paths = await dataFilesBelow(folder);
  if (paths.length === 0) {
    throw new DataError(
      `${folder}: the folder has no file whose name ends in ${formatNames()}; add one or name another`,
    );
  }
  const ofSide = (side: string | undefined) => paths.filter((path) => SIDES.get(stem(path)) === side);
  const [named, validation] = [ofSide("train"), ofSide("validation")];
  if (named.length === 0 && validation.length === 0) return { train: paths, validation };
  const train = named.length > 0 ? named : ofSide(undefined);
  if (train.length > 0) return { train, validation };
  throw new DataError(`${folder}: there is only ${validation.map(baseName).join(", ")}; add files to train on`);
}

function stem(path: string): string {
  return baseName(path).slice(0, -extension(path).length).toLowerCase();
}

async function dataFilesBelow(folder: string): Promise<string[]> {
  const files = await filesBelow(folder, (name) => name.startsWith("."));
  return files.filter(isDataFile).map((file) => joinPath(folder, file));
}
