import { appendChunks, exists, fileSize, gitBlobHash, publishFile, removeTree, sha256File } from "#platform";
import { CheckpointError } from "../base/errors.js";
import type { HubClient } from "./hub-client.js";
import { ConnectionFault } from "./hub-patience.js";
import type { HubFile } from "./model-files.js";

/** Called with the number of bytes of the file that have arrived. */
export type OnBytes = (bytes: number) => void;

/**
 * Path at which a file grows until it is complete. It differs from that of Python's huggingface_hub, which may be
 * running at the same time.
 */
export function incompletePath(path: string): string {
  return `${path}.highrank.incomplete`;
}

/**
 * Downloads a file to a path, where it appears whole and with the right hash, or not at all. Until then it grows in a
 * file beside it, which stays after a failure, so that the next attempt or call continues from there.
 * @throws CheckpointError if the hub cannot be reached or refuses, if the content has another hash, or if the disk
 * fails.
 */
export async function downloadFile(
  client: HubClient,
  url: string,
  file: HubFile,
  path: string,
  onBytes: OnBytes = () => {},
): Promise<void> {
  const incomplete = incompletePath(path);
  // An existing part may be damaged, or come from another hub.
  for (let isFresh = !(await exists(incomplete)); ; isFresh = true) {
    await complete(client, url, file, incomplete, onBytes);
    if (await isIntact(file, incomplete)) return publishFile(incomplete, path);
    await removeTree(incomplete);
    if (!isFresh) continue;
    throw new CheckpointError(
      `${url}: the content must have the hash ${file.hash} that the hub announced, but has another; ` +
        "check the connection and HF_ENDPOINT and try again",
    );
  }
}

/** Completes the file at `path`. The attempts start anew whenever a connection brought some bytes before it was cut. */
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

/** Length of the file, which is removed if it is too long. */
async function sizeBelow(size: number, path: string): Promise<number> {
  if (!(await exists(path))) return 0;
  const present = await fileSize(path);
  if (present <= size) return present;
  await removeTree(path);
  return 0;
}

/** Requests the rest and writes it as it arrives. */
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
  // A server without range requests sends everything; one that refuses the range is asked for everything next time.
  if (!continues) await removeTree(path);
  if (response.status !== 200 && !continues) {
    await response.body?.cancel().catch(() => {});
    throw new ConnectionFault(`the answer ${response.status} was for another part of the file`);
  }
  let bytes = continues ? from : 0;
  async function* counted(): AsyncGenerator<Uint8Array, void> {
    for await (const chunk of client.chunks(response)) {
      bytes += chunk.length;
      if (bytes > size) throw client.fault(`sends more than the ${size} bytes that it announced for a file`);
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
