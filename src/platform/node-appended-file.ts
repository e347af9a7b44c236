import { type FileHandle, open, stat, truncate } from "node:fs/promises";
import { writeFault } from "./file-faults.js";

/** The identity of a file under any name: no other has the same numbers while it is open. */
interface Identity {
  readonly dev: bigint;
  readonly ino: bigint;
}

/**
 * A file that grows by appends, open from the first to `close`. What counts is the path of each append: where the file
 * was moved with its folder it is the same one, and where another file or none is found there, that one is opened or
 * made.
 *
 * An append that fails leaves the file unchanged. A power cut may lose what was appended since the last `syncFile`, and
 * a kill may leave a part of it.
 */
export class AppendedFile {
  #open: { readonly handle: FileHandle; readonly identity: Identity } | undefined;
  /** Of the last append, for errors. */
  #path = "";

  /**
   * Appends bytes, or text as UTF-8, to the file at the path.
   * @returns the length of the file before.
   * @throws CheckpointError
   */
  async append(path: string, content: Uint8Array | string): Promise<number> {
    this.#path = path;
    try {
      const { handle, length } = await this.#at(path);
      await handle.appendFile(content).catch(async (error) => {
        await handle.truncate(length).catch(() => {});
        throw error;
      });
      return length;
    } catch (error) {
      throw writeFault(path, error);
    }
  }

  async #at(path: string): Promise<{ readonly handle: FileHandle; readonly length: number }> {
    const found = await statOrNull(path);
    if (found !== null && this.#open !== undefined && isSame(found, this.#open.identity)) {
      return { handle: this.#open.handle, length: Number(found.size) };
    }
    // What becomes of a file that is not there any more is nobody's concern.
    await this.close().catch(() => {});
    const handle = await open(path, "a");
    try {
      const identity = await handle.stat({ bigint: true });
      this.#open = { handle, identity };
      return { handle, length: Number(identity.size) };
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** The next append opens the file again. @throws CheckpointError where the system tells of a loss only now. */
  async close(): Promise<void> {
    const handle = this.#open?.handle;
    this.#open = undefined;
    try {
      await handle?.close();
    } catch (error) {
      throw writeFault(this.#path, error);
    }
  }
}

/** Appends `line` and a newline to the file like an {@link AppendedFile} that is closed again. */
export async function appendLine(path: string, line: string): Promise<void> {
  const file = new AppendedFile();
  const before = await file.append(path, `${line}\n`);
  await file.close().catch(async (error) => {
    await truncate(path, before).catch(() => {});
    throw error;
  });
}

async function statOrNull(path: string): Promise<(Identity & { readonly size: bigint }) | null> {
  try {
    return await stat(path, { bigint: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

function isSame(a: Identity, b: Identity): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}
