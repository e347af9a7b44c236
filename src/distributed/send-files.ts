import { fileSize, filesBelow, folderOf, joinPath, makeFolder, openForReading, writeFileAtomic } from "#platform";
import type { Collective } from "./collective.js";
import { onFirst } from "./first.js";

/** Bytes that are sent at once. */
const PART = 2 ** 24;

/**
 * Gives the ranks with a folder of their own copies of files of the first rank. All ranks must call this.
 * @param from the folder of the first rank.
 * @param to the folder of this one; null if it needs no copies.
 * @param isLeftOut true for names of files and folders that are not sent.
 */
export async function sendFiles(
  ranks: Collective,
  { from, to, isLeftOut }: { from: string; to: string | null; isLeftOut: (name: string) => boolean },
): Promise<void> {
  const files = await onFirst(ranks, async () => {
    const names = await filesBelow(from, isLeftOut);
    return Promise.all(names.map(async (name) => ({ name, size: await fileSize(joinPath(from, name)) })));
  });
  for (const { name, size } of files) {
    if (ranks.rank === 0) {
      for await (const part of partsOf(joinPath(from, name), size)) await ranks.broadcast(part);
      continue;
    }
    const parts = receivedParts(ranks, size);
    if (to === null) {
      for await (const _ of parts);
    } else {
      const path = joinPath(to, name);
      await makeFolder(folderOf(path));
      await writeFileAtomic(path, parts);
    }
  }
}

async function* partsOf(path: string, size: number): AsyncGenerator<Uint8Array, void> {
  const file = await openForReading(path);
  try {
    for (let start = 0; start < size; start += PART) yield await file.read(start, Math.min(PART, size - start));
  } finally {
    await file.close();
  }
}

async function* receivedParts(ranks: Collective, size: number): AsyncGenerator<Uint8Array, void> {
  for (let start = 0; start < size; start += PART) yield await ranks.broadcast(new Uint8Array());
}
