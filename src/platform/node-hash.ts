import { createHash } from "node:crypto";
import { MAX_TRANSFER_BYTES, openForReading } from "./node-files.js";

/** SHA-256 of the bytes, or of the chunks one after another, in lower-case hexadecimal. */
export function sha256(bytes: Uint8Array | Iterable<Uint8Array>): string {
  const hash = createHash("sha256");
  for (const chunk of bytes instanceof Uint8Array ? [bytes] : bytes) hash.update(chunk);
  return hash.digest("hex");
}

/** SHA-256 of a file of any size, read in pieces. @throws DataError if it cannot be read. */
export async function sha256File(path: string): Promise<string> {
  const hash = createHash("sha256");
  const reader = await openForReading(path);
  try {
    for (let offset = 0; offset < reader.size; offset += MAX_TRANSFER_BYTES) {
      hash.update(await reader.read(offset, Math.min(MAX_TRANSFER_BYTES, reader.size - offset)));
    }
  } finally {
    await reader.close();
  }
  return hash.digest("hex");
}
