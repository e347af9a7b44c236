import { CheckpointError, HighrankError } from "../base/errors.js";
import {
  exists,
  fileAt,
  filesBelow,
  isDirectory,
  listFolder,
  makeFolder,
  publishFile,
  readText,
  removeTree,
  writeChunks,
  writing,
} from "./browser-files.js";
import { oneAtATime } from "./browser-lock.js";
import { absolutePath, baseName, folderOf, joinPath } from "./browser-paths.js";
import { NOT_EMPTY, taken, writeFault } from "./file-faults.js";
import type { Chunks, FileContent } from "./node-writes.js";

/*
 * A file moves to its name in one step, as in Node.js. A folder cannot move, so what is to become `NAME` is filled
 * beside it as `.NAME.*.partial`. From the moment that a list of its files lies in there, the new content counts: the
 * files move over one by one, the topmost and then checksums.json last, and what the list does not name is removed.
 * Where that is interrupted, `recoverReplaced` goes on with it. A removal is the same with a list of nothing.
 */

/** Leftovers of writing `NAME`. */
const PARTIAL = /^\.(.+)\.[0-9a-f-]{36}\.partial$/;
/** In a folder beside: its {@link Decision}, as JSON. */
const LIST = ".moving.json";

function nameBeside(target: string): string {
  return joinPath(folderOf(absolutePath(target)), `.${baseName(target)}.${crypto.randomUUID()}.partial`);
}

/**
 * Writes a file that appears whole or not at all. Its folder must exist; a file of that name is replaced, unless
 * `replace` is false.
 * @throws CheckpointError naming the path, the fault and the way out; ConfigError if there is a file that is not to be
 * replaced, whenever it came.
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
  const partials = new Map([...files.keys()].map((target) => [target, nameBeside(target)] as const));
  try {
    for (const [target, partial] of partials) {
      await writing(target, async () => writeChunks(await fileAt(partial, true), chunksOf(files.get(target)!)));
    }
    for (const [target, partial] of partials) await publishFile(partial, target, { replace });
  } catch (error) {
    for (const partial of partials.values()) await removeTree(partial).catch(() => {});
    throw error;
  }
}

/**
 * Writes a folder that appears whole or not at all: `fill` writes into a folder beside it.
 * @throws ConfigError if `target` holds files, whenever they came, and `replace` is not set; CheckpointError if writing
 * fails. `target` is then unchanged.
 */
export async function writeFolderAtomic(
  target: string,
  fill: (folder: string) => Promise<void>,
  { replace = false }: { replace?: boolean } = {},
): Promise<void> {
  const partial = nameBeside(target);
  let isDecided = false;
  try {
    await requirePlace(target, replace);
    await makeFolder(partial);
    await fill(partial);
    const files = await filesBelow(partial);
    await oneAtATime(async () => {
      await requirePlace(target, replace);
      await decide(partial, { files, replaces: replace });
      isDecided = true;
      await moveOver(partial, target);
    });
  } catch (error) {
    if (!isDecided) await removeTree(partial).catch(() => {});
    // The faults name the temporary folder, which means nothing to the user.
    if (error instanceof HighrankError && error.message.includes(partial)) {
      throw new CheckpointError(error.message.replaceAll(partial, target), { cause: error });
    }
    throw error;
  }
}

/**
 * Removes a folder: an interruption leaves nothing of it that is taken for a whole one once `recoverReplaced` was
 * called. Does nothing if there is no such folder.
 */
export async function removeFolderAtomic(target: string): Promise<void> {
  if (!(await isDirectory(target))) return;
  const partial = nameBeside(target);
  await makeFolder(partial);
  await decide(partial, { files: null, replaces: true });
  await moveOver(partial, target);
}

/** A decision on what a folder is to become. */
interface Decision {
  /** All of its files; null to remove it. */
  readonly files: readonly string[] | null;
  /** True if others give way. */
  readonly replaces: boolean;
}

/** @throws ConfigError, CheckpointError where the folder cannot be put in its place. */
async function requirePlace(target: string, replace: boolean): Promise<void> {
  const isFolder = await isDirectory(target);
  if (!isFolder && (await exists(target))) {
    throw replace ? writeFault(target, Object.assign(new Error(), { code: "ENOTDIR" })) : taken(target, "it is a file");
  }
  if (!replace && isFolder && (await listFolder(target)).length > 0) throw taken(target, NOT_EMPTY);
}

/** From here on, the folder beside is what counts. */
async function decide(partial: string, decision: Decision): Promise<void> {
  await writeFileAtomic(joinPath(partial, LIST), JSON.stringify(decision));
}

/** Makes `target` what was decided. May be called again after it was interrupted. */
async function moveOver(partial: string, target: string): Promise<void> {
  const { files, replaces } = JSON.parse(await readText(joinPath(partial, LIST))) as Decision;
  if (files === null) {
    await removeTree(target);
  } else {
    await makeFolder(target);
    const wanted = new Set(files);
    const unwanted = replaces ? (await filesBelow(target)).filter((file) => !wanted.has(file)) : [];
    for (const file of unwanted) await removeTree(joinPath(target, file));
    for (const file of [...files].sort(readLast)) {
      if (!(await exists(joinPath(partial, file)))) continue;
      await makeFolder(folderOf(joinPath(target, file)));
      await publishFile(joinPath(partial, file), joinPath(target, file));
    }
    if (replaces) await removeEmptied(target, files);
  }
  await removeTree(partial);
}

/** Folders below come first and checksums.json at the top last: a folder without it is known to be no whole one. */
function readLast(a: string, b: string): number {
  const rank = (file: string): number => (file === "checksums.json" ? 2 : file.includes("/") ? 0 : 1);
  return rank(a) - rank(b);
}

/** Removes the folders right below that hold none of the files. */
async function removeEmptied(target: string, files: readonly string[]): Promise<void> {
  for (const name of await listFolder(target)) {
    const inner = joinPath(target, name);
    const isWanted = files.some((file) => file === name || file.startsWith(`${name}/`));
    if (!isWanted && (await isDirectory(inner))) await removeTree(inner);
  }
}

/**
 * Tidies a folder after interrupted writes, while nobody else writes there: what was decided is done, and leftovers
 * are removed. Returns the names of the folders that were completed, sorted; does nothing if there is no such folder.
 */
export async function recoverReplaced(parent: string): Promise<string[]> {
  const { aside, leftovers } = await interruptedWrites(parent);
  for (const [name, partial] of aside) await moveOver(joinPath(parent, partial), joinPath(parent, name));
  for (const name of leftovers) await removeTree(joinPath(parent, name));
  return [...aside.keys()].sort();
}

/**
 * Finds the work that `recoverReplaced` would do: the names that it would complete, each with the folder beside, and
 * the leftovers that it would remove.
 */
export async function interruptedWrites(
  parent: string,
): Promise<{ aside: ReadonlyMap<string, string>; leftovers: readonly string[] }> {
  const aside = new Map<string, string>();
  const leftovers: string[] = [];
  for (const entry of (await isDirectory(parent)) ? await listFolder(parent) : []) {
    const name = PARTIAL.exec(entry)?.[1];
    if (name === undefined) continue;
    if (await exists(joinPath(parent, entry, LIST))) aside.set(name, entry);
    else leftovers.push(entry);
  }
  return { aside, leftovers };
}

function chunksOf(content: FileContent): Chunks {
  if (typeof content === "string") return [new TextEncoder().encode(content)];
  return content instanceof Uint8Array ? [content] : content;
}
