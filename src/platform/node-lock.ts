import { randomBytes } from "node:crypto";
import { link, open, readFile, rm, stat, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { ConfigError } from "../base/errors.js";
import { readFault, writeFault } from "./file-faults.js";
import { nameBeside, writeFileAtomic } from "./node-writes.js";

/** A lock file that this process holds. */
export interface Lock {
  /** Words about the dead process that held it before, as in "process 123 on host x, started 2026-…"; null if none did. */
  readonly takenOverFrom: string | null;
  /** Removes the lock file if it is still this lock's own. */
  release(): Promise<void>;
}

/** Who a lock file says has its folder. */
export interface LockHolder {
  /** Null where that cannot be known: of a process on another host. */
  readonly isAlive: boolean | null;
  /** As in "process 123 on host x, started 2026-…" or "in use by process 123 since 2026-…". */
  readonly words: string;
  /** For who wants the folder; of a dead holder nothing. */
  readonly wayOut: string;
}

/** What a lock file holds, as JSON. */
interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When the process started, in clock ticks since boot, so that a reused pid is not taken for it; null where unknown. */
  readonly processStart: string | null;
  /** When the lock was taken, as ISO time. */
  readonly since: string;
  /** Tells locks apart that one process takes in the same millisecond. */
  readonly id: string;
}

/** A lock file that says nothing is being written, unless it is older than this. */
const WRITING_MS = 5000;

/** Others may come and go between the steps, but not this often. */
const MOST_ATTEMPTS = 1000;

/** What the file systems say that have no links. */
const NO_LINKS: readonly string[] = ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"];

/**
 * Takes the folder that the lock file lies in for this process alone, until `release` or the end of the process: a lock whose
 * process is gone, on this host, is taken over. The folder must exist.
 * @throws ConfigError if the lock is held: by a living process, this one too, or by one on another host.
 * @throws CheckpointError, DataError where the file system fails.
 */
export async function acquireLock(file: string): Promise<Lock> {
  const holder: Holder = {
    pid: process.pid,
    host: os.hostname(),
    processStart: (await processStatus(process.pid))?.start ?? null,
    since: new Date().toISOString(),
    id: randomBytes(6).toString("hex"),
  };
  const own = `${JSON.stringify(holder)}\n`;
  const release = async (): Promise<void> => {
    if ((await read(file)) === own) await remove(file);
  };
  try {
    return { takenOverFrom: await take(file, own), release };
  } catch (error) {
    // A call may fail after it has done its work.
    await release().catch(() => {});
    throw error;
  }
}

/** Brings the lock file to hold `own`. Returns words about a dead holder that had it, or null. */
async function take(file: string, own: string): Promise<string | null> {
  for (let attempts = 0; attempts < MOST_ATTEMPTS; attempts++) {
    if (await create(file, own)) return null;
    const found = await read(file);
    if (found === null) continue;
    const dead = await deadHolder(file, found);
    if (await replaceDead(file, found, own)) return dead;
  }
  throw new ConfigError(`${file} exists but cannot be read; delete it`);
}

/** Looks at a lock without taking it; null where it is free. @throws DataError where the file system fails. */
export async function lockHolder(file: string): Promise<LockHolder | null> {
  const found = await read(file);
  return found === null ? null : holderOf(file, found);
}

/** Makes the file with its content in one step; false if there is one already. */
async function create(file: string, content: string): Promise<boolean> {
  // Not synced: after a power cut no holder lives, whatever the file then says.
  const partial = nameBeside(file, "partial");
  try {
    await writeFile(partial, content);
  } catch (error) {
    throw writeFault(file, error);
  }
  try {
    await link(partial, file);
    return true;
  } catch (error) {
    const code = codeOf(error);
    // ENOENT: the holder has put the folder in order, and took our file for a leftover.
    if (code === "EEXIST" || code === "ENOENT") return false;
    if (NO_LINKS.includes(code)) return await createInPlace(file, content);
    throw writeFault(file, error);
  } finally {
    await rm(partial, { force: true }).catch(() => {});
  }
}

/** As `create`, but others may see the file before it has its content. */
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
    throw writeFault(file, error);
  }
}

/**
 * Writes our lock over that of a dead holder, unless another process is ahead. Looking at the file and replacing it are two
 * steps, so whoever does it holds a lock on that: else the second of two could replace the new lock of the first.
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

/** Words about a holder that is gone. @throws ConfigError if it is not, or if that cannot be known. */
async function deadHolder(file: string, found: string): Promise<string> {
  const { isAlive, words, wayOut } = await holderOf(file, found);
  if (isAlive === false) return words;
  throw new ConfigError(`${path.dirname(file)} is ${words}; ${wayOut}`);
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
  const { pid, host, since } = holder;
  if (host !== os.hostname()) {
    const words = `in use by process ${pid} on host ${host} since ${since}`;
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
    const { pid, host, processStart, since } = JSON.parse(text) as Record<keyof Holder, unknown>;
    if (!Number.isSafeInteger(pid) || typeof host !== "string" || typeof since !== "string") return null;
    return { pid: pid as number, host, processStart: typeof processStart === "string" ? processStart : null, since };
  } catch {
    return null;
  }
}

async function isAlive({ pid, processStart }: Pick<Holder, "pid" | "processStart">): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // A process of another user exists without taking our signals.
    if (codeOf(error) !== "EPERM") return false;
  }
  const status = await processStatus(pid);
  if (status === null) return true;
  // A process that has ended stays as a zombie until its parent asks for its exit code.
  return !"ZX".includes(status.state) && (processStart === null || status.start === processStart);
}

/** State and start of a process, from Linux's /proc; null where there is none. */
async function processStatus(pid: number): Promise<{ state: string; start: string } | null> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => null);
  if (text === null) return null;
  // From the third field on: the second is the program's name in parentheses, which may hold anything.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0]!, start: fields[19]! };
}

/** The content; null if there is no such file. */
async function read(file: string): Promise<string | null> {
  try {
    return await readFile(file, "utf8");
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
