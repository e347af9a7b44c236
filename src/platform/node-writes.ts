import { type FileHandle, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import { threadId } from "node:worker_threads";
import { CheckpointError } from "../tensor/errors.js";
import { writeFault } from "./file-faults.js";
import { isDirectory, MAX_TRANSFER_BYTES } from "./node-files.js";

/** A file's bytes, piece by piece. */
export type Chunks = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** What a file is written from; text is written as UTF-8. */
export type FileContent = string | Uint8Array | Chunks;

let partials = 0;

/** A name beside `target` that no other thread or process writes to; a leftover of a killed process may lie there. */
function partialPath(target: string): string {
  const { dir, base } = path.parse(path.resolve(target));
  return path.join(dir, `.${base}.${process.pid}-${threadId}-${partials++}.partial`);
}

/**
 * Writes a file that appears whole or not at all, and stays after a power cut: written beside as `.NAME.*.partial`, synced,
 * renamed. Its folder must exist; a file of that name is replaced.
 * @throws CheckpointError that names the path, the fault and the way out; nothing new is left behind then.
 */
export async function writeFileAtomic(target: string, content: FileContent): Promise<void> {
  const partial = partialPath(target);
  try {
    const handle = await open(partial, "w");
    try {
      for await (const chunk of chunksOf(content)) await writeChunk(handle, chunk);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(partial, target);
    await syncFolder(path.dirname(target));
  } catch (error) {
    await rm(partial, { force: true });
    throw writeFault(target, error);
  }
}

/**
 * Writes a folder that appears whole or not at all: `fill` writes into a folder beside, which is then renamed.
 * @throws CheckpointError if `target` holds files already, unless `replace` says that they may go.
 */
export async function writeFolderAtomic(
  target: string,
  fill: (folder: string) => Promise<void>,
  { replace = false }: { replace?: boolean } = {},
): Promise<void> {
  if (!replace && (await readdir(target).catch(() => [])).length > 0) {
    throw new CheckpointError(`cannot write ${target}: the folder is not empty; choose another or allow replacing it`);
  }
  const partial = partialPath(target);
  const previous = partialPath(target);
  try {
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true });
    await fill(partial);
    await syncFolder(partial);
    // A rename cannot replace a folder that holds files, so the old one steps aside first.
    const hadPrevious = await isDirectory(target);
    if (hadPrevious) await rename(target, previous);
    try {
      await rename(partial, target);
    } catch (error) {
      if (hadPrevious) await rename(previous, target);
      throw error;
    }
    await syncFolder(path.dirname(target));
    await rm(previous, { recursive: true, force: true });
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    // The files inside were named by where they were written, which nobody knows.
    if (error instanceof CheckpointError && error.message.includes(partial)) {
      throw new CheckpointError(error.message.replaceAll(partial, target), { cause: error });
    }
    throw writeFault(target, error);
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

/** Makes a rename in the folder durable. Windows does it by itself and cannot open a folder. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
