import { DTypeError } from "../base/errors.js";
import { append } from "../base/lists.js";

/**
 * Byte runs of at least this length are kept by reference until the message is joined, so large tensors are copied
 * once.
 */
const BY_REFERENCE = 256;

const utf8 = new TextEncoder();

/** Bytes that are read, piece by piece, when a message is written. */
export type DeferredBytes = () => AsyncIterable<Uint8Array>;

interface Deferred {
  readonly length: number;
  readonly read: DeferredBytes;
}

/**
 * Writes one message in the protocol buffers wire format: fields in the order of the calls, repeated numbers packed.
 * Only the field kinds that ONNX and TensorBoard's events use are here.
 */
export class MessageWriter {
  readonly #chunks: (Uint8Array | Deferred)[] = [];
  #pending: number[] = [];
  #flushedBytes = 0;

  /** An int64, int32 or enum field. Negative values take ten bytes, as the format demands. */
  int(field: number, value: number | bigint): this {
    this.#varint(field * 8);
    this.#varint(value);
    return this;
  }

  float(field: number, value: number): this {
    this.#varint(field * 8 + 5);
    append(this.#pending, float32Bytes([value]));
    return this;
  }

  double(field: number, value: number): this {
    this.#varint(field * 8 + 1);
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, value, true);
    append(this.#pending, bytes);
    return this;
  }

  string(field: number, value: string): this {
    return this.bytes(field, utf8.encode(value));
  }

  bytes(field: number, value: Uint8Array): this {
    this.#varint(field * 8 + 2);
    this.#varint(value.length);
    this.#append(value);
    return this;
  }

  /** A bytes field of known length whose content is read when the message is written in chunks. */
  bytesLater(field: number, length: number, read: DeferredBytes): this {
    this.#varint(field * 8 + 2);
    this.#varint(length);
    this.#append({ length, read });
    return this;
  }

  /** A repeated int64 field, packed; nothing at all when `values` is empty. */
  packedInts(field: number, values: readonly (number | bigint)[]): this {
    if (values.length === 0) return this;
    const packed = new MessageWriter();
    for (const value of values) packed.#varint(value);
    return this.message(field, packed);
  }

  /** A repeated float field, packed; nothing at all when `values` is empty. */
  packedFloats(field: number, values: readonly number[]): this {
    return values.length === 0 ? this : this.bytes(field, float32Bytes(values));
  }

  message(field: number, child: MessageWriter): this {
    child.#flush();
    this.#varint(field * 8 + 2);
    this.#varint(child.#flushedBytes);
    for (const chunk of child.#chunks) this.#append(chunk);
    return this;
  }

  /** The message in pieces; deferred content is read as it is reached. @throws DTypeError if its length is wrong. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    this.#flush();
    for (const chunk of this.#chunks) {
      if (chunk instanceof Uint8Array) {
        yield chunk;
        continue;
      }
      let length = 0;
      for await (const piece of chunk.read()) {
        length += piece.length;
        yield piece;
      }
      if (length !== chunk.length)
        throw new DTypeError(`ONNX writer: content must be ${chunk.length} bytes, is ${length}`);
    }
  }

  /** The whole message in one array of its own. @throws DTypeError if it has deferred content. */
  finish(): Uint8Array {
    this.#flush();
    const joined = new Uint8Array(this.#flushedBytes);
    let offset = 0;
    for (const chunk of this.#chunks) {
      if (!(chunk instanceof Uint8Array))
        throw new DTypeError("ONNX writer: deferred content must be written in chunks");
      joined.set(chunk, offset);
      offset += chunk.length;
    }
    return joined;
  }

  #append(value: Uint8Array | Deferred): void {
    if (value instanceof Uint8Array && value.length < BY_REFERENCE) {
      append(this.#pending, value);
      return;
    }
    this.#flush();
    this.#chunks.push(value);
    this.#flushedBytes += value.length;
  }

  #flush(): void {
    if (this.#pending.length === 0) return;
    this.#chunks.push(Uint8Array.from(this.#pending));
    this.#flushedBytes += this.#pending.length;
    this.#pending = [];
  }

  #varint(value: number | bigint): void {
    // Bit operators work on 32 bits only, so small positive numbers are divided, and all others go through bigint.
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) {
      let rest = value;
      for (; rest > 127; rest = Math.floor(rest / 128)) this.#pending.push((rest % 128) + 128);
      this.#pending.push(rest);
      return;
    }
    let rest = BigInt.asUintN(64, checkedInt64(value));
    for (; rest > 127n; rest >>= 7n) this.#pending.push(Number(rest & 127n) + 128);
    this.#pending.push(Number(rest));
  }
}

/** `value` as a bigint. @throws DTypeError unless it is an exact integer that fits in 64 bits. */
export function checkedInt64(value: number | bigint): bigint {
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new DTypeError(`ONNX writer: ${value} is not an exact integer; pass a bigint beyond 2^53`);
  }
  const wide = BigInt(value);
  if (BigInt.asIntN(64, wide) !== wide) throw new DTypeError(`ONNX writer: ${wide} does not fit in a 64-bit integer`);
  return wide;
}

function float32Bytes(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => {
    view.setFloat32(i * 4, value, true);
  });
  return bytes;
}
