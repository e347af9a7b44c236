import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { DataError } from "../base/errors.js";

/**
 * Decompresses bytes.
 * @param maxLength most bytes that may come out.
 * @throws DataError if the bytes are not of that format, or hold more.
 */
export function decompress(bytes: Uint8Array, format: "gzip" | "brotli", maxLength: number): Uint8Array {
  try {
    const { buffer, byteOffset, byteLength } =
      format === "gzip"
        ? gunzipMembers(bytes, maxLength)
        : brotliDecompressSync(bytes, { maxOutputLength: Math.max(1, maxLength) });
    return new Uint8Array(buffer, byteOffset, byteLength);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE")
      throw new DataError(`cannot decompress ${format}: it holds more than ${maxLength} bytes`, { cause });
    throw new DataError(`cannot decompress ${format}: ${(cause as Error).message}`, { cause });
  }
}

/** All members of a gzip file. As in Python, zeros may follow each. */
function gunzipMembers(bytes: Uint8Array, maxLength: number): Uint8Array {
  const members: Uint8Array[] = [];
  let [length, start] = [0, 0];
  do {
    const maxOutputLength = Math.max(1, maxLength - length);
    // It stops at a zero behind a member, and says by `bytesWritten` how far it came.
    const { buffer, engine } = gunzipSync(bytes.subarray(start), { info: true, maxOutputLength }) as unknown as {
      readonly buffer: Uint8Array;
      readonly engine: { readonly bytesWritten: number };
    };
    members.push(buffer);
    length += buffer.length;
    start += engine.bytesWritten;
    while (bytes[start] === 0) start++;
  } while (start < bytes.length);
  return members.length === 1 ? members[0]! : Buffer.concat(members, length);
}
