import { Zip, ZipPassThrough } from "fflate";
import { fileAt, makeFolder } from "../../dist/platform/browser-files.js";
import { inWorker } from "../../dist/platform/browser-workers.js";
import { DOWNLOADS, fileOf } from "./storage.ts";

/** A file by its path, and its name in the zip file. */
export interface ZipEntry {
  readonly path: string;
  readonly name: string;
}

export interface ZipMessage {
  readonly share?: number;
  readonly done?: true;
  readonly fault?: string;
}

const PIECE_BYTES = 2 ** 22;
/** Larger zip files have another format. */
const MOST_BYTES = 2 ** 32 - 2 ** 20;

// Puts files together in one on the disk, piece by piece: weights can be larger than what a page may hold.

inWorker(async (port) => {
  const { out, entries } = port.data as { out: string; entries: readonly ZipEntry[] };
  const post = (message: ZipMessage): void => port.post(message);
  try {
    await write(out, entries, (share) => post({ share }));
    post({ done: true });
  } catch (error) {
    post({ fault: (error as Error).message });
  }
});

async function write(out: string, entries: readonly ZipEntry[], onShare: (share: number) => void): Promise<void> {
  const files = await Promise.all(entries.map(async ({ path, name }) => ({ name, file: await fileOf(path) })));
  const all = files.reduce((sum, { file }) => sum + file.size, 0);
  if (files.length === 0) throw new Error("There is nothing to download yet.");
  if (all > MOST_BYTES) throw new Error("That is more than 4 GB, which zip files do not hold.");
  await makeFolder(DOWNLOADS);
  const target = await (await fileAt(out, true)).createSyncAccessHandle!();
  try {
    target.truncate(0);
    let [at, done] = [0, 0];
    let failed: Error | null = null;
    const zip = new Zip((error, bytes) => {
      failed ??= error;
      at += target.write(bytes, { at });
    });
    for (const { name, file } of files) {
      // Weights do not get smaller.
      const entry = new ZipPassThrough(name);
      zip.add(entry);
      for (let from = 0; from < file.size; from += PIECE_BYTES) {
        entry.push(new Uint8Array(await file.slice(from, from + PIECE_BYTES).arrayBuffer()));
        done = Math.min(done + PIECE_BYTES, all);
        onShare(done / all);
      }
      entry.push(new Uint8Array(), true);
      if (failed !== null) throw failed;
    }
    zip.end();
    target.flush();
  } finally {
    target.close();
  }
}
