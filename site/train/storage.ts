import {
  exists,
  fileAt,
  fileSize,
  filesBelow,
  isDirectory,
  listFolder,
  makeFolder,
  readText,
  removeTree,
} from "../../dist/platform/browser-files.js";
import { acquireLock } from "../../dist/platform/browser-lock.js";
import { joinPath } from "../../dist/platform/browser-paths.js";
import { writeFileAtomic, writeFolderAtomic } from "../../dist/platform/browser-writes.js";

// The site's private files, in which highrank reads data and models and writes runs.

export { acquireLock, exists, isDirectory, joinPath, listFolder, readText, removeTree, writeFolderAtomic };

export const DATA = "/data";
export const MODELS = "/models";
export const RUNS = "/runs";
/** Of files that are made to be saved elsewhere. */
export const DOWNLOADS = "/downloads";

const PIECE_BYTES = 2 ** 22;

/** Writes a file, in one step where another of its name is there; folders above it are made. */
export async function store(path: string, content: Blob | AsyncIterable<Uint8Array>, onBytes = (_count: number) => {}) {
  await makeFolder(path.slice(0, path.lastIndexOf("/")));
  await writeFileAtomic(path, counted(content instanceof Blob ? piecesOf(content) : content, onBytes));
}

async function* counted(pieces: AsyncIterable<Uint8Array>, onBytes: (count: number) => void) {
  for await (const piece of pieces) {
    yield piece;
    onBytes(piece.length);
  }
}

async function* piecesOf(blob: Blob): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < blob.size; from += PIECE_BYTES) {
    yield new Uint8Array(await blob.slice(from, from + PIECE_BYTES).arrayBuffer());
  }
}

export async function fileOf(path: string): Promise<File> {
  return (await (await fileAt(path)).getFile()) as unknown as File;
}

/** Names of what is in a folder, but for what begins with a dot; none if it is not there. */
export async function namesIn(folder: string): Promise<string[]> {
  if (!(await isDirectory(folder))) return [];
  return (await listFolder(folder)).filter((name) => !name.startsWith("."));
}

/** Paths of all files of a folder below the top, without what a write left half done. */
export async function pathsBelow(folder: string): Promise<string[]> {
  if (!(await isDirectory(folder))) return [];
  const below = await filesBelow(folder, (name) => name.startsWith("."));
  return below.map((path) => joinPath(folder, path));
}

export async function bytesBelow(folder: string): Promise<number> {
  let bytes = 0;
  for (const path of await pathsBelow(folder)) bytes += await fileSize(path);
  return bytes;
}

/** What of a name may be the name of a file anywhere. */
export function fileName(name: string): string {
  return name
    .normalize("NFC")
    .replace(/[^\p{L}\p{N}._-]+/gu, "-")
    .replace(/^[.-]+|[.-]+$/g, "")
    .slice(0, 60);
}

/** Saves a file where the browser keeps downloads. */
export function save(file: Blob, name: string): void {
  const address = URL.createObjectURL(file);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
