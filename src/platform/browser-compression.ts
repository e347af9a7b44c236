import { DataError } from "../base/errors.js";
import { gunzip } from "./browser-inflate.js";

/**
 * Decompresses bytes.
 * @param maxLength most bytes that may come out.
 * @throws DataError if the bytes are not of that format, or hold more; for Brotli always.
 */
export function decompress(bytes: Uint8Array, format: "gzip" | "brotli", maxLength: number): Uint8Array {
  if (format === "brotli") throw new DataError("cannot decompress brotli in a browser; decompress it first");
  try {
    return gunzip(bytes, maxLength);
  } catch (cause) {
    throw new DataError(`cannot decompress ${format}: ${(cause as Error).message}`, { cause });
  }
}
