import { Decompress } from "fzstd";
import { DataError } from "../base/errors.js";

/** Largest window of a frame, in bytes, as in the program `zstd` without options. */
const MAX_WINDOW = 2 ** 27;

/**
 * Decompresses Zstandard frames (RFC 8878).
 * @param maxLength most bytes that may come out.
 * @throws DataError if the bytes are no such frames, or hold more.
 */
export function unzstd(bytes: Uint8Array, maxLength: number): Uint8Array {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const stream = new Decompress((chunk) => {
    length += chunk.length;
    if (length > maxLength) throw new DataError(`cannot decompress zstd: it holds more than ${maxLength} bytes`);
    chunks.push(chunk);
  });
  const window = windowOf(bytes);
  if (window > Math.max(MAX_WINDOW, maxLength)) {
    throw new DataError(`cannot decompress zstd: its window has ${window} bytes, more than ${MAX_WINDOW}`);
  }
  try {
    stream.push(bytes, true);
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError(`cannot decompress zstd: ${(cause as Error).message}`, { cause });
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/** Bytes that the first frame wants to look back on: its window, or its content if that is one segment. */
function windowOf(bytes: Uint8Array): number {
  const [flags = 0, descriptor = 0] = bytes.subarray(4, 6);
  if ((flags & 32) === 0) return 2 ** (10 + (descriptor >> 3)) * (1 + (descriptor & 7) / 8);
  const start = 5 + [0, 1, 2, 4][flags & 3]!;
  const size = bytes.subarray(start, start + 2 ** (flags >> 6));
  return size.reduceRight((value, byte) => 256 * value + byte, 0) + (flags >> 6 === 1 ? 256 : 0);
}
