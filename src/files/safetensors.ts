import { writeFileAtomic } from "#platform";
import { bytesOf } from "../base/arrays.js";
import { CheckpointError } from "../base/errors.js";
import { append } from "../base/lists.js";
import type { DType, HostTensor, TypedArray } from "../tensor/dtype.js";
import { float32ToBfloat16, float32ToFloat16 } from "../tensor/half-precision.js";
import { sizeOf } from "../tensor/shape.js";
import { hostDType } from "./element-conversion.js";
import { checkpointFault } from "./faults.js";
import { readHostTensor, type TensorToWrite } from "./lazy-tensor.js";
import { ELEMENT_BYTES, isSizes, readSafetensorsHeader, type SafetensorsDType } from "./safetensors-header.js";
import { StoredTensor } from "./stored-tensor.js";

/** Content of a safetensors file. */
export interface Safetensors {
  readonly tensors: Map<string, HostTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Content of a safetensors file, to be read tensor by tensor. */
export interface OpenSafetensors {
  readonly tensors: Map<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Checks a safetensors file of any size, so that its tensors can be read one by one: F32, I32, I8, U8 and BOOL
 * unconverted, F16, BF16 and F64 as float32, I64 as int32. Nothing stays open, so there is nothing to close.
 * @param options.names only these tensors are returned.
 * @throws CheckpointError listing all faults.
 */
export async function openSafetensors(
  path: string,
  { names }: { names?: Iterable<string> } = {},
): Promise<OpenSafetensors> {
  const { entries, metadata, fileBytes } = await readSafetensorsHeader(path);
  const wanted = names === undefined ? undefined : new Set(names);
  const chosen = entries.filter(({ name }) => wanted?.has(name) ?? true);
  const known = new Set(chosen.map(({ name }) => name));
  const faults = [...(wanted ?? [])].filter((name) => !known.has(name)).map((name) => `tensor "${name}" is missing`);
  for (const { name, dtype } of chosen) {
    if (hostDType(dtype) !== undefined) continue;
    faults.push(`tensor "${name}" is of type ${dtype}, which is not supported; save it as F32, F16 or BF16`);
  }
  if (faults.length > 0) throw checkpointFault(path, faults);
  const tensors = new Map(chosen.map((entry) => [entry.name, new StoredTensor(path, fileBytes, entry)] as const));
  return { tensors, metadata };
}

/**
 * Reads a whole safetensors file.
 * @param options.names only these tensors are read.
 * @throws CheckpointError as `openSafetensors`, before memory for tensors is allocated, and as the reading of each
 * tensor.
 */
export async function readSafetensors(path: string, options: { names?: Iterable<string> } = {}): Promise<Safetensors> {
  const { tensors: stored, metadata } = await openSafetensors(path, options);
  const tensors = new Map<string, HostTensor>();
  for (const [name, tensor] of stored) tensors.set(name, await readHostTensor(tensor));
  return { tensors, metadata };
}

const FILE_TYPES: Readonly<Record<DType, SafetensorsDType>> = {
  float32: "F32",
  int32: "I32",
  int8: "I8",
  uint8: "U8",
  bool: "BOOL",
};

/** Narrower types that float32 can be written as. */
const ROUNDED: Readonly<Partial<Record<SafetensorsDType, Rounded>>> = {
  BF16: { round: float32ToBfloat16, wayOut: "write it as F32" },
  F16: { round: float32ToFloat16, wayOut: "its largest number is 65504; write it as float32 or bfloat16" },
};

interface Rounded {
  readonly round: (source: Float32Array, target: Uint16Array) => number;
  readonly wayOut: string;
}

/**
 * The reference implementation orders tensors by type, widest first, so that each starts at a multiple of its own size.
 */
const WRITE_ORDER: readonly string[] = Object.keys(ELEMENT_BYTES).reverse();

/** Bytes per piece of data that is converted or copied for writing. */
const PIECE_BYTES = 2 ** 22;

/** A tensor to write, with its name and type in the file. */
export interface Placed {
  readonly name: string;
  readonly tensor: TensorToWrite;
  readonly fileType: SafetensorsDType;
  /** True if it is part of a model: its numbers must be finite. */
  readonly isModel: boolean;
}

/**
 * Writes a safetensors file that appears whole or not at all, byte for byte like the reference implementation. Tensors
 * in memory are written without a copy; lazy ones are read, written and released one after another; those of an open
 * file pass through byte for byte.
 * @param isModel refuses numbers that are not finite, also in tensors that pass through. Default false.
 * @throws CheckpointError, also for a finite value that the type in the file cannot hold.
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorToWrite>,
  metadata: Readonly<Record<string, string>> = { format: "pt" },
  { isModel = false }: { readonly isModel?: boolean } = {},
): Promise<void> {
  const placed = [...tensors].map(
    ([name, tensor]): Placed => ({ name, tensor, fileType: tensor.fileType ?? FILE_TYPES[tensor.dtype], isModel }),
  );
  const faults = placed.flatMap(placementFaults);
  if (faults.length > 0) throw checkpointFault(`cannot write ${path}`, faults);
  const order = ({ fileType }: Placed): number => WRITE_ORDER.indexOf(fileType);
  placed.sort((a, b) => order(a) - order(b) || (a.name < b.name ? -1 : 1));
  await writeFileAtomic(path, fileChunks(path, placed, metadata));
}

/** Size of a tensor in a file, in bytes. */
export function storedBytes({ dtype, shape, fileType = FILE_TYPES[dtype] }: TensorToWrite): number {
  return sizeOf(shape) * ELEMENT_BYTES[fileType];
}

function placementFaults({ name, tensor, fileType }: Placed): string[] {
  const { dtype, shape } = tensor;
  const faults: string[] = [];
  if (name === "__metadata__") faults.push(`tensor "${name}" has a name that the format keeps for itself; rename it`);
  const isShape: boolean = isSizes(shape);
  if (!isShape) faults.push(`tensor "${name}" must have sizes of 0 or more, not [${shape.join(", ")}]`);
  const types = dtype === "float32" ? ["F32", ...Object.keys(ROUNDED)] : [FILE_TYPES[dtype]];
  if (!passesThrough(tensor, fileType) && !types.includes(fileType)) {
    faults.push(`tensor "${name}" is ${dtype}, which is written as ${types.join(" or ")}, not as ${fileType}`);
  }
  if ("data" in tensor) append(faults, dataFaults(name, tensor));
  return faults;
}

function dataFaults(name: string, { dtype, shape, data }: HostTensor): string[] {
  const faults: string[] = [];
  if (data.length !== sizeOf(shape)) {
    faults.push(
      `tensor "${name}" of shape [${shape.join(", ")}] must have ${sizeOf(shape)} elements, not ${data.length}`,
    );
  }
  const arrays = { float32: Float32Array, int32: Int32Array, int8: Int8Array, uint8: Uint8Array, bool: Uint8Array };
  if (!(data instanceof arrays[dtype])) {
    faults.push(`tensor "${name}" is ${dtype} but its data is a ${data.constructor.name}`);
  }
  return faults;
}

function passesThrough(tensor: TensorToWrite, fileType: SafetensorsDType): tensor is StoredTensor {
  return tensor instanceof StoredTensor && tensor.fileType === fileType;
}

async function* fileChunks(
  path: string,
  placed: readonly Placed[],
  metadata: Readonly<Record<string, string>>,
): AsyncGenerator<Uint8Array> {
  yield headerBytes(placed, metadata);
  for (const one of placed) yield* tensorChunks(path, one);
}

function headerBytes(placed: readonly Placed[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const header: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0)
    header.push(["__metadata__", Object.fromEntries(Object.entries(metadata).sort())]);
  let end = 0;
  for (const { name, tensor, fileType } of placed) {
    const begin = end;
    end += sizeOf(tensor.shape) * ELEMENT_BYTES[fileType];
    header.push([name, { dtype: fileType, shape: tensor.shape, data_offsets: [begin, end] }]);
  }
  // Not Object.fromEntries: an object would move names that look like numbers to the front.
  const text = `{${header.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`;
  const bytes = new TextEncoder().encode(text);
  const padded = new Uint8Array(8 + Math.ceil(bytes.length / 8) * 8).fill(0x20);
  new DataView(padded.buffer).setBigUint64(0, BigInt(padded.length - 8), true);
  padded.set(bytes, 8);
  return padded;
}

/**
 * Yields a tensor's bytes in the file's type.
 * @throws CheckpointError naming `path` for a value that the type cannot hold.
 */
export async function* tensorChunks(
  path: string,
  { name, tensor, fileType, isModel }: Placed,
): AsyncGenerator<Uint8Array> {
  if (passesThrough(tensor, fileType)) {
    for await (const chunk of tensor.chunks()) {
      if (isModel && !areFinite(fileType, chunk)) {
        throw holdsNone(path, name, "holds NaN or Infinity in its own file", "bring that back from where it came");
      }
      yield chunk;
    }
    return;
  }
  const host = await readHostTensor(tensor);
  const faults = dataFaults(name, host);
  if (faults.length > 0) throw checkpointFault(`cannot write ${path}`, faults);
  if (isModel && host.dtype === "float32") requireFinite(path, name, host.data);
  const rounded = ROUNDED[fileType];
  if (rounded !== undefined) {
    yield* roundedChunks(`cannot write ${path}: tensor "${name}"`, host.data as Float32Array, fileType, rounded);
  } else if ("data" in tensor) {
    yield bytesOf(host.data);
  } else {
    // A consumer may hold a chunk until the next one comes, so a lazy tensor's own memory is not given out.
    const bytes = bytesOf(host.data);
    for (let done = 0; done < bytes.length; done += PIECE_BYTES) yield bytes.slice(done, done + PIECE_BYTES);
  }
}

function requireFinite(path: string, name: string, values: TypedArray): void {
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i])) continue;
    const wayOut = "look for numbers that are too large in what it is made of, such as lora_alpha of an adapter";
    throw holdsNone(path, name, `would hold ${values[i]}`, wayOut);
  }
}

function holdsNone(path: string, name: string, holds: string, wayOut: string): CheckpointError {
  return new CheckpointError(
    `cannot write ${path}: tensor "${name}" ${holds}, and a model with it computes nothing; ${wayOut}`,
  );
}

/** The exponent of infinities and NaN in the upper 16 bits of a number, which hold it whole in every type. */
const NO_NUMBER: Readonly<Partial<Record<SafetensorsDType, number>>> = {
  F16: 0x7c00,
  BF16: 0x7f80,
  F32: 0x7f80,
  F64: 0x7ff0,
};

/** False for infinities and NaN among whole numbers as a file holds them. */
function areFinite(fileType: SafetensorsDType, { buffer, byteOffset, byteLength }: Uint8Array): boolean {
  const exponent = NO_NUMBER[fileType];
  if (exponent === undefined) return true;
  const words = new Uint16Array(buffer, byteOffset, byteLength / 2);
  const step = ELEMENT_BYTES[fileType] / 2;
  for (let i = step - 1; i < words.length; i += step) if ((words[i]! & exponent) === exponent) return false;
  return true;
}

function* roundedChunks(
  where: string,
  values: Float32Array,
  fileType: SafetensorsDType,
  { round, wayOut }: Rounded,
): Generator<Uint8Array> {
  for (let done = 0; done < values.length; done += PIECE_BYTES / 2) {
    const source = values.subarray(done, done + PIECE_BYTES / 2);
    const target = new Uint16Array(source.length);
    const misfit = round(source, target);
    if (misfit >= 0) {
      throw new CheckpointError(`${where} holds ${source[misfit]}, which ${fileType} cannot hold; ${wayOut}`);
    }
    yield bytesOf(target);
  }
}
