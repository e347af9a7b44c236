import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { DataError } from "../base/errors.js";

/**
 * Decompresses bytes.
 * @param maxLength most bytes that may come out.
 * @throws DataError if the bytes are not of that format, or hold more.
 */
export function decompress(bytes: Uint8Array, format: "gzip" | "brotli", maxLength: number): Uint8Array {
  try {
    const { buffer, byteOffset, byteLength } = (format === "gzip" ? gunzipSync : brotliDecompressSync)(bytes, {
      maxOutputLength: Math.max(1, maxLength),
    });
    return new Uint8Array(buffer, byteOffset, byteLength);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE")
      throw new DataError(`cannot decompress ${format}: it holds more than ${maxLength} bytes`, { cause });
    throw new DataError(`cannot decompress ${format}: ${(cause as Error).message}`, { cause });
  }
}
