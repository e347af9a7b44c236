import { closeSync, mkdtempSync, openSync, readSync, rmdirSync, statfsSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readFault, writeFault } from "./file-faults.js";

/** A file for what is too large for memory. It has no name, so that nothing of it stays when the process ends. */
export interface Spool {
  /** @throws CheckpointError if the disk is full. */
  append(bytes: Uint8Array): void;
  /** Fills `target` with the bytes from `offset`. @throws DataError if the disk fails. */
  read(target: Uint8Array, offset: number): void;
}

/** Bytes on disk that are read as they are asked for. */
export type StoredBytes = Pick<Spool, "read">;

/** Opens a file, which stays readable where its name goes. @throws DataError if it cannot be opened. */
export async function openStored(path: string): Promise<StoredBytes> {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    throw readFault(path, error);
  }
  const stored: StoredBytes = {
    read(target, offset) {
      try {
        readFully(file, target, offset);
      } catch (error) {
        throw readFault(path, error);
      }
    },
  };
  ended.register(stored, file);
  return stored;
}

function readFully(file: number, target: Uint8Array, offset: number): void {
  for (let done = 0; done < target.length; ) {
    const count = readSync(file, target, done, target.length - done, offset + done);
    if (count === 0) throw new RangeError(`it ends before byte ${offset + target.length}`);
    done += count;
  }
}

/** The type of a file system that keeps its files in memory (tmpfs), in Linux. */
const IN_MEMORY = 0x01021994;

const ended = new FinalizationRegistry<number>(closeSync);

/** @throws CheckpointError if the file cannot be made. */
export function openSpool(): Spool {
  const folder = spoolFolder();
  let file: number;
  try {
    const own = mkdtempSync(join(folder, "highrank-spool-"));
    const path = join(own, "data");
    file = openSync(path, "wx+", 0o600);
    unlinkSync(path);
    rmdirSync(own);
  } catch (error) {
    throw writeFault(folder, error);
  }
  let length = 0;
  const spool: Spool = {
    append(bytes) {
      try {
        for (let done = 0; done < bytes.length; )
          done += writeSync(file, bytes, done, bytes.length - done, length + done);
      } catch (error) {
        throw writeFault(`a temporary file in ${folder} (TMPDIR names another)`, error);
      }
      length += bytes.length;
    },
    read(target, offset) {
      try {
        readFully(file, target, offset);
      } catch (error) {
        throw readFault(`a temporary file in ${folder}`, error);
      }
    },
  };
  ended.register(spool, file);
  return spool;
}

/** The folder of temporary files, or one on a disk where that is in memory. */
function spoolFolder(): string {
  const usual = tmpdir();
  return process.env.TMPDIR === undefined && isInMemory(usual) && isOnDisk("/var/tmp") ? "/var/tmp" : usual;
}

function isInMemory(folder: string): boolean {
  return process.platform === "linux" && statfsSync(folder).type === IN_MEMORY;
}

function isOnDisk(folder: string): boolean {
  try {
    return !isInMemory(folder);
  } catch {
    return false;
  }
}
