import { randomBytes } from "node:crypto";
import { link, open, readFile, rm, stat, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { ConfigError, HighrankError } from "../base/errors.js";
import { readFault, writeFault } from "./file-faults.js";
import { isAlive, processScope, processStatus } from "./node-liveness.js";
import { nameBeside } from "./node-unfinished.js";
import { writeFileAtomic } from "./node-writes.js";

/** A lock file held by this process. */
export interface Lock {
  /**
   * Description of the dead process that held it before, such as "process 123 on host x, started 2026-…"; null if none
   * did.
   */
  readonly takenOverFrom: string | null;
  /**
   * Removes the lock file if it is still this lock's own. Where that fails, as on a disk that has become read-only, the
   * file stays, and is taken over when this process has ended.
   * @param file where it is now, if its folder was moved.
   */
  release(file?: string): Promise<void>;
}

/** Holder of a folder according to its lock file. */
export interface LockHolder {
  /** Null if unknown, for a process that cannot be seen from here. */
  readonly isAlive: boolean | null;
  /** Description such as "process 123 on host x, started 2026-…" or "in use by process 123 since 2026-…". */
  readonly words: string;
  /** Advice to others who want the folder; empty for a dead holder. */
  readonly wayOut: string;
}

/** Content of a lock file, as JSON. */
interface Holder {
  readonly pid: number;
  readonly host: string;
  /**
   * Boot and PID name space in which `pid` and `processStart` mean this process: containers may share their host's
   * name, machines a file system. Null if unknown; absent from files of version 0.1.0.
   */
  readonly scope: string | null;
  /**
   * Start of the process in clock ticks since boot, to tell it from a later process with the same pid; null if unknown.
   */
  readonly processStart: string | null;
  /** Time when the lock was taken, in ISO format. */
  readonly since: string;
  /** Distinguishes locks that one process takes in the same millisecond. */
  readonly id: string;
}

/** An unreadable lock file is still being written, unless it is older than this. */
const WRITING_MS = 5000;

/** Other processes may take and release locks between the steps, but not this often. */
const MOST_ATTEMPTS = 1000;

/** Error codes of file systems without links. */
const NO_LINKS: readonly string[] = ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"];

/**
 * Takes the folder of the lock file for this process alone, until `release` or the end of the process. The lock of a
 * dead process on this host is taken over. The folder must exist.
 * @param held what is taken. Default: the folder.
 * @throws ConfigError if the lock is held by a living process, including this one, or by one that cannot be seen from
 *   here: on another host, in another container, or of another boot; and if something else has the name of the file.
 * @throws CheckpointError, DataError if the file system fails.
 */
export async function acquireLock(file: string, held = path.dirname(file)): Promise<Lock> {
  const holder: Holder = {
    pid: process.pid,
    host: os.hostname(),
    scope: await processScope(),
    processStart: (await processStatus(process.pid))?.start ?? null,
    since: new Date().toISOString(),
    id: randomBytes(6).toString("hex"),
  };
  const own = `${JSON.stringify(holder)}\n`;
  const release = async (at = file): Promise<void> => {
    try {
      if ((await read(at)) === own) await remove(at);
    } catch (error) {
      // It must not take the place of the error that the folder could not be written for.
      if (!(error instanceof HighrankError)) throw error;
    }
  };
  try {
    return { takenOverFrom: await take(file, held, own), release };
  } catch (error) {
    // A call may fail after it has done its work.
    await release();
    throw error;
  }
}

/** Makes the lock file hold `own`. Returns the description of a dead holder that had it, or null. */
async function take(file: string, held: string, own: string): Promise<string | null> {
  for (let attempts = 0; attempts < MOST_ATTEMPTS; attempts++) {
    if (await create(file, own)) return null;
    const found = await read(file);
    if (found === null) continue;
    const dead = await deadHolder(file, held, found);
    if (await replaceDead(file, found, own)) return dead;
  }
  throw new ConfigError(`${file} exists but cannot be read; delete it`);
}

/**
 * Reads a lock without taking it; null if it is free.
 * @throws ConfigError for what is no file; DataError if the file system fails.
 */
export async function lockHolder(file: string): Promise<LockHolder | null> {
  const found = await read(file);
  return found === null ? null : holderOf(file, found);
}

/** Creates the file with its content in one step; false if it exists already. */
async function create(file: string, content: string): Promise<boolean> {
  // Not synced: after a power cut no holder lives, whatever the file says.
  const partial = nameBeside(file, "partial");
  try {
    await writeFile(partial, content);
  } catch (error) {
    throw folderFault(file, error);
  }
  try {
    await link(partial, file);
    return true;
  } catch (error) {
    const code = codeOf(error);
    // ENOENT: the holder has tidied the folder and removed our file as a leftover.
    if (code === "EEXIST" || code === "ENOENT") return false;
    if (NO_LINKS.includes(code)) return await createInPlace(file, content);
    throw folderFault(file, error);
  } finally {
    await rm(partial, { force: true }).catch(() => {});
  }
}

/** Like `create`, but others may see the file before it has its content. */
async function createInPlace(file: string, content: string): Promise<boolean> {
  try {
    const handle = await open(file, "wx");
    try {
      await handle.writeFile(content);
    } catch (error) {
      await remove(file);
      throw error;
    } finally {
      await handle.close();
    }
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw folderFault(file, error);
  }
}

/** The lock is the first file that is written into a folder: where it cannot be, nothing can. */
function folderFault(file: string, error: unknown): unknown {
  return writeFault(path.dirname(file), error);
}

/**
 * Replaces the lock of a dead holder with ours, unless another process is ahead. Comparing and replacing the file are
 * two steps, so they need a lock of their own: otherwise the second of two processes could replace the new lock of the
 * first.
 */
async function replaceDead(file: string, found: string, own: string): Promise<boolean> {
  const takeover = await acquireLock(`${file}.takeover`);
  try {
    if ((await read(file)) !== found) return false;
    await writeFileAtomic(file, own);
    return true;
  } finally {
    await takeover.release();
  }
}

/** Description of a dead holder. @throws ConfigError if it is alive, or if that is unknown. */
async function deadHolder(file: string, held: string, found: string): Promise<string> {
  const { isAlive, words, wayOut } = await holderOf(file, found);
  if (isAlive === false) return words;
  throw new ConfigError(`${held} is ${words}; ${wayOut}`);
}

async function holderOf(file: string, found: string): Promise<LockHolder> {
  const holder = parse(found);
  if (holder === null) {
    const written = await changedAt(file);
    if (Math.abs(Date.now() - written) < WRITING_MS) {
      const words = `being taken by another process, which is writing ${file}`;
      return { isAlive: true, words, wayOut: "try again in a few seconds" };
    }
    const words = `an unknown process (its lock file of ${new Date(written).toISOString()} cannot be read)`;
    return { isAlive: false, words, wayOut: "" };
  }
  const { pid, host, scope, since } = holder;
  const isElsewhere = host !== os.hostname();
  if (isElsewhere || (scope !== null && scope !== (await processScope()))) {
    const where = isElsewhere ? host : `${host} (in another container, or before a restart of the machine)`;
    const words = `in use by process ${pid} on host ${where} since ${since}`;
    return { isAlive: null, words, wayOut: `choose another folder, or, if that process is gone, delete ${file}` };
  }
  if (await isAlive(holder)) {
    const who = pid === process.pid ? `this process (${pid})` : `process ${pid}`;
    const words = `in use by ${who} since ${since}`;
    return { isAlive: true, words, wayOut: "wait for it, stop it, or choose another folder" };
  }
  return { isAlive: false, words: `process ${pid} on host ${host}, started ${since}`, wayOut: "" };
}

function parse(text: string): Omit<Holder, "id"> | null {
  try {
    const { pid, host, scope, processStart, since } = JSON.parse(text) as Record<keyof Holder, unknown>;
    if (!Number.isSafeInteger(pid) || typeof host !== "string" || typeof since !== "string") return null;
    return { pid: pid as number, host, scope: textOrNull(scope), processStart: textOrNull(processStart), since };
  } catch {
    return null;
  }
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

/** The content; null if there is no such file. @throws ConfigError for what is no file. */
async function read(file: string): Promise<string | null> {
  try {
    // Reading a pipe would wait for ever.
    if ((await stat(file)).isFile()) return await readFile(file, "utf8");
    throw new ConfigError(`${file} is no file, and a lock is to have this name; move it elsewhere`);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw readFault(file, error);
  }
}

async function changedAt(file: string): Promise<number> {
  try {
    return (await stat(file)).mtimeMs;
  } catch (error) {
    // Gone by now, so it was alive a moment ago.
    if (codeOf(error) === "ENOENT") return Date.now();
    throw readFault(file, error);
  }
}

async function remove(file: string): Promise<void> {
  try {
    await rm(file, { force: true });
  } catch (error) {
    throw writeFault(file, error);
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "";
}
