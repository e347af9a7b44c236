/** The array if it has room for so many items, else a copy at least twice as long, with zeros behind. */
export function withRoom<T extends Int32Array | Float64Array | Uint16Array>(array: T, length: number): T {
  if (length <= array.length) return array;
  const grown = new (array.constructor as new (length: number) => T)(Math.max(length, 2 * array.length));
  grown.set(array);
  return grown;
}

/** The bytes of an array, which they share. */
export function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView<ArrayBufferLike>): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
