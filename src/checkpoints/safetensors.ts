import { type FileReader, openForReading, writeFileAtomic } from "#platform";
import type { DType, HostTensor } from "../tensor/dtype.js";
import { CheckpointError } from "../tensor/errors.js";
import { CONVERSIONS, hostDType, tryAllocate } from "./element-conversion.js";
import { checkpointFault } from "./faults.js";
import { readSafetensorsHeader, type SafetensorsDType, type SafetensorsEntry } from "./safetensors-header.js";

/** What a safetensors file holds. */
export interface Safetensors {
  readonly tensors: Map<string, HostTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Converted elements pass through a buffer of this size. */
const CONVERSION_BYTES = 2 ** 22;

/**
 * Reads a safetensors file of any size: F32, I32, I8, U8 and BOOL as they are, F16, BF16 and F64 as float32, I64 as int32.
 * @param options.names reads these tensors alone.
 * @throws CheckpointError with all that is wrong, before memory for tensors is taken; and for values that float32 or int32
 * cannot hold.
 */
export async function readSafetensors(
  path: string,
  { names }: { names?: Iterable<string> } = {},
): Promise<Safetensors> {
  const { entries, metadata } = await readSafetensorsHeader(path);
  const wanted = names === undefined ? undefined : new Set(names);
  const chosen = entries.filter(({ name }) => wanted?.has(name) ?? true);
  const known = new Set(chosen.map(({ name }) => name));
  const faults = [...(wanted ?? [])].filter((name) => !known.has(name)).map((name) => `tensor "${name}" is missing`);
  for (const { name, dtype } of chosen) {
    if (hostDType(dtype) !== undefined) continue;
    faults.push(`tensor "${name}" is of type ${dtype}, which is not supported; save it as F32, F16 or BF16`);
  }
  if (faults.length > 0) throw checkpointFault(path, faults);

  const tensors = new Map<string, HostTensor>();
  const reader = await openForReading(path);
  try {
    for (const entry of chosen) tensors.set(entry.name, await readTensor(path, reader, entry));
  } finally {
    await reader.close();
  }
  return { tensors, metadata };
}

async function readTensor(path: string, reader: FileReader, entry: SafetensorsEntry): Promise<HostTensor> {
  const { name, shape, offset, byteLength } = entry;
  const dtype = hostDType(entry.dtype)!;
  const where = `${path}: tensor "${name}"`;
  const data = tryAllocate(dtype, elementCount(shape));
  if (data === undefined) {
    throw new CheckpointError(`${where} of shape [${shape.join(", ")}] does not fit into memory; free some memory`);
  }
  const conversion = CONVERSIONS[entry.dtype];
  if (conversion === undefined) {
    const bytes = new Uint8Array(data.buffer);
    await reader.readInto(bytes, offset);
    if (dtype === "bool" && bytes.some((byte) => byte > 1)) {
      throw new CheckpointError(`${where} is BOOL but holds bytes other than 0 and 1; save it again, or as U8`);
    }
    return { dtype, shape, data };
  }
  for (let done = 0; done < byteLength; done += CONVERSION_BYTES) {
    const source = await reader.read(offset + done, Math.min(CONVERSION_BYTES, byteLength - done));
    const first = done / conversion.bytes;
    const target = data.subarray(first, first + source.length / conversion.bytes);
    const misfit = conversion.convert(new DataView(source.buffer), target);
    if (misfit === undefined) continue;
    throw new CheckpointError(`${where} is of type ${entry.dtype} and holds ${misfit}, which ${dtype} cannot hold`);
  }
  return { dtype, shape, data };
}

const FILE_TYPES: Readonly<Record<DType, SafetensorsDType>> = {
  float32: "F32",
  int32: "I32",
  int8: "I8",
  uint8: "U8",
  bool: "BOOL",
};

/** The reference implementation orders tensors by alignment, widest first, so that each starts at a multiple of its own. */
const WRITE_ORDER: readonly DType[] = ["float32", "int32", "int8", "uint8", "bool"];

/**
 * Writes a safetensors file that appears whole or not at all, byte for byte as the reference implementation does.
 * Tensors are written from where they lie, without a copy. @throws CheckpointError
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): Promise<void> {
  const faults = [...tensors].flatMap(([name, tensor]) => tensorFaults(name, tensor));
  if (faults.length > 0) throw checkpointFault(`cannot write ${path}`, faults);
  const ordered = [...tensors].sort(
    ([a, { dtype: typeA }], [b, { dtype: typeB }]) =>
      WRITE_ORDER.indexOf(typeA) - WRITE_ORDER.indexOf(typeB) || (a < b ? -1 : 1),
  );
  await writeFileAtomic(path, fileChunks(ordered, metadata));
}

function tensorFaults(name: string, { dtype, shape, data }: HostTensor): string[] {
  const faults: string[] = [];
  if (name === "__metadata__") faults.push(`tensor "${name}" has a name that the format keeps for itself; rename it`);
  if (data.length !== elementCount(shape)) {
    faults.push(
      `tensor "${name}" of shape [${shape.join(", ")}] must have ${elementCount(shape)} elements, not ${data.length}`,
    );
  }
  const arrays = { float32: Float32Array, int32: Int32Array, int8: Int8Array, uint8: Uint8Array, bool: Uint8Array };
  if (!(data instanceof arrays[dtype])) {
    faults.push(`tensor "${name}" is ${dtype} but its data is a ${data.constructor.name}`);
  }
  return faults;
}

function* fileChunks(
  ordered: readonly (readonly [string, HostTensor])[],
  metadata: Readonly<Record<string, string>>,
): Generator<Uint8Array> {
  const header: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0)
    header.push(["__metadata__", Object.fromEntries(Object.entries(metadata).sort())]);
  let end = 0;
  for (const [name, { dtype, shape, data }] of ordered) {
    const begin = end;
    end += data.byteLength;
    header.push([name, { dtype: FILE_TYPES[dtype], shape, data_offsets: [begin, end] }]);
  }
  // Not Object.fromEntries: an object would move names that look like numbers to the front.
  const text = `{${header.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(",")}}`;
  const bytes = new TextEncoder().encode(text);
  const padded = new Uint8Array(8 + Math.ceil(bytes.length / 8) * 8).fill(0x20);
  new DataView(padded.buffer).setBigUint64(0, BigInt(padded.length - 8), true);
  padded.set(bytes, 8);
  yield padded;
  for (const [, { data }] of ordered) yield new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
