import { type FileHandle, link, mkdir, open, readdir, rename, rm, rmdir, stat } from "node:fs/promises";
import path from "node:path";
import { CheckpointError, HighrankError } from "../base/errors.js";
import { NOT_EMPTY, readFault, taken, writeFault } from "./file-faults.js";
import { realPath } from "./node-containment.js";
import { exists, isDirectory, MAX_TRANSFER_BYTES, makeFolder } from "./node-files.js";
import { joinPath } from "./node-paths.js";
import { syncFolder, syncTree } from "./node-sync.js";
import { begin, finish, nameBeside, removeLeftovers } from "./node-unfinished.js";

/*
 * Invariants at any moment, also after kill -9 or a power cut: a name written here holds the old content or the new,
 * each whole. A folder has a third state, between the two renames that replace it: the name is missing, and the old
 * content lies beside it as `.NAME.*.previous`, always whole, until `recoverReplaced` renames it back. A call that
 * returned without an error is durable. Leftovers end in `.partial`; they are removed by `recoverReplaced`, and when the
 * same name is written again. A power cut may undo a removal, never a write.
 */

/** A file's bytes, piece by piece. */
export type Chunks = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** Content of a file; text is written as UTF-8. */
export type FileContent = string | Uint8Array | Chunks;

/** Leftovers of writing `NAME`, and old content that was moved aside for the new. */
const PARTIAL = /^\..*\.partial$/;
const PREVIOUS = /^\.(.+)\.[^.]+\.previous$/;

/**
 * Writes a file that appears whole or not at all and survives a power cut: written beside as `.NAME.*.partial`, synced,
 * renamed. Its folder must exist; a file of that name is replaced, unless `replace` is false.
 * @throws CheckpointError naming the path, the fault and the way out. The old file stays, unless the last step failed,
 * the sync of the folder: then the new one is there, but a power cut might still undo it. ConfigError if there is a
 * file that is not to be replaced, whenever it came.
 */
export async function writeFileAtomic(
  target: string,
  content: FileContent,
  { replace = true }: { replace?: boolean } = {},
): Promise<void> {
  await writeFilesAtomic(new Map([[target, content]]), { replace });
}

/** Writes several files like `writeFileAtomic`; none appears before all are written. */
export async function writeFilesAtomic(
  files: ReadonlyMap<string, FileContent>,
  { replace = true }: { replace?: boolean } = {},
): Promise<void> {
  const partials = new Map([...files.keys()].map((target) => [target, nameBeside(target, "partial")] as const));
  const orFault = async (target: string, work: Promise<void>): Promise<void> =>
    work.catch(async (error: unknown) => {
      for (const partial of partials.values()) await rm(partial, { force: true }).catch(leave);
      throw writeFault(target, error);
    });
  try {
    for (const [target, partial] of partials) {
      await removeLeftovers(target).catch(leave);
      begin(partial);
      await orFault(target, writeSynced(partial, files.get(target)!));
    }
    for (const [target, partial] of partials) {
      await orFault(target, (replace ? rename : renameToNew)(partial, target));
      await orFault(target, syncFolder(path.dirname(target)));
    }
  } finally {
    for (const partial of partials.values()) finish(partial);
  }
}

async function writeSynced(file: string, content: FileContent): Promise<void> {
  const handle = await open(file, "w");
  try {
    for await (const chunk of chunksOf(content)) await writeChunk(handle, chunk);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Renames a file to a name that nobody has. @throws ConfigError if somebody has it. */
export async function renameToNew(partial: string, target: string): Promise<void> {
  try {
    // Of two processes that look for the name at the same time, a link lets in one.
    await link(partial, target);
  } catch (error) {
    // A link that leads nowhere has the name too.
    if ((error as NodeJS.ErrnoException).code === "EEXIST" || (await exists(target))) throw taken(target, "it exists");
    return rename(partial, target); // The file system has no links.
  }
  await rm(partial, { force: true }).catch(leave);
}

/**
 * Writes a folder that appears whole or not at all and survives a power cut: `fill` writes into a folder beside it,
 * which is synced with its content and then renamed. A link to a folder is followed, unless `replace` is set.
 * @throws ConfigError if `target` holds files, whenever they came, and `replace` is not set; CheckpointError if writing
 * fails. `target` is then unchanged.
 */
export async function writeFolderAtomic(
  target: string,
  fill: (folder: string) => Promise<void>,
  { replace = false }: { replace?: boolean } = {},
): Promise<void> {
  const place = replace ? target : await realPath(target);
  const partial = nameBeside(place, "partial");
  try {
    if (!replace && (await namesIn(place)).length > 0) throw taken(target, NOT_EMPTY);
    await makeFolder(path.dirname(partial));
    await removeLeftovers(place).catch(leave);
    begin(partial);
    await mkdir(partial);
    await fill(partial);
    await syncTree(partial);
    finish(partial);
    await (replace ? putInPlace(partial, place) : putInNewPlace(partial, place));
  } catch (error) {
    await rm(partial, { recursive: true, force: true }).catch(leave);
    finish(partial);
    if (!replace && TAKEN.has((error as NodeJS.ErrnoException).code ?? "") && (await exists(place)))
      throw taken(target, (await isDirectory(place)) ? NOT_EMPTY : "it is a file");
    // The faults name the temporary folder, which means nothing to the user.
    if (error instanceof HighrankError && error.message.includes(partial)) {
      throw new CheckpointError(error.message.replaceAll(partial, target), { cause: error });
    }
    throw writeFault(target, error);
  }
}

/** Codes of a rename to a name that a file or a folder with content has. */
const TAKEN: ReadonlySet<string> = new Set(["ENOTEMPTY", "EEXIST", "ENOTDIR"]);

/** Renames `partial` to `target`, which nobody has or is an empty folder; if that fails, both stay as they were. */
async function putInNewPlace(partial: string, target: string): Promise<void> {
  try {
    // Elsewhere an empty folder gives way to a renamed one, and no other does.
    if (process.platform === "win32" && (await exists(target))) await rmdir(target);
    await rename(partial, target);
    await syncFolder(path.dirname(target));
  } catch (error) {
    await moveBack(partial, target).catch(leave);
    throw error;
  }
}

/** Renames `partial` to `target`, whatever it holds; if that fails, both stay as they were. */
async function putInPlace(partial: string, target: string): Promise<void> {
  const parent = path.dirname(partial);
  const previous = nameBeside(target, "previous");
  const moves: [from: string, to: string][] = [];
  const move = async (from: string, to: string): Promise<void> => {
    moves.push([from, to]);
    await rename(from, to);
    await syncFolder(parent);
  };
  try {
    // A rename cannot replace a folder that holds files, so the old one is moved aside first.
    if (await isDirectory(target)) await move(target, previous);
    await move(partial, target);
  } catch (error) {
    for (const [from, to] of moves.reverse()) await moveBack(from, to).catch(leave);
    throw error;
  }
  // The new folder is in place even if the old one cannot be removed.
  if (moves.length > 1) await discard(previous, target).catch(leave);
}

/** Undoes a rename that may not have happened: network file systems report some as failed that they have made. */
async function moveBack(from: string, to: string): Promise<void> {
  if (!(await exists(from))) await rename(to, from);
}

/**
 * Removes a folder durably in one step: what an interruption leaves of it has another name, ending in `.partial`. Does
 * nothing if there is no such folder.
 * @throws CheckpointError if the file system fails.
 */
export async function removeFolderAtomic(target: string): Promise<void> {
  try {
    if (await isDirectory(target)) await discard(target, target);
  } catch (error) {
    throw writeFault(target, error);
  }
}

/** Removes `previous`, the present or former folder `target`, which counts as whole while it has that name. */
async function discard(previous: string, target: string): Promise<void> {
  const doomed = nameBeside(target, "partial");
  await rename(previous, doomed);
  await syncFolder(path.dirname(doomed));
  await rm(doomed, { recursive: true });
}

/**
 * Tidies a folder after interrupted writes, while nobody else writes there. Folders that were moved aside and not
 * replaced get their names back, the newest if there are several. Leftovers are removed: everything named `.*.partial`
 * or `.*.previous`. Returns the names that were restored, sorted; does nothing if there is no such folder.
 * @throws CheckpointError if the file system fails; call it again then.
 */
export async function recoverReplaced(parent: string): Promise<string[]> {
  const recovered: string[] = [];
  try {
    const names = new Set(await namesIn(parent));
    for (const { name, previous } of await steppedAside(parent, names)) {
      if (names.has(name)) {
        await discard(previous, joinPath(parent, name));
      } else {
        await rename(previous, joinPath(parent, name));
        await syncFolder(parent);
        names.add(name);
        recovered.push(name);
      }
    }
    for (const name of await namesIn(parent)) {
      if (PARTIAL.test(name)) await rm(joinPath(parent, name), { recursive: true, force: true });
    }
  } catch (error) {
    throw writeFault(parent, error);
  }
  return recovered.sort();
}

/**
 * Finds the work that `recoverReplaced` would do: the names that it would restore, each with the present name of its
 * folder, and the leftovers that it would remove.
 * @throws DataError if the file system fails.
 */
export async function interruptedWrites(
  parent: string,
): Promise<{ aside: ReadonlyMap<string, string>; leftovers: readonly string[] }> {
  try {
    const entries = (await namesIn(parent)).sort();
    const aside = new Map<string, string>();
    for (const { name, previous } of await steppedAside(parent, entries)) {
      if (!entries.includes(name) && !aside.has(name)) aside.set(name, path.basename(previous));
    }
    const kept = new Set(aside.values());
    return { aside, leftovers: entries.filter((e) => (PARTIAL.test(e) || PREVIOUS.test(e)) && !kept.has(e)) };
  } catch (error) {
    throw readFault(parent, error);
  }
}

/** Folders that were moved aside, with their former names, the last changed first. */
async function steppedAside(parent: string, entries: Iterable<string>): Promise<{ name: string; previous: string }[]> {
  const aside: { name: string; previous: string; changed: number }[] = [];
  for (const entry of entries) {
    const name = PREVIOUS.exec(entry)?.[1];
    if (name === undefined) continue;
    const previous = joinPath(parent, entry);
    aside.push({ name, previous, changed: (await stat(previous)).mtimeMs });
  }
  return aside.sort((a, b) => b.changed - a.changed);
}

/**
 * Ignores a fault of tidying up after another fault, which is the one to report; `recoverReplaced` tidies up the rest.
 */
function leave(): void {}

/** Names in the folder; empty if there is none. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

function chunksOf(content: FileContent): Chunks {
  if (typeof content === "string") return [new TextEncoder().encode(content)];
  return content instanceof Uint8Array ? [content] : content;
}

async function writeChunk(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const { bytesWritten } = await handle.write(chunk, done, Math.min(MAX_TRANSFER_BYTES, chunk.length - done));
    done += bytesWritten;
  }
}
