import { createHash } from "node:crypto";
import { openForReading } from "./node-files.js";

/** Bytes of a file that are hashed at once: more would count in the peak of the memory. */
const PIECE_BYTES = 2 ** 22;

/** SHA-256 of the bytes, or of the chunks one after another, in lower-case hexadecimal. */
export function sha256(bytes: Uint8Array | Iterable<Uint8Array>): string {
  const hash = createHash("sha256");
  for (const chunk of bytes instanceof Uint8Array ? [bytes] : bytes) hash.update(chunk);
  return hash.digest("hex");
}

/** SHA-256 of a file of any size, read in pieces. @throws DataError if it cannot be read. */
export function sha256File(path: string): Promise<string> {
  return hashFile(path, "sha256");
}

/**
 * Git's name for the content of a file: the SHA-1 of a header with its length and of the content.
 * @throws DataError if it cannot be read.
 */
export function gitBlobHash(path: string): Promise<string> {
  return hashFile(path, "sha1", (size) => `blob ${size}\0`);
}

async function hashFile(path: string, algorithm: string, header = (_size: number): string => ""): Promise<string> {
  const hash = createHash(algorithm);
  const reader = await openForReading(path);
  try {
    hash.update(header(reader.size));
    const piece = new Uint8Array(Math.min(PIECE_BYTES, reader.size));
    for (let offset = 0; offset < reader.size; offset += PIECE_BYTES) {
      const part = piece.subarray(0, reader.size - offset);
      await reader.readInto(part, offset);
      hash.update(part);
    }
  } finally {
    await reader.close();
  }
  return hash.digest("hex");
}
