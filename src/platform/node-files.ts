import type { Stats } from "node:fs";
import {
  access,
  constants,
  copyFile as copy,
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  rm,
  rmdir,
  stat,
} from "node:fs/promises";
import { dirname } from "node:path";
import { DataError } from "../base/errors.js";
import { isNowhere, readFault, writeFault } from "./file-faults.js";
import { absolutePath } from "./node-paths.js";
import { syncContent, syncFolder } from "./node-sync.js";
import { decodeText, requireTextSize } from "./stored-files.js";

/** Most bytes of one system call: the calls take 31-bit lengths. */
export const MAX_TRANSFER_BYTES: number = 2 ** 26;

/** The longest string that V8 makes. */
const MAX_TEXT_LENGTH = 2 ** 29 - 24;

/** A file open for reading at any offset. */
export interface FileReader {
  /** Length of the file when it was opened, in bytes. */
  readonly size: number;
  /**
   * Returns a new array with exactly `length` bytes from `offset`.
   * @throws DataError if the file ends before that, or the disk fails.
   */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Fills `target` with the bytes from `offset`. @throws DataError as `read`. */
  readInto(target: Uint8Array, offset: number): Promise<void>;
  close(): Promise<void>;
}

/** Opens a file of any size, to read parts of it. @throws DataError if it cannot be opened. */
export async function openForReading(path: string): Promise<FileReader> {
  try {
    requireRegular(path, await stat(path));
    const handle = await open(path, "r");
    const size = await lengthOf(handle).catch(async (error) => {
      await handle.close();
      throw error;
    });
    const orFault = <T>(call: Promise<T>): Promise<T> =>
      call.catch((error) => {
        throw readFault(path, error);
      });
    const readInto = async (target: Uint8Array, offset: number): Promise<void> => {
      for (let filled = 0; filled < target.length; ) {
        const want = Math.min(MAX_TRANSFER_BYTES, target.length - filled);
        const { bytesRead } = await orFault(handle.read(target, filled, want, offset + filled));
        if (bytesRead === 0) {
          throw new DataError(
            `cannot read ${path}: it ends at byte ${offset + filled}, before byte ${offset + target.length}`,
          );
        }
        filled += bytesRead;
      }
    };
    return {
      size,
      readInto,
      read: async (offset, length) => {
        const target = new Uint8Array(length);
        await readInto(target, offset);
        return target;
      },
      close: () => orFault(handle.close()),
    };
  } catch (error) {
    throw readFault(path, error);
  }
}

/** @throws DataError for pipes and devices: reading them could wait or go on forever. Folders fail by themselves. */
function requireRegular(path: string, info: Stats): void {
  if (info.isFile() || info.isDirectory()) return;
  throw new DataError(`cannot read ${path}: it is a pipe or a device; copy what it gives to a file and name that`);
}

async function lengthOf(handle: FileHandle): Promise<number> {
  const info = await handle.stat();
  if (info.isDirectory()) throw Object.assign(new Error("is a directory"), { code: "EISDIR" });
  return info.size;
}

/** Reads a whole file. @throws DataError if it cannot be read. */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    const info = await stat(path);
    requireRegular(path, info);
    if (info.size < 2 ** 31 - 1) {
      const { buffer, byteOffset, byteLength } = await readFile(path);
      return new Uint8Array(buffer, byteOffset, byteLength);
    }
  } catch (error) {
    throw readFault(path, error);
  }
  const reader = await openForReading(path);
  try {
    return await reader.read(0, reader.size);
  } finally {
    await reader.close();
  }
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

/**
 * Makes the file and its name durable, so that they survive a power cut as they are now.
 * @throws CheckpointError if there is no such file.
 */
export async function syncFile(path: string): Promise<void> {
  try {
    await syncContent(path);
    await syncFolder(dirname(path));
  } catch (error) {
    throw writeFault(path, error);
  }
}

/**
 * Names (not paths) of everything in the folder, sorted by code unit.
 * @throws DataError if it is not a readable folder.
 */
export async function listFolder(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).sort();
  } catch (error) {
    throw readFault(path, error);
  }
}

/** True if there is a file or folder at the path. @throws DataError if that cannot be determined. */
export async function exists(path: string): Promise<boolean> {
  return holds(path, async () => {
    await access(path);
    return true;
  });
}

/** True if there is a folder at the path; false if there is nothing. @throws DataError if that cannot be determined. */
export async function isDirectory(path: string): Promise<boolean> {
  return holds(path, async () => (await stat(path)).isDirectory());
}

/** The result of `check`; false if there is nothing at the path. */
async function holds(path: string, check: () => Promise<boolean>): Promise<boolean> {
  try {
    return await check();
  } catch (error) {
    if (isNowhere(error)) return false;
    throw readFault(path, error);
  }
}

/** A text that is another once the file has been written to, or replaced. @throws DataError if it is not there. */
export async function fileStamp(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(":");
  } catch (error) {
    throw readFault(path, error);
  }
}

/** Length in bytes. @throws DataError if there is no such file. */
export async function fileSize(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    throw readFault(path, error);
  }
}

/**
 * Creates the folder and missing folders above it, durably. Returns false if there was nothing to do. Of several that
 * create one at once in a folder that is there, one gets true.
 */
export async function makeFolder(path: string): Promise<boolean> {
  try {
    const folder = absolutePath(path);
    const first = await makeMissing(folder);
    if (first === undefined) return false;
    for (let made = folder; ; made = dirname(made)) {
      await syncFolder(dirname(made));
      if (made === first) return true;
    }
  } catch (error) {
    throw writeFault(path, error);
  }
}

/** The topmost folder that was made; undefined if there was nothing to do. Node.js's own way never ends in /proc. */
async function makeMissing(path: string): Promise<string | undefined> {
  try {
    return (await makeOne(path)) ? path : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || path === dirname(path)) throw error;
  }
  const first = await makeMissing(dirname(path));
  return (await makeOne(path)) ? (first ?? path) : first;
}

/** False if the folder is there already. */
async function makeOne(path: string): Promise<boolean> {
  try {
    await mkdir(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST" && (await isDirectory(path))) return false;
    throw error;
  }
}

/** Copies a file to a new path; blocks are shared if the file system can. Not durable until it is synced. */
export async function copyFile(from: string, to: string): Promise<void> {
  try {
    await copy(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  } catch (error) {
    throw writeFault(to, error);
  }
}

/**
 * Removes a file or a folder with its content, or nothing if there is none. Not in one step: use `removeFolderAtomic`
 * if half a folder could be taken for a whole one. A power cut may undo a removal made just before.
 */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    throw writeFault(path, error);
  }
}

/** Removes a folder if it is empty; whatever else is there stays. */
export async function removeEmpty(path: string): Promise<void> {
  await rmdir(path).catch(() => {});
}
