import { DataError } from "../base/errors.js";

const FAULT = "cannot decompress LZ4: its lengths do not fit";

/** Decompresses one LZ4 block of known length. @throws DataError if it is not one. */
export function unlz4(bytes: Uint8Array, length: number): Uint8Array {
  const output = new Uint8Array(length);
  if (decodeBlock(bytes, output) !== length) throw new DataError(FAULT);
  return output;
}

/**
 * Decompresses what Parquet calls LZ4: one block, or Hadoop's blocks, each behind two big-endian integers, its lengths
 * out and in. @throws DataError if it is neither.
 */
export function unlz4Framed(bytes: Uint8Array, length: number): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const output = new Uint8Array(length);
  let [from, to] = [0, 0];
  while (from + 8 <= bytes.length) {
    const [outLength, inLength] = [view.getUint32(from), view.getUint32(from + 4)];
    const block = bytes.subarray(from + 8, from + 8 + inLength);
    if (block.length < inLength || to + outLength > length) return unlz4(bytes, length);
    if (decodeBlock(block, output.subarray(to, to + outLength)) !== outLength) return unlz4(bytes, length);
    from += 8 + inLength;
    to += outLength;
  }
  return from === bytes.length && to === length ? output : unlz4(bytes, length);
}

/** Writes a block's content into `output`; returns its length, or -1 if it is no block or too long. */
function decodeBlock(bytes: Uint8Array, output: Uint8Array): number {
  let [from, to] = [0, 0];
  /** A length of 15 goes on in the bytes that follow, up to one that is not 255. */
  const readLength = (first: number): number => {
    let length = first;
    for (let byte = first === 15 ? 255 : 0; byte === 255; length += byte) byte = bytes[from++] ?? 0;
    return length;
  };
  while (from < bytes.length) {
    const token = bytes[from++]!;
    const literals = readLength(token >> 4);
    if (from + literals > bytes.length || to + literals > output.length) return -1;
    output.set(bytes.subarray(from, from + literals), to);
    from += literals;
    to += literals;
    if (from >= bytes.length) return to;
    const offset = bytes[from]! | ((bytes[from + 1] ?? 0) << 8);
    from += 2;
    const end = to + readLength(token & 15) + 4;
    if (offset === 0 || offset > to || end > output.length) return -1;
    for (; to < end; to++) output[to] = output[to - offset]!;
  }
  return to;
}
