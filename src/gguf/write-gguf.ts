import { writeFileAtomic } from "#platform";
import { CheckpointError } from "../base/errors.js";
import { checkpointFault } from "../files/faults.js";
import { PIECE_BYTES } from "../files/file-span.js";
import { type LazyTensor, readHostTensor } from "../files/lazy-tensor.js";
import type { HostTensor } from "../tensor/dtype.js";
import { sizeOf } from "../tensor/shape.js";
import { GgufTensor } from "./gguf-tensor.js";
import { GGUF_ALIGNMENT, GGUF_MAGIC } from "./header.js";
import { QUANTIZED, type WrittenGgufType } from "./quantizing.js";
import {
  GGUF_NUMBER_BYTES,
  GGUF_TYPES,
  GGUF_VALUE_TYPES,
  type GgufItem,
  type GgufNumberType,
  type GgufType,
  type GgufValue,
  type GgufValueType,
} from "./types.js";
import { WIDENED } from "./widening.js";

/** A float32 tensor to write, and its type in the file. */
export interface GgufTensorToWrite {
  readonly tensor: HostTensor | LazyTensor;
  readonly type: WrittenGgufType;
}

/** Content of a GGUF file to write. */
export interface GgufContent {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** In the order of the file. */
  readonly tensors: ReadonlyMap<string, GgufTensorToWrite>;
}

/** Squares of the numbers that were written and of what their type rounded away. */
export interface RoundingError {
  squares: number;
  lost: number;
}

/**
 * Writes a GGUF file of version 3 as `writeFileAtomic`: whole or not at all. Lazy tensors are read, written and
 * released one after another; those of an open GGUF file that keep their type pass through byte for byte.
 * @returns the rounding error of each type that was not written exactly.
 * @throws CheckpointError for numbers that are not finite or that the type cannot hold, and rows that are no whole
 * blocks.
 */
export async function writeGguf(
  path: string,
  { metadata, tensors }: GgufContent,
  options: { readonly replace?: boolean } = {},
): Promise<ReadonlyMap<WrittenGgufType, RoundingError>> {
  const faults = [...tensors].flatMap(([name, { tensor, type }]) => placementFaults(name, tensor, GGUF_TYPES[type]));
  if (metadata.has("general.alignment")) faults.push("general.alignment is not written; leave it out");
  if (faults.length > 0) throw checkpointFault(`cannot write ${path}`, faults);
  const errors = new Map<WrittenGgufType, RoundingError>();
  await writeFileAtomic(path, fileChunks(path, { metadata, tensors }, errors), options);
  return errors;
}

function placementFaults(name: string, { dtype, shape }: HostTensor | LazyTensor, type: GgufType): string[] {
  const faults: string[] = [];
  if (dtype !== "float32") faults.push(`tensor "${name}" is ${dtype}, and only float32 can be written`);
  const columns = shape.at(-1) ?? 1;
  if (columns % type.blockElements !== 0) {
    faults.push(`tensor "${name}" has rows of ${columns}, and ${type.name} has blocks of ${type.blockElements}`);
  }
  return faults;
}

async function* fileChunks(
  path: string,
  content: GgufContent,
  errors: Map<WrittenGgufType, RoundingError>,
): AsyncGenerator<Uint8Array> {
  let done = 0;
  const padding = (): Uint8Array => new Uint8Array((GGUF_ALIGNMENT - (done % GGUF_ALIGNMENT)) % GGUF_ALIGNMENT);
  const counted = function* (chunk: Uint8Array): Generator<Uint8Array> {
    done += chunk.length;
    yield chunk;
  };
  yield* counted(headerBytes(content));
  yield* counted(padding());
  for (const [name, { tensor, type }] of content.tensors) {
    const chunks =
      tensor instanceof GgufTensor && tensor.type.name === type
        ? tensor.chunks()
        : quantizedChunks(`cannot write ${path}: tensor "${name}"`, tensor, type, errors);
    for await (const chunk of chunks) yield* counted(chunk);
    yield* counted(padding());
  }
}

function headerBytes({ metadata, tensors }: GgufContent): Uint8Array {
  const bytes = new ByteWriter();
  bytes.number("uint32", GGUF_MAGIC);
  bytes.number("uint32", 3);
  bytes.number("uint64", tensors.size);
  bytes.number("uint64", metadata.size);
  for (const [key, value] of metadata) {
    bytes.text(key);
    bytes.number("uint32", GGUF_VALUE_TYPES.indexOf(value.type));
    bytes.item(value.type, value.type === "array" ? value : value.value);
  }
  let offset = 0;
  for (const [name, { tensor, type: typeName }] of tensors) {
    const type = GGUF_TYPES[typeName];
    bytes.text(name);
    bytes.number("uint32", tensor.shape.length);
    for (const size of tensor.shape.toReversed()) bytes.number("uint64", size);
    bytes.number("uint32", type.number);
    bytes.number("uint64", offset);
    const byteLength = (sizeOf(tensor.shape) / type.blockElements) * type.blockBytes;
    offset += Math.ceil(byteLength / GGUF_ALIGNMENT) * GGUF_ALIGNMENT;
  }
  return bytes.taken();
}

async function* quantizedChunks(
  where: string,
  tensor: HostTensor | LazyTensor,
  typeName: WrittenGgufType,
  errors: Map<WrittenGgufType, RoundingError>,
): AsyncGenerator<Uint8Array> {
  const { blockElements, blockBytes } = GGUF_TYPES[typeName];
  const values = (await readHostTensor(tensor)).data as Float32Array;
  if (values.length !== sizeOf(tensor.shape)) {
    throw new CheckpointError(
      `${where} of shape [${tensor.shape.join(", ")}] must have ${sizeOf(tensor.shape)} elements, not ${values.length}`,
    );
  }
  const pieceElements = blockElements * Math.floor(PIECE_BYTES / (4 * blockElements));
  for (let from = 0; from < values.length; from += pieceElements) {
    const source = values.subarray(from, from + pieceElements);
    requireFinite(where, source);
    const target = new Uint8Array((source.length / blockElements) * blockBytes);
    const misfit = QUANTIZED[typeName](source, target);
    if (misfit !== undefined) {
      throw new CheckpointError(`${where} holds ${misfit}, which ${typeName} cannot hold; write it as bf16 or f32`);
    }
    if (typeName !== "F32") addError(errors, typeName, source, target);
    yield target;
  }
}

function requireFinite(where: string, values: Float32Array): void {
  for (const value of values) {
    if (!Number.isFinite(value))
      throw new CheckpointError(`${where} would hold ${value}, and a model with it computes nothing`);
  }
}

function addError(
  errors: Map<WrittenGgufType, RoundingError>,
  type: WrittenGgufType,
  source: Float32Array,
  written: Uint8Array<ArrayBuffer>,
): void {
  const error = errors.get(type) ?? { squares: 0, lost: 0 };
  errors.set(type, error);
  const widened = new Float32Array(source.length);
  WIDENED[type]!(written, widened);
  for (let i = 0; i < source.length; i++) {
    error.squares += source[i]! ** 2;
    error.lost += (source[i]! - widened[i]!) ** 2;
  }
}

/** Bytes of a header as they are written. */
class ByteWriter {
  #bytes: Uint8Array = new Uint8Array(2 ** 16);
  #length = 0;

  number(type: GgufNumberType, value: number | bigint): void {
    const width = GGUF_NUMBER_BYTES[type];
    const view = this.#room(width);
    if (type === "uint64" || type === "int64") view.setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true);
    else if (type === "float32") view.setFloat32(0, Number(value), true);
    else if (type === "float64") view.setFloat64(0, Number(value), true);
    else if (width === 1) view.setUint8(0, Number(value));
    else if (width === 2) view.setUint16(0, Number(value), true);
    else view.setUint32(0, Number(value), true);
  }

  text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.number("uint64", bytes.length);
    const { buffer, byteOffset } = this.#room(bytes.length);
    new Uint8Array(buffer, byteOffset, bytes.length).set(bytes);
  }

  item(type: GgufValueType, item: GgufItem): void {
    if (type === "string") this.text(item as string);
    else if (type === "bool") this.number("uint8", item === true ? 1 : 0);
    else if (type !== "array") this.number(type, item as number | bigint);
    else {
      const { of, items = [] } = item as Extract<GgufItem, object>;
      this.number("uint32", GGUF_VALUE_TYPES.indexOf(of));
      this.number("uint64", items.length);
      for (const each of items) this.item(of, each);
    }
  }

  taken(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Takes the next so many bytes. */
  #room(bytes: number): DataView {
    if (this.#length + bytes > this.#bytes.length) {
      const larger = new Uint8Array(2 * (this.#length + bytes));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#length += bytes;
    return new DataView(this.#bytes.buffer, this.#length - bytes, bytes);
  }
}
