import type { FileReader } from "#platform";
import { CheckpointError } from "../base/errors.js";
import { shortened } from "../base/json.js";
import { append } from "../base/lists.js";
import { checkpointFault } from "../files/faults.js";
import { withOpenFile } from "../files/open-file.js";
import {
  GGUF_NUMBER_BYTES,
  GGUF_VALUE_TYPES,
  type GgufArray,
  type GgufItem,
  type GgufNumberType,
  type GgufType,
  type GgufValue,
  type GgufValueType,
  ggufTypeNumbered,
} from "./types.js";

/** Location of one tensor in a GGUF file. */
export interface GgufEntry {
  readonly name: string;
  readonly type: GgufType;
  /** Slowest axis first, as everywhere but in the file. */
  readonly shape: readonly number[];
  /** Offset of the first byte from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/** Header of a GGUF file. Entries are in the order of their bytes. */
export interface GgufHeader {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly entries: readonly GgufEntry[];
  /** Length of the file. */
  readonly fileBytes: number;
}

/** Options for reading a header. */
export interface GgufHeaderOptions {
  /** True to read lists of any length, such as those of tokens. Default: lists of more than 64 values are skipped. */
  readonly lists?: boolean;
}

/** The first bytes, "GGUF", as a little-endian number. */
export const GGUF_MAGIC = 0x46554747;

/** Multiples of so many bytes at which tensors begin, where `general.alignment` does not say otherwise. */
export const GGUF_ALIGNMENT = 32;

/** Bytes that are read at once. */
const WINDOW_BYTES = 2 ** 18;

/** More keys, tensors or list values than any model has. */
const MAX_KEYS = 2 ** 16;
const MAX_TENSORS = 2 ** 18;
const MAX_ITEMS = 2 ** 24;

/** Longest name, and longest text, such as a chat template. */
const MAX_NAME_BYTES = 1000;
const MAX_TEXT_BYTES = 2 ** 26;

/** Nesting of lists; no known key has any. */
const MAX_DEPTH = 4;

/** ggml's limit. */
const MAX_AXES = 4;

/** Longest list that is read without being asked for. */
const SHORT_LIST = 64;

/** Fewest bytes of a key with its value, and of the description of a tensor. */
const MIN_KEY_BYTES = 8 + 4 + 1;
const MIN_ENTRY_BYTES = 8 + 4 + 4 + 8;

/**
 * Reads and checks only the header: version, lengths, counts, types, shapes, offsets, overlaps, gaps, duplicates,
 * encoding. Nothing of the size that the header claims is allocated before the file is known to have as many bytes.
 * @throws CheckpointError for a file that is no GGUF file, and listing all faults of its tensors.
 */
export function readGgufHeader(path: string, options: GgufHeaderOptions = {}): Promise<GgufHeader> {
  return withOpenFile(path, async (reader) => {
    try {
      return await parseHeader(path, new HeaderBytes(reader), options);
    } catch (error) {
      if (!(error instanceof Damage)) throw error;
      throw new CheckpointError(
        `${path} is not a GGUF file, or is damaged: ${error.message}; download or convert it again`,
      );
    }
  });
}

/** A fault in the bytes after which nothing can be read. */
class Damage extends Error {}

async function parseHeader(
  path: string,
  bytes: HeaderBytes,
  { lists = false }: GgufHeaderOptions,
): Promise<GgufHeader> {
  await bytes.require(24, "its first 24 bytes");
  const magic = bytes.number("uint32");
  if (magic !== GGUF_MAGIC) throw new Damage("it does not begin with GGUF");
  const version = requireVersion(bytes.number("uint32") as number);
  const tensors = bytes.count(MIN_ENTRY_BYTES, MAX_TENSORS, "tensors");
  const keys = bytes.count(MIN_KEY_BYTES, MAX_KEYS, "keys");
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < keys; i++) {
    const key = await bytes.text(MAX_NAME_BYTES, `key ${i + 1} of ${keys}`);
    if (metadata.has(key)) throw new Damage(`it holds the key "${shortened(key)}" twice`);
    metadata.set(key, await readValue(bytes, `key "${shortened(key)}"`, lists));
  }
  const alignment = alignmentOf(metadata);
  const infos: TensorInfo[] = [];
  for (let i = 0; i < tensors; i++) infos.push(await readInfo(bytes, `tensor ${i + 1} of ${tensors}`));
  const fileBytes = bytes.size;
  const dataStart = Math.ceil(bytes.offset / alignment) * alignment;
  return { version, metadata, entries: checkedEntries(path, infos, { alignment, dataStart, fileBytes }), fileBytes };
}

function requireVersion(version: number): number {
  if (version === 2 || version === 3) return version;
  if (version === 0x02000000 || version === 0x03000000)
    throw new Damage("it is big-endian, which is not supported; convert it as little-endian");
  throw new Damage(`it is of version ${version}, and only 2 and 3 can be read`);
}

async function readValue(bytes: HeaderBytes, where: string, lists: boolean): Promise<GgufValue> {
  const type = await readValueType(bytes, where);
  if (type === "array") return readArray(bytes, where, lists, 1);
  const value = await readItem(bytes, type, where);
  return { type, value: type === "float32" ? shortestFloat32(value as number) : value } as GgufValue;
}

/** The shortest decimal number that is this one in float32: 0.1 and not 0.10000000149011612. */
function shortestFloat32(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}

async function readValueType(bytes: HeaderBytes, where: string): Promise<GgufValueType> {
  await bytes.require(4, where);
  const number = bytes.number("uint32") as number;
  const type = GGUF_VALUE_TYPES[number];
  if (type === undefined)
    throw new Damage(`${where} is of type ${number}, and types go to ${GGUF_VALUE_TYPES.length - 1}`);
  return type;
}

async function readArray(bytes: HeaderBytes, where: string, lists: boolean, depth: number): Promise<GgufArray> {
  if (depth > MAX_DEPTH) throw new Damage(`${where} holds lists within lists, more than ${MAX_DEPTH} deep`);
  const of = await readValueType(bytes, where);
  await bytes.require(8, where);
  const itemBytes = fewestBytes(of);
  const count = bytes.count(itemBytes, MAX_ITEMS, `values in ${where}`);
  const isRead = lists || count <= SHORT_LIST;
  if (!isRead && of !== "array") {
    if (of === "string") await bytes.skipTexts(count, where);
    else bytes.skip(count * itemBytes, where);
    return { type: "array", of, count, items: undefined };
  }
  const items: GgufItem[] = [];
  for (let i = 0; i < count; i++) {
    const item = of === "array" ? await readArray(bytes, where, lists, depth + 1) : await readItem(bytes, of, where);
    if (isRead) items.push(item);
  }
  return { type: "array", of, count, items: isRead ? items : undefined };
}

/** Fewest bytes of a value of the type. */
function fewestBytes(type: GgufValueType): number {
  if (type === "array") return 4 + 8;
  if (type === "string") return 8;
  return type === "bool" ? 1 : GGUF_NUMBER_BYTES[type];
}

async function readItem(
  bytes: HeaderBytes,
  type: Exclude<GgufValueType, "array">,
  where: string,
): Promise<number | bigint | boolean | string> {
  if (type === "string") return bytes.text(MAX_TEXT_BYTES, where);
  const width = fewestBytes(type);
  if (!bytes.holds(width)) await bytes.require(width, where);
  if (type !== "bool") return bytes.number(type);
  const byte = bytes.number("uint8");
  if (byte !== 0 && byte !== 1) throw new Damage(`${where} must be true or false, a byte of 1 or 0, not ${byte}`);
  return byte === 1;
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>): number {
  const stored = metadata.get("general.alignment");
  if (stored === undefined) return GGUF_ALIGNMENT;
  const alignment = stored.type === "uint32" ? Number(stored.value) : 0;
  // A power of two has one bit.
  if (alignment > 0 && (alignment & (alignment - 1)) === 0) return alignment;
  throw new Damage("general.alignment must be a power of two, as a uint32");
}

/** The description of a tensor, as it stands in the file. */
interface TensorInfo {
  readonly name: string;
  readonly shape: readonly (number | bigint)[];
  readonly type: number;
  /** From the start of the data. */
  readonly offset: number | bigint;
}

async function readInfo(bytes: HeaderBytes, where: string): Promise<TensorInfo> {
  const name = await bytes.text(MAX_NAME_BYTES, where);
  await bytes.require(4, where);
  const axes = bytes.number("uint32") as number;
  if (axes > MAX_AXES) throw new Damage(`${where}, "${shortened(name)}", has ${axes} axes, more than ${MAX_AXES}`);
  await bytes.require(8 * axes + 4 + 8, where);
  const shape = Array.from({ length: axes }, () => bytes.number("uint64")).reverse();
  return { name, shape, type: bytes.number("uint32") as number, offset: bytes.number("uint64") };
}

interface DataLayout {
  readonly alignment: number;
  readonly dataStart: number;
  readonly fileBytes: number;
}

function checkedEntries(path: string, infos: readonly TensorInfo[], layout: DataLayout): GgufEntry[] {
  const faults: string[] = [];
  const entries: GgufEntry[] = [];
  const names = new Set<string>();
  for (const info of infos) {
    if (names.has(info.name)) faults.push(`tensor "${info.name}" is described twice`);
    names.add(info.name);
    const entry = checkedEntry(info, layout);
    if (typeof entry === "string") faults.push(`tensor "${info.name}": ${entry}`);
    else entries.push(entry);
  }
  entries.sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength);
  if (faults.length === 0) append(faults, coverageFaults(entries, layout));
  if (faults.length > 0) throw checkpointFault(`${path} is damaged; download or convert it again`, faults);
  return entries;
}

/** The entry of the description, or its fault. */
function checkedEntry(
  { name, shape, type: number, offset }: TensorInfo,
  { alignment, dataStart, fileBytes }: DataLayout,
): GgufEntry | string {
  const type = ggufTypeNumbered(number);
  if (type === undefined) return `its type has the number ${number}, which is none of ggml's, or no longer`;
  const row = Number(shape.at(-1) ?? 1);
  if (row % type.blockElements !== 0) {
    return `its rows have ${row} elements, and ${type.name} has blocks of ${type.blockElements}`;
  }
  const elements = shape.reduce<number>((product, size) => product * Number(size), 1);
  const byteLength = (elements / type.blockElements) * type.blockBytes;
  const begin = dataStart + Number(offset);
  if (Number(offset) % alignment !== 0) return `its offset ${offset} must be a multiple of ${alignment}`;
  if (!(begin + byteLength <= fileBytes)) {
    return `it takes ${byteLength} bytes from byte ${begin}, past the end of the file at ${fileBytes}`;
  }
  // A size of 0 hides any other, however large.
  if (!shape.every((size) => Number.isSafeInteger(size))) return `its shape [${shape.join(", ")}] is too large`;
  return { name, type, shape: shape.map(Number), offset: begin, byteLength };
}

/** Checks that nothing lies between tensors but padding, as llama.cpp does, and that none overlap. */
function coverageFaults(entries: readonly GgufEntry[], { alignment, dataStart }: DataLayout): string[] {
  const faults: string[] = [];
  let end = dataStart;
  let previous = "the start of the data";
  for (const { name, offset, byteLength } of entries) {
    if (offset < end) faults.push(`tensor "${name}" overlaps ${previous} by ${end - offset} bytes`);
    if (offset - end >= alignment) {
      faults.push(`${offset - end} bytes between ${previous} and tensor "${name}" belong to no tensor`);
    }
    end = offset + byteLength;
    previous = `tensor "${name}"`;
  }
  return faults;
}

const READERS: Readonly<Record<GgufNumberType, (view: DataView, at: number) => number | bigint>> = {
  uint8: (view, at) => view.getUint8(at),
  int8: (view, at) => view.getInt8(at),
  uint16: (view, at) => view.getUint16(at, true),
  int16: (view, at) => view.getInt16(at, true),
  uint32: (view, at) => view.getUint32(at, true),
  int32: (view, at) => view.getInt32(at, true),
  uint64: (view, at) => plain(view.getBigUint64(at, true)),
  int64: (view, at) => plain(view.getBigInt64(at, true)),
  float32: (view, at) => view.getFloat32(at, true),
  float64: (view, at) => view.getFloat64(at, true),
};

function plain(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** The bytes of a header from its start on, of which a window is in memory. */
class HeaderBytes {
  readonly size: number;
  readonly #reader: FileReader;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #window: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(this.#window.buffer);
  /** Offset of the window in the file, and of the next byte in the window; it may lie past its end. */
  #start = 0;
  #at = 0;

  constructor(reader: FileReader) {
    this.#reader = reader;
    this.size = reader.size;
  }

  get offset(): number {
    return this.#start + this.#at;
  }

  /** True if the next so many bytes are in memory. */
  holds(bytes: number): boolean {
    return this.#at + bytes <= this.#window.length;
  }

  /** Brings the next so many bytes into memory. @throws Damage if the file has fewer. */
  async require(bytes: number, where: string): Promise<void> {
    this.#requireLeft(bytes, where);
    if (this.holds(bytes)) return;
    const [start, length] = [this.offset, Math.max(bytes, Math.min(WINDOW_BYTES, this.size - this.offset))];
    this.#window = await this.#reader.read(start, length);
    this.#view = new DataView(this.#window.buffer);
    this.#start = start;
    this.#at = 0;
  }

  /** Takes a number from the bytes in memory. */
  number(type: GgufNumberType): number | bigint {
    const value = READERS[type](this.#view, this.#at);
    this.#at += GGUF_NUMBER_BYTES[type];
    return value;
  }

  /** Takes the number of things that follow, each of so many bytes at least. */
  count(bytesEach: number, most: number, of: string): number {
    const count = this.number("uint64");
    if (count > most) throw new Damage(`it claims ${count} ${of}, more than ${most}`);
    if (Number(count) * bytesEach > this.size - this.offset) {
      throw new Damage(`it claims ${count} ${of}, which the ${this.size - this.offset} bytes left cannot hold`);
    }
    return Number(count);
  }

  async text(most: number, where: string): Promise<string> {
    if (!this.holds(8)) await this.require(8, where);
    const length = this.number("uint64");
    if (length > most) throw new Damage(`${where} has a text of ${length} bytes, more than ${most}`);
    const bytes = Number(length);
    if (!this.holds(bytes)) await this.require(bytes, where);
    try {
      return this.#decoder.decode(this.#window.subarray(this.#at, this.#at + bytes));
    } catch {
      throw new Damage(`${where} has a text that is not UTF-8`);
    } finally {
      this.#at += bytes;
    }
  }

  skip(bytes: number, where: string): void {
    this.#requireLeft(bytes, where);
    this.#at += bytes;
  }

  async skipTexts(count: number, where: string): Promise<void> {
    for (let i = 0; i < count; i++) {
      if (!this.holds(8)) await this.require(8, where);
      this.skip(Number(this.number("uint64")), where);
    }
  }

  #requireLeft(bytes: number, where: string): void {
    if (bytes > this.size - this.offset) throw new Damage(`it ends at byte ${this.size}, within ${where}`);
  }
}
