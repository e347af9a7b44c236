import { DataError, DeviceError, HighrankError } from "../base/errors.js";
import { type AccessHandle, browser, type FileHandle, type FolderHandle, type StoredFile } from "./browser-globals.js";
import { oneAtATime } from "./browser-lock.js";
import { absolutePath, baseName, folderOf, isWithin, joinPath } from "./browser-paths.js";
import { isNowhere, readFault, taken, writeFault } from "./file-faults.js";
import type { FileReader } from "./node-files.js";
import { decodeText, listBelow, requireTextSize } from "./stored-files.js";

// The files of a page: its site's private file system (OPFS), which no other site and no program sees.

/** Bytes that are read or copied at once. */
export const PIECE_BYTES: number = 2 ** 24;

/** The longest string that the engines make. */
const MAX_TEXT_LENGTH = 2 ** 29 - 24;

/** Codes of the operating system that mean what a browser's faults of files do. */
const CODES: Readonly<Record<string, string>> = {
  NotFoundError: "ENOENT",
  TypeMismatchError: "ENOTDIR",
  TypeError: "ENOENT", // a name that no file can have
  InvalidModificationError: "ENOTEMPTY",
  QuotaExceededError: "EDQUOT",
  NoModificationAllowedError: "EACCES",
  NotAllowedError: "EACCES",
  NotReadableError: "EIO",
};

/** The error with the code of the operating system that means the same. */
function coded(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof HighrankError) return error;
  const code = CODES[error.name];
  return code === undefined ? error : Object.assign(new Error(error.message, { cause: error }), { code });
}

/** Works on a file system, with its faults in our words. */
async function reading<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw readFault(path, coded(error));
  }
}

/** The same for what writes. */
export async function writing<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw writeFault(path, coded(error));
  }
}

/** The result; null where the path leads nowhere. */
async function orNull<T>(work: Promise<T>): Promise<T | null> {
  return work.catch((error: unknown) => {
    if (isNowhere(coded(error))) return null;
    throw error;
  });
}

/** A folder, which with `create` is made if missing. Throws the browser's own errors, as do all that give handles. */
export async function folderAt(path: string, create = false): Promise<FolderHandle> {
  if (browser.navigator.storage?.getDirectory === undefined) {
    throw new DeviceError("this page has no files: a browser gives them only to pages over HTTPS or from localhost");
  }
  let folder = await browser.navigator.storage.getDirectory();
  for (const name of absolutePath(path).split("/")) {
    if (name !== "") folder = await folder.getDirectoryHandle(name, { create });
  }
  return folder;
}

export async function fileAt(path: string, create = false): Promise<FileHandle> {
  return (await folderAt(folderOf(absolutePath(path)))).getFileHandle(baseName(path), { create });
}

/** A file open for writing. Of one file, one may be open. */
interface OpenFile {
  readonly size: number;
  write(bytes: Uint8Array, at: number): Promise<void>;
  truncate(length: number): Promise<void>;
  /** Makes all of it durable. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** @param keeps false empties a file that is there. */
async function openForWriting(handle: FileHandle, keeps: boolean): Promise<OpenFile> {
  if (handle.createSyncAccessHandle !== undefined) {
    const access = await handle.createSyncAccessHandle();
    if (!keeps) access.truncate(0);
    return {
      size: access.getSize(),
      write: async (bytes, at) => writeFully(access, bytes, at),
      truncate: async (length) => access.truncate(length),
      flush: async () => access.flush(),
      close: async () => access.close(),
    };
  }
  const { size } = await handle.getFile();
  const copy = await handle.createWritable({ keepExistingData: keeps });
  return {
    size: keeps ? size : 0,
    write: (data, position) => copy.write({ type: "write", position, data }),
    truncate: (length) => copy.truncate(length),
    flush: async () => {},
    close: () => copy.close(),
  };
}

function writeFully(access: AccessHandle, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length; ) {
    const count = access.write(done === 0 ? bytes : bytes.subarray(done), { at: at + done });
    if (count === 0) throw Object.assign(new Error("nothing was written"), { name: "QuotaExceededError" });
    done += count;
  }
}

/** Writes a new file, or replaces the content of one, durably but not in one step. */
export async function writeChunks(
  handle: FileHandle,
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const file = await openForWriting(handle, false);
  try {
    let at = 0;
    for await (const chunk of chunks) {
      await file.write(chunk, at);
      at += chunk.length;
    }
    await file.flush();
  } finally {
    await file.close();
  }
}

/** Opens a file of any size, to read parts of it. @throws DataError if it cannot be opened. */
export async function openForReading(path: string): Promise<FileReader> {
  const open = (): Promise<StoredFile> => reading(path, async () => (await fileAt(path)).getFile());
  let file = await open();
  const { size } = file;
  const bytes = async (from: number, to: number) => new Uint8Array(await file.slice(from, to).arrayBuffer());
  const read = async (offset: number, length: number): Promise<Uint8Array> => {
    if (offset + length > size) {
      throw new DataError(`cannot read ${path}: it ends at byte ${size}, before byte ${offset + length}`);
    }
    return bytes(offset, offset + length).catch(async () => {
      // It was written to since, as a file is that grows.
      file = await open();
      return reading(path, () => bytes(offset, offset + length));
    });
  };
  return {
    size,
    read,
    readInto: async (target, offset) => {
      for (let done = 0; done < target.length; done += PIECE_BYTES) {
        target.set(await read(offset + done, Math.min(PIECE_BYTES, target.length - done)), done);
      }
    },
    close: async () => {},
  };
}

/** Reads a whole file. @throws DataError if it cannot be read. */
export async function readBytes(path: string): Promise<Uint8Array> {
  const reader = await openForReading(path);
  return reader.read(0, reader.size);
}

/**
 * Reads a whole file as text, without a byte order mark.
 * @param options.maxBytes largest size of the file, at most 512 MiB.
 * @throws DataError if it cannot be read, is not UTF-8 or too long.
 */
export async function readText(
  path: string,
  { maxBytes = MAX_TEXT_LENGTH }: { maxBytes?: number } = {},
): Promise<string> {
  requireTextSize(path, await fileSize(path), maxBytes);
  return decodeText(path, await readBytes(path));
}

/** A file that grows by appends. One that fails leaves the file unchanged. */
export class AppendedFile {
  /**
   * Appends bytes, or text as UTF-8, to the file at the path, which is created if missing.
   * @returns the length of the file before.
   * @throws CheckpointError
   */
  append(path: string, content: Uint8Array | string): Promise<number> {
    return writing(path, async () => {
      const file = await openForWriting(await fileAt(path, true), true);
      try {
        await file.write(typeof content === "string" ? new TextEncoder().encode(content) : content, file.size);
      } catch (error) {
        await file.truncate(file.size);
        throw error;
      } finally {
        await file.close();
      }
      return file.size;
    });
  }

  /** Nothing stays open: of a file, one handle may write, and others sync and replace it. */
  async close(): Promise<void> {}
}

/** Appends `line` and a newline to the file like an {@link AppendedFile}. */
export async function appendLine(path: string, line: string): Promise<void> {
  await new AppendedFile().append(path, `${line}\n`);
}

/** Makes the file durable. @throws CheckpointError if there is no such file. */
export async function syncFile(path: string): Promise<void> {
  await writing(path, async () => {
    const file = await openForWriting(await fileAt(path), true);
    await file.flush();
    await file.close();
  });
}

/**
 * Names (not paths) of everything in the folder, sorted by code unit.
 * @throws DataError if it is not a readable folder.
 */
export function listFolder(path: string): Promise<string[]> {
  return reading(path, async () => namesIn(await folderAt(path)));
}

export async function namesIn(folder: FolderHandle): Promise<string[]> {
  const names: string[] = [];
  for await (const name of folder.keys()) names.push(name);
  return names.sort();
}

/** True if there is a file or folder at the path. @throws DataError if that cannot be determined. */
export async function exists(path: string): Promise<boolean> {
  return (await isDirectory(path)) || (await reading(path, () => orNull(fileAt(path)))) !== null;
}

/** True if there is a folder at the path; false if there is nothing. @throws DataError if that cannot be determined. */
export async function isDirectory(path: string): Promise<boolean> {
  return (await reading(path, () => orNull(folderAt(path)))) !== null;
}

/** A text that is another once the file has been written to, or replaced. @throws DataError if it is not there. */
export async function fileStamp(path: string): Promise<string> {
  const { size, lastModified } = await reading(path, async () => (await fileAt(path)).getFile());
  return `${size}:${lastModified}`;
}

/** Length in bytes. @throws DataError if there is no such file. */
export async function fileSize(path: string): Promise<number> {
  return (await reading(path, async () => (await fileAt(path)).getFile())).size;
}

/** Creates the folder and missing folders above it. */
export async function makeFolder(path: string): Promise<boolean> {
  const isNew = !(await exists(path));
  await writing(path, () => folderAt(path, true));
  return isNew;
}

/** Copies a file to a new path. */
export async function copyFile(from: string, to: string): Promise<void> {
  const reader = await openForReading(from);
  await writing(to, async () => {
    if (await exists(to)) throw Object.assign(new Error("it exists"), { code: "EEXIST" });
    await writeChunks(await fileAt(to, true), piecesOf(reader));
  });
}

/** All bytes of an open file, in pieces. */
export async function* piecesOf({ size, read }: FileReader): AsyncGenerator<Uint8Array, void> {
  for (let offset = 0; offset < size; offset += PIECE_BYTES) {
    yield await read(offset, Math.min(PIECE_BYTES, size - offset));
  }
}

/**
 * Renames a file; one of the new name is replaced, unless `replace` is false.
 * @throws ConfigError if there is one that is not to be replaced; CheckpointError if the file system fails.
 */
export async function publishFile(
  from: string,
  to: string,
  { replace = true }: { replace?: boolean } = {},
): Promise<void> {
  const move = async (): Promise<void> =>
    (await fileAt(from)).move(await folderAt(folderOf(absolutePath(to))), baseName(to));
  await writing(to, () =>
    replace
      ? move()
      : oneAtATime(async () => {
          if (await exists(to)) throw taken(to, "it exists");
          await move();
        }),
  );
}

/**
 * Removes a file or a folder with its content, or nothing if there is none. Not in one step: use `removeFolderAtomic`
 * if half a folder could be taken for a whole one.
 */
export async function removeTree(path: string): Promise<void> {
  await writing(path, async () => {
    const folder = await orNull(folderAt(folderOf(absolutePath(path))));
    if (folder !== null) await orNull(folder.removeEntry(baseName(path), { recursive: true }));
  });
}

/** Removes a folder if it is empty; whatever else is there stays. */
export async function removeEmpty(path: string): Promise<void> {
  if (!(await isDirectory(path))) return;
  const parent = await folderAt(folderOf(absolutePath(path)));
  await parent.removeEntry(baseName(path)).catch(() => {});
}

/** The path of a file or folder inside `folder`. @throws DataError for a path that leads out of it. */
export async function pathInside(folder: string, name: string): Promise<string> {
  const inside = joinPath(folder, name);
  if (isWithin(absolutePath(folder), absolutePath(inside))) return inside;
  throw new DataError(`${inside} leads out of the folder; put the file itself there`);
}

/**
 * Paths of all files below the folder, relative to it, with forward slashes, sorted by name.
 * @param isLeftOut true for names of files and folders to skip.
 * @param isClosed true for the names in a folder below that is skipped whole.
 */
export async function filesBelow(
  folder: string,
  isLeftOut: (name: string) => boolean = () => false,
  isClosed: (names: readonly string[]) => boolean = () => false,
): Promise<string[]> {
  const namesIn = (below: string): Promise<string[]> => listFolder(joinPath(folder, below));
  const kindOf = async (path: string): Promise<"file" | "folder"> =>
    (await isDirectory(joinPath(folder, path))) ? "folder" : "file";
  return listBelow({ namesIn, kindOf }, isLeftOut, isClosed);
}

/** Makes sure that there are files at all. */
export async function requireRoom(at: string): Promise<void> {
  await writing(at, () => folderAt("/"));
}
