import { access, constants, lstat, readlink, realpath, stat, statfs } from "node:fs/promises";
import path from "node:path";
import { CheckpointError, DataError } from "../base/errors.js";
import { isNowhere, readFault, writeFault } from "./file-faults.js";
import { exists, isDirectory, listFolder } from "./node-files.js";
import { absolutePath, joinPath } from "./node-paths.js";
import { listBelow } from "./stored-files.js";

/** A repository in the Hugging Face cache, in which `snapshots/REVISION/` links to `blobs/`. */
const CACHED_SNAPSHOT = /^(.*[\\/](?:models|datasets|spaces)--[^\\/]+)[\\/]snapshots[\\/][^\\/]+/;

/**
 * The path of a file or folder inside `folder`, for reading. Links may lead to others inside the folder or, in the
 * Hugging Face cache, inside the repository; `folder` may be a link itself. A missing file passes: opening it reports
 * that.
 * @throws DataError for a path that leads out of the folder or is a link to nothing, and for one that is neither file nor
 * folder, such as a device.
 */
export async function pathInside(folder: string, name: string): Promise<string> {
  const inside = joinPath(folder, name);
  let [root, real] = ["", ""];
  let isRegular = true;
  try {
    [root, real] = [await realpath(folder), await realpath(inside)];
    const info = await stat(real);
    isRegular = info.isFile() || info.isDirectory();
  } catch (error) {
    if (!isNowhere(error)) throw readFault(inside, error);
    const to = await readlink(inside).catch(() => null);
    if (to === null) return inside;
    throw new DataError(`${inside} is a link to ${to}, where there is nothing; bring that back, or remove the link`);
  }
  const home = CACHED_SNAPSHOT.exec(root)?.[1] ?? root;
  if (!isWithin(home, real)) {
    throw new DataError(`${inside} leads out of the folder, to ${real}; put the file itself there`);
  }
  if (!isRegular) {
    throw new DataError(`${inside} is neither a file nor a folder; remove it, or put a file there`);
  }
  return inside;
}

/**
 * Paths of all files below the folder, relative to it, with forward slashes, sorted by name. Links to folders are
 * skipped: their targets are inside the folder, and found there.
 * @param isLeftOut true for names of files and folders to skip.
 * @param isClosed true for the names in a folder below that is skipped whole.
 * @throws DataError as `pathInside`.
 */
export async function filesBelow(
  folder: string,
  isLeftOut: (name: string) => boolean = () => false,
  isClosed: (names: readonly string[]) => boolean = () => false,
): Promise<string[]> {
  const namesIn = (below: string): Promise<string[]> => listFolder(joinPath(folder, below));
  const kindOf = async (path: string): Promise<"file" | "folder" | "passed by"> => {
    const inside = await pathInside(folder, path);
    if (!(await isDirectory(inside))) return "file";
    return (await isLink(inside)) ? "passed by" : "folder";
  };
  return listBelow({ namesIn, kindOf }, isLeftOut, isClosed);
}

async function isLink(file: string): Promise<boolean> {
  try {
    return (await lstat(file)).isSymbolicLink();
  } catch (error) {
    throw readFault(file, error);
  }
}

/** True if `inner` is `folder` or lies in it; both are absolute paths without links. */
export function isWithin(folder: string, inner: string): boolean {
  return inner === folder || inner.startsWith(folder.endsWith(path.sep) ? folder : folder + path.sep);
}

/**
 * The absolute path without links of what may not be there yet.
 * @throws CheckpointError if nothing can be there, as behind a link that leads nowhere.
 */
export async function realPath(of: string): Promise<string> {
  try {
    return await realpath(of);
  } catch (error) {
    const { dir, base } = path.parse(absolutePath(of));
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || base === "") throw writeFault(of, error);
    const place = path.join(await realPath(dir), base);
    const to = await readlink(place).catch(() => null);
    if (to === null) return place;
    throw new CheckpointError(
      `cannot write ${of}: ${place} is a link to ${to}, where there is nothing; make that, or choose another path`,
    );
  }
}

/** True of a folder that a file system is mounted on, which no other can take the place of. */
export async function isMountPoint(folder: string): Promise<boolean> {
  const above = path.dirname(folder);
  return above === folder || (await stat(folder)).dev !== (await stat(above)).dev;
}

/** Types of file systems that take no folders, though their permissions say otherwise: proc and sysfs. */
const WITHOUT_FOLDERS: ReadonlySet<number> = new Set([0x9fa0, 0x62656572]);

/**
 * Makes sure that something may be written at a path, or in the folder above it that there is. Writes nothing.
 * @throws CheckpointError if it may not.
 */
export async function requireRoom(at: string): Promise<void> {
  let place = absolutePath(at);
  while (!(await exists(place)) && place !== path.dirname(place)) place = path.dirname(place);
  try {
    if (WITHOUT_FOLDERS.has((await statfs(place)).type)) {
      throw new CheckpointError(`cannot write in ${place}: it takes no folders; choose another path`);
    }
    await access(place, constants.W_OK);
  } catch (error) {
    throw error instanceof CheckpointError ? error : writeFault(place, error);
  }
}
