import { appendChunks, exists, fileSize, gitBlobHash, publishFile, removeTree, sha256File } from "#platform";
import { CheckpointError } from "../base/errors.js";
import { ConnectionFault, type HubClient } from "./hub-client.js";
import type { HubFile } from "./model-files.js";

/** Hears how many bytes of the file are there. */
export type OnBytes = (bytes: number) => void;

/** Where a file grows until it is whole. Not where Python's huggingface_hub has its own, which may be at work as well. */
export function incompletePath(path: string): string {
  return `${path}.highrank.incomplete`;
}

/**
 * Downloads a file to a path, at which it appears whole and as its hash says, or not at all. Until then it grows beside: what has come
 * stays there, and the next attempt, or call, goes on from it.
 * @throws CheckpointError
 */
export async function downloadFile(
  client: HubClient,
  url: string,
  file: HubFile,
  path: string,
  onBytes: OnBytes = () => {},
): Promise<void> {
  const incomplete = incompletePath(path);
  // What is there may be damaged, or of another hub.
  for (let isFresh = !(await exists(incomplete)); ; isFresh = true) {
    await complete(client, url, file, incomplete, onBytes);
    if (await isIntact(file, incomplete)) return publishFile(incomplete, path);
    await removeTree(incomplete);
    if (!isFresh) continue;
    throw new CheckpointError(
      `${url}: what comes has not the hash ${file.hash} that the hub says; check the connection and HF_ENDPOINT and try again`,
    );
  }
}

/** Brings the file at `path` to its size. A connection that brings something may be cut as often as it likes. */
async function complete(client: HubClient, url: string, file: HubFile, path: string, onBytes: OnBytes): Promise<void> {
  for (let attempt = 1; ; ) {
    const before = await sizeBelow(file.size, path);
    if (before === file.size) {
      if (before === 0) await appendChunks(path, nothing());
      return onBytes(before);
    }
    try {
      await append(client, url, file, path, before, onBytes);
      if ((await fileSize(path)) < file.size) throw new ConnectionFault("the answer ended too soon");
    } catch (error) {
      if (!(error instanceof ConnectionFault)) throw error;
      const came = (await exists(path)) && (await fileSize(path)) > before;
      if (came) attempt = 1;
      await client.pause(attempt++, error);
    }
  }
}

/** How much of the file is there; what is too long is removed. */
async function sizeBelow(size: number, path: string): Promise<number> {
  if (!(await exists(path))) return 0;
  const present = await fileSize(path);
  if (present <= size) return present;
  await removeTree(path);
  return 0;
}

/** Asks for the rest and writes it down as it comes. */
async function append(
  client: HubClient,
  url: string,
  { size }: HubFile,
  path: string,
  from: number,
  onBytes: OnBytes,
): Promise<void> {
  const response = await client.get(url, from > 0 ? { range: `bytes=${from}-` } : {});
  const continues = response.status === 206 && rangeStart(response) === from;
  // A server that knows no ranges sends all, and one that refuses them will next time.
  if (!continues) await removeTree(path);
  if (response.status !== 200 && !continues) {
    await response.body?.cancel().catch(() => {});
    throw new ConnectionFault(`the answer ${response.status} was for another part of the file`);
  }
  let bytes = continues ? from : 0;
  async function* counted(): AsyncGenerator<Uint8Array, void> {
    for await (const chunk of client.chunks(response)) {
      bytes += chunk.length;
      if (bytes > size) throw client.fault(`sends more than the ${size} bytes that it said of a file`);
      yield chunk;
      onBytes(bytes);
    }
  }
  await appendChunks(path, counted());
}

function rangeStart({ headers }: Response): number {
  return Number(/^bytes (\d+)-/.exec(headers.get("content-range") ?? "")?.[1] ?? Number.NaN);
}

async function isIntact({ hash }: HubFile, path: string): Promise<boolean> {
  return (await (hash.length === 64 ? sha256File(path) : gitBlobHash(path))) === hash;
}

async function* nothing(): AsyncGenerator<Uint8Array, void> {}
