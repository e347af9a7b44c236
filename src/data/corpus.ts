import { baseName, exists, extension, filesBelow, isDirectory, joinPath, readText } from "#platform";
import { DataError } from "../tensor/errors.js";
import { loadWordNet } from "./builtin-wordnet.js";
import { splitDocuments } from "./document-split.js";
import { jsonlDocuments } from "./jsonl-format.js";
import { markdownDocuments } from "./markdown-format.js";
import { textDocuments } from "./text-format.js";

/** Texts to train on and texts held out. */
export interface Corpus {
  /** The source as it was given. */
  readonly name: string;
  readonly format: CorpusFormat;
  readonly train: string[];
  /** Empty when the source has only one document, or when the fraction is 0. */
  readonly validation: string[];
}

export type CorpusFormat = "builtin" | "folder" | "txt" | "md" | "jsonl";

export interface CorpusOptions {
  /** Share of the documents that is held out, from 0 to below 1; not used where a folder names its own split. */
  validationFraction?: number;
  /** Fixes which documents are held out. */
  seed?: number;
}

const BUILTINS: ReadonlyMap<string, () => Promise<string[]>> = new Map([["wordnet", loadWordNet]]);

const FILE_FORMATS: Readonly<Record<string, (text: string, path: string) => string[]>> = {
  ".txt": textDocuments,
  ".md": markdownDocuments,
  ".jsonl": jsonlDocuments,
};

/** File names, less their extension, that say which side of the split a file is. Files named for tests are left out. */
const SIDES: ReadonlyMap<string, "train" | "validation" | "test"> = new Map([
  ["train", "train"],
  ["valid", "validation"],
  ["validation", "validation"],
  ["test", "test"],
]);

/**
 * Reads text to train on.
 * - `.txt`: documents are paragraphs, or what `<|endoftext|>` separates (`textDocuments`).
 * - `.md`: documents are sections (`markdownDocuments`).
 * - `.jsonl`: each line an object with a string `text`, one document.
 * - a folder: all of these in it and below, by path in code unit order, hidden ones aside; no link may lead out of it. Files named train, valid or
 *   validation, and test make the split, as mlx-lm has it; without a file for validation the training files are split.
 * - `builtin:wordnet`: WordNet 3.1 as sentences (`loadWordNet`).
 * @throws DataError that names the path and the way out when there is nothing to read, or it is not such text.
 */
export async function loadCorpus(source: string, options: CorpusOptions = {}): Promise<Corpus> {
  const { validationFraction = 0.02, seed = 0 } = options;
  const split = (documents: string[]) => splitDocuments(documents, { validationFraction, seed });

  if (source.startsWith("builtin:")) {
    return { name: source, format: "builtin", ...split(await loadBuiltin(source)) };
  }
  if (!(await exists(source))) {
    throw new DataError(`${source}: there is no such file or folder; check the path, or use ${builtinNames()}`);
  }
  if (!(await isDirectory(source))) {
    const documents = await loadFiles([source]);
    return { name: source, format: extension(source).slice(1) as CorpusFormat, ...split(documents) };
  }
  const files = await filesToTrainFrom(source);
  const train = await loadFiles(files.train);
  if (files.validation.length === 0) return { name: source, format: "folder", ...split(train) };
  return { name: source, format: "folder", train, validation: await loadFiles(files.validation) };
}

async function loadBuiltin(source: string): Promise<string[]> {
  const load = BUILTINS.get(source.slice("builtin:".length));
  if (load === undefined) throw new DataError(`${source}: there is no such built-in text; there is ${builtinNames()}`);
  return load();
}

function builtinNames(): string {
  return [...BUILTINS.keys()].map((name) => `builtin:${name}`).join(", ");
}

async function loadFile(path: string): Promise<string[]> {
  const parse = FILE_FORMATS[extension(path)];
  if (parse === undefined) {
    throw new DataError(`${path}: the name must end in ${formatNames()}; rename or convert the file`);
  }
  const text = await readText(path);
  if (text.includes("\0")) throw new DataError(`${path}: holds zero bytes, so it is not text; name a text file`);
  return parse(text, path);
}

function formatNames(): string {
  return Object.keys(FILE_FORMATS).join(", ");
}

/** @throws DataError when all of the files together hold no text. */
async function loadFiles(paths: readonly string[]): Promise<string[]> {
  const documents: string[] = [];
  for (const path of paths) {
    for (const document of await loadFile(path)) documents.push(document);
  }
  if (documents.length === 0) throw new DataError(`${paths.join(", ")}: no text in it; name a file with some`);
  return documents;
}

async function filesToTrainFrom(folder: string): Promise<{ train: string[]; validation: string[] }> {
  const paths = await textFilesBelow(folder);
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

async function textFilesBelow(folder: string): Promise<string[]> {
  const files = await filesBelow(folder, (name) => name.startsWith("."));
  return files.filter((file) => extension(file) in FILE_FORMATS).map((file) => joinPath(folder, file));
}
