import { CheckpointError } from "../base/errors.js";
import { isObject, kindOf, parseJson, shortened, shownValue } from "../base/json.js";
import { append } from "../base/lists.js";
import { checkpointFault } from "./faults.js";
import { withOpenFile } from "./open-file.js";

/**
 * Bytes per element of the safetensors types whose elements are whole bytes, in the order of the reference
 * implementation.
 */
export const ELEMENT_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const;

/** An element type by its name in safetensors files. */
export type SafetensorsDType = keyof typeof ELEMENT_BYTES;

/** Location of one tensor in a safetensors file. */
export interface SafetensorsEntry {
  readonly name: string;
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  /** Offset of the first byte from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/** Header of a safetensors file. Entries are in the order of their bytes. */
export interface SafetensorsHeader {
  readonly entries: readonly SafetensorsEntry[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Length of the file. */
  readonly fileBytes: number;
}

/** The format's own limit: a longer header means a damaged file. */
const MAX_HEADER_BYTES = 100_000_000;

/** Most tensors of one file; models of experts have tens of thousands in all. */
const MAX_TENSORS = 200_000;

/** Longest name of a tensor, in UTF-16 units, because names are split at their dots many times. */
const MAX_NAME_LENGTH = 1000;

/**
 * Reads and checks only the header: sizes, offsets, overlaps, gaps, duplicates, encoding. All faults come in one error,
 * before anything of the size that the header claims is allocated.
 * @throws CheckpointError listing all faults.
 */
export async function readSafetensorsHeader(path: string): Promise<SafetensorsHeader> {
  return withOpenFile(path, async (reader) => {
    if (reader.size < 8) throw notSafetensors(path, `it has ${reader.size} bytes, fewer than the 8 of a header length`);
    const prefix = await reader.read(0, 8);
    const claimed = new DataView(prefix.buffer).getBigUint64(0, true);
    if (claimed > MAX_HEADER_BYTES) {
      throw notSafetensors(path, `it claims a header of ${claimed} bytes, more than the format's ${MAX_HEADER_BYTES}`);
    }
    const headerBytes = Number(claimed);
    if (8 + headerBytes > reader.size) {
      throw notSafetensors(path, `it claims a header of ${headerBytes} bytes but has only ${reader.size} in all`);
    }
    return parseHeader(path, await reader.read(8, headerBytes), 8 + headerBytes, reader.size);
  });
}

function notSafetensors(path: string, fault: string): CheckpointError {
  return new CheckpointError(`${path} is not a safetensors file, or is damaged: ${fault}; download or save it again`);
}

function tooManyTensors(path: string): CheckpointError {
  const remedy = "save the model in more files";
  return new CheckpointError(
    `${path}: its header lists more than ${MAX_TENSORS} tensors, the most of one file; ${remedy}`,
  );
}

/** Occurrences of a word in a text, counted to one more than `most`. */
function occurrences(text: string, word: string, most: number): number {
  let count = 0;
  for (let at = text.indexOf(word); at >= 0 && count <= most; at = text.indexOf(word, at + word.length)) count++;
  return count;
}

function parseHeader(path: string, bytes: Uint8Array, dataStart: number, fileBytes: number): SafetensorsHeader {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw notSafetensors(path, "the header is not UTF-8");
  }
  // Before the header is parsed, which would take more memory than the file.
  if (occurrences(text, '"data_offsets"', MAX_TENSORS) > MAX_TENSORS) throw tooManyTensors(path);
  let header: unknown;
  try {
    header = parseJson(text);
  } catch (error) {
    throw notSafetensors(path, `the header is not JSON (${(error as Error).message})`);
  }
  if (!isObject(header) || !text.startsWith("{")) {
    throw notSafetensors(path, `the header must be a JSON object, not ${kindOf(header)}`);
  }
  if (Object.keys(header).length > MAX_TENSORS + 1) throw tooManyTensors(path);
  const faults = duplicateKeys(text).map((key) => `the header names ${shortened(key)} twice`);
  const metadata: [string, string][] = [];
  const entries: SafetensorsEntry[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === "__metadata__") {
      // MLX writes null.
      if (value === null) continue;
      if (!isObject(value)) faults.push(`__metadata__ must be an object of strings, not ${kindOf(value)}`);
      for (const [key, entry] of Object.entries(isObject(value) ? value : {})) {
        if (typeof entry === "string") metadata.push([key, entry]);
        else faults.push(`__metadata__ "${shortened(key)}" must be a string, not ${kindOf(entry)}`);
      }
      continue;
    }
    const entry = parseEntry(name, value, dataStart, fileBytes - dataStart);
    if (typeof entry === "string") faults.push(`tensor "${shortened(name)}": ${entry}`);
    else entries.push(entry);
  }
  entries.sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength);
  if (faults.length === 0) append(faults, coverageFaults(entries, dataStart, fileBytes));
  if (faults.length > 0) throw checkpointFault(`${path} is damaged; download or save it again`, faults);
  return { entries, metadata: Object.fromEntries(metadata), fileBytes };
}

/** Parses an entry, or returns its fault. */
function parseEntry(name: string, value: unknown, dataStart: number, dataBytes: number): SafetensorsEntry | string {
  if (/\p{Surrogate}/u.test(name)) return "the name is not well-formed Unicode";
  if (name.length > MAX_NAME_LENGTH) return `the name has ${name.length} characters, more than ${MAX_NAME_LENGTH}`;
  if (!isObject(value)) return `must be an object, not ${kindOf(value)}`;
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string" || !Object.hasOwn(ELEMENT_BYTES, dtype)) {
    return `dtype must be one of ${Object.keys(ELEMENT_BYTES).join(", ")}, not ${shownValue(dtype)}`;
  }
  if (!isSizes(shape)) return `shape must be an array of non-negative integers, not ${shownValue(shape)}`;
  if (!isSizes(offsets) || offsets.length !== 2) {
    return `data_offsets must be two non-negative integers, not ${shownValue(offsets)}`;
  }
  const [begin, end] = offsets as readonly [number, number];
  if (begin > end || end > dataBytes) {
    return `data_offsets [${begin}, ${end}] must rise and stay within the ${dataBytes} bytes of data`;
  }
  const byteLength = shape.reduce((product, size) => product * size, ELEMENT_BYTES[dtype as SafetensorsDType]);
  if (byteLength !== end - begin) {
    return `shape ${shownValue(shape)} of ${dtype} takes ${byteLength} bytes but data_offsets give ${end - begin}`;
  }
  return { name, dtype: dtype as SafetensorsDType, shape, offset: dataStart + begin, byteLength };
}

/** True if the JSON value can be a shape. */
export function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/**
 * Checks that entries cover the data without gaps and overlaps, as the format demands. This also keeps anything from
 * hiding between tensors.
 */
function coverageFaults(entries: readonly SafetensorsEntry[], dataStart: number, fileBytes: number): string[] {
  const faults: string[] = [];
  let end = dataStart;
  let previous = "the header";
  for (const { name, offset, byteLength } of entries) {
    if (offset < end) faults.push(`tensor "${name}" overlaps ${previous} by ${end - offset} bytes`);
    if (offset > end) faults.push(`${offset - end} bytes between ${previous} and tensor "${name}" belong to no tensor`);
    end = offset + byteLength;
    previous = `tensor "${name}"`;
  }
  if (end < fileBytes) faults.push(`the last ${fileBytes - end} bytes of the file belong to no tensor`);
  return faults;
}

/** Finds keys that occur twice in one object of the (valid) JSON text, which `JSON.parse` accepts. */
function duplicateKeys(text: string): string[] {
  const duplicates: string[] = [];
  const open: Set<string>[] = [];
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === "{" || char === "[") open.push(new Set());
    else if (char === "}" || char === "]") open.pop();
    else if (char === '"') {
      const start = i++;
      while (text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
      let next = i + 1;
      while (" \t\r\n".includes(text[next] ?? "end")) next++;
      if (text[next] !== ":") continue;
      const keys = open.at(-1)!;
      const key = JSON.stringify(JSON.parse(text.slice(start, i + 1)));
      if (keys.has(key)) duplicates.push(key);
      keys.add(key);
    }
  }
  return duplicates;
}
