import { open, rename, rm, symlink } from "node:fs/promises";
import path from "node:path";
import { writeFault } from "./file-faults.js";
import { syncContent, syncFolder } from "./node-sync.js";
import { renameToNew } from "./node-writes.js";

/**
 * Appends chunks to the file, which is created if missing, as they come. If `chunks` throws, the error passes, and
 * everything written before stays.
 * @throws CheckpointError if the file cannot be written.
 */
export async function appendChunks(file: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const orFault = <T>(call: Promise<T>): Promise<T> =>
    call.catch((error) => {
      throw writeFault(file, error);
    });
  const handle = await orFault(open(file, "a"));
  try {
    for await (const chunk of chunks) await orFault(handle.writeFile(chunk));
  } finally {
    await orFault(handle.close());
  }
}

/**
 * Renames a whole file durably; an existing file of the new name is replaced, unless `replace` is false.
 * @throws CheckpointError if the file system fails; ConfigError for a file that is not to be replaced.
 */
export async function publishFile(
  from: string,
  to: string,
  { replace = true }: { replace?: boolean } = {},
): Promise<void> {
  try {
    await syncContent(from);
    await (replace ? rename : renameToNew)(from, to);
    await syncFolder(path.dirname(to));
  } catch (error) {
    throw writeFault(to, error);
  }
}

/**
 * Links to a file by its path relative to the folder of the link, replacing anything of that name. If links are not
 * allowed, as on Windows without developer mode, the file itself moves to the place of the link.
 * @throws CheckpointError if the file system fails.
 */
export async function linkFile(link: string, to: string): Promise<void> {
  try {
    await rm(link, { force: true });
    await symlink(path.relative(path.dirname(link), to), link).catch(async (error: NodeJS.ErrnoException) => {
      if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(error.code ?? "")) throw error;
      await rename(to, link);
    });
  } catch (error) {
    throw writeFault(link, error);
  }
}
