import type { FileReader } from "#platform";
import { CheckpointError } from "../base/errors.js";
import { shortened } from "../base/json.js";
import { append } from "../base/lists.js";
import { withOpenFile } from "../files/open-file.js";

/** A tensor that an ONNX model holds, takes or returns. A dynamic size is its name, or "?" without one. */
export interface OnnxTensorHeader {
  readonly name: string;
  /** ONNX's name: FLOAT, INT64. */
  readonly dtype: string;
  readonly shape: readonly (number | string)[];
}

/** Description of an ONNX model, without its weights. */
export interface OnnxHeader {
  readonly irVersion: number;
  readonly producer: string;
  /** Version by domain; "" is ONNX itself. */
  readonly opsets: Readonly<Record<string, number>>;
  /** Number of nodes by operator. */
  readonly operators: Readonly<Record<string, number>>;
  readonly inputs: readonly OnnxTensorHeader[];
  readonly outputs: readonly OnnxTensorHeader[];
  readonly initializers: readonly (OnnxTensorHeader & { readonly shape: readonly number[] })[];
  /** Files beside the model that hold initializers. */
  readonly dataFiles: readonly string[];
}

/** Bytes that are read at once. The contents of tensors are skipped. */
const WINDOW_BYTES = 2 ** 17;

/** More than any model has; a damaged file may consist of fields of two bytes. */
const MAX_FIELDS = 2 ** 22;

const MAX_NAME_LENGTH = 1000;

/** Names of TensorProto.DataType. */
const DTYPES: readonly string[] = [
  ...["UNDEFINED", "FLOAT", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "STRING", "BOOL", "FLOAT16"],
  ...["DOUBLE", "UINT32", "UINT64", "COMPLEX64", "COMPLEX128", "BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ"],
  ...["FLOAT8E5M2", "FLOAT8E5M2FNUZ", "UINT4", "INT4", "FLOAT4E2M1"],
];

/** @throws CheckpointError unless the file is an ONNX model, as far as it is read. */
export function readOnnxHeader(path: string): Promise<OnnxHeader> {
  return withOpenFile(path, async (reader) => {
    try {
      return await readModel(new FileBytes(reader));
    } catch (error) {
      if (!(error instanceof Damage)) throw error;
      throw new CheckpointError(`${path} is not an ONNX model, or is damaged: ${error.message}; export it again`);
    }
  });
}

/** A fault in the bytes. */
class Damage extends Error {}

/** A field of a message: a number, or bytes of the file. Fixed-size numbers are skipped. */
interface Field {
  readonly number: number;
  readonly value: number;
  /** Location of the content, for bytes. */
  readonly content: Span | undefined;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** The bytes of a file, of which a window at the last ones read is in memory. */
class FileBytes {
  readonly size: number;
  readonly #reader: FileReader;
  #window: Uint8Array = new Uint8Array(0);
  #start = 0;
  #fields = 0;

  constructor(reader: FileReader) {
    this.#reader = reader;
    this.size = reader.size;
  }

  /** Reads a span that is no longer than the window. */
  async read({ start, end }: Span): Promise<Uint8Array> {
    if (start < this.#start || end > this.#start + this.#window.length) {
      this.#window = await this.#reader.read(start, Math.min(this.size - start, WINDOW_BYTES));
      this.#start = start;
    }
    return this.#window.subarray(start - this.#start, end - this.#start);
  }

  async text(span: Span): Promise<string> {
    const length = span.end - span.start;
    if (length > MAX_NAME_LENGTH) throw new Damage(`a name has ${length} bytes, more than ${MAX_NAME_LENGTH}`);
    return new TextDecoder().decode(await this.read(span));
  }

  /** Iterates over the fields of a message. */
  async *fields({ start, end }: Span): AsyncGenerator<Field> {
    for (let at = start; at < end; ) {
      if (++this.#fields > MAX_FIELDS) throw new Damage(`it has more than ${MAX_FIELDS} fields`);
      // A tag and a number or length have at most 10 bytes each.
      const bytes = await this.read({ start: at, end: Math.min(end, at + 20) });
      const [tag, tagBytes] = varint(bytes, 0);
      const [number, wire] = [Math.floor(tag / 8), tag % 8];
      at += tagBytes;
      if (number === 0) throw new Damage(`byte ${at} begins no field`);
      if (wire === 0) {
        const [value, length] = varint(bytes, tagBytes);
        at += length;
        yield { number, value, content: undefined };
      } else if (wire === 2) {
        const [length, lengthBytes] = varint(bytes, tagBytes);
        at += lengthBytes;
        if (length > end - at) throw new Damage(`a field at byte ${at} is said to have ${length} bytes, past its end`);
        yield { number, value: 0, content: { start: at, end: at + length } };
        at += length;
      } else if (wire === 1 || wire === 5) {
        at += wire === 1 ? 8 : 4;
        if (at > end) throw new Damage(`a field ends at byte ${at}, past its message`);
      } else {
        throw new Damage(`a field at byte ${at} is of the unknown kind ${wire}`);
      }
    }
  }

  /** Iterates over the message in a field. */
  message({ number, content }: Field): AsyncGenerator<Field> {
    return this.fields(requireContent(number, content));
  }

  string({ number, content }: Field): Promise<string> {
    return this.text(requireContent(number, content));
  }
}

function requireContent(number: number, content: Span | undefined): Span {
  if (content === undefined) throw new Damage(`field ${number} holds a number where there must be bytes`);
  return content;
}

/** Reads a number and its length in bytes. Negative ones become −1, which none of the numbers used here may be. */
function varint(bytes: Uint8Array, from: number): [value: number, length: number] {
  let value = 0;
  for (let i = 0; i < 10; i++) {
    const byte = bytes[from + i];
    if (byte === undefined) throw new Damage("it ends within a number");
    if (i < 7) value += (byte % 128) * 128 ** i;
    if (byte < 128) return [i < 8 ? value : -1, i + 1];
  }
  throw new Damage("a number has more than 64 bits");
}

async function readModel(file: FileBytes): Promise<OnnxHeader> {
  let [irVersion, producer] = [0, ""];
  const opsets: [string, number][] = [];
  let graph: Awaited<ReturnType<typeof readGraph>> | undefined;
  for await (const field of file.fields({ start: 0, end: file.size })) {
    if (field.number === 1) irVersion = field.value;
    else if (field.number === 2) producer = await file.string(field);
    else if (field.number === 7) graph = await readGraph(file, field);
    else if (field.number === 8) opsets.push(await readOpset(file, field));
  }
  if (graph === undefined || irVersion <= 0) throw new Damage("it has no graph, or no version");
  return { irVersion, producer, opsets: Object.fromEntries(opsets), ...graph };
}

async function readOpset(file: FileBytes, opset: Field): Promise<[string, number]> {
  let [domain, version] = ["", 0];
  for await (const field of file.message(opset)) {
    if (field.number === 1) domain = await file.string(field);
    else if (field.number === 2) version = field.value;
  }
  return [domain, version];
}

async function readGraph(
  file: FileBytes,
  graph: Field,
): Promise<Pick<OnnxHeader, "operators" | "inputs" | "outputs" | "initializers" | "dataFiles">> {
  const operators = new Map<string, number>();
  const inputs: OnnxTensorHeader[] = [];
  const outputs: OnnxTensorHeader[] = [];
  const initializers: OnnxHeader["initializers"][number][] = [];
  const dataFiles = new Set<string>();
  for await (const field of file.message(graph)) {
    if (field.number === 1) {
      const operator = await readOperator(file, field);
      operators.set(operator, (operators.get(operator) ?? 0) + 1);
    } else if (field.number === 5) {
      const { location, ...tensor } = await readTensor(file, field);
      initializers.push(tensor);
      if (location !== undefined) dataFiles.add(location);
    } else if (field.number === 11) inputs.push(await readValueInfo(file, field));
    else if (field.number === 12) outputs.push(await readValueInfo(file, field));
  }
  const sorted = [...operators].sort(([a], [b]) => (a < b ? -1 : 1));
  return { operators: Object.fromEntries(sorted), inputs, outputs, initializers, dataFiles: [...dataFiles].sort() };
}

async function readOperator(file: FileBytes, node: Field): Promise<string> {
  let [operator, domain] = ["", ""];
  for await (const field of file.message(node)) {
    if (field.number === 4) operator = await file.string(field);
    else if (field.number === 7) domain = await file.string(field);
  }
  return domain === "" ? operator : `${domain}.${operator}`;
}

async function readTensor(
  file: FileBytes,
  tensor: Field,
): Promise<OnnxHeader["initializers"][number] & { location: string | undefined }> {
  let [name, dtype] = ["", ""];
  let location: string | undefined;
  const shape: number[] = [];
  for await (const field of file.message(tensor)) {
    if (field.number === 1)
      append(shape, field.content === undefined ? [field.value] : await readSizes(file, field.content));
    else if (field.number === 2) dtype = nameOfType(field.value);
    else if (field.number === 8) name = await file.string(field);
    else if (field.number === 13) location ??= await readLocation(file, field);
  }
  if (shape.some((size) => size < 0 || !Number.isSafeInteger(size))) {
    throw new Damage(`initializer "${shortened(name)}" has an invalid size`);
  }
  return { name, dtype, shape, location };
}

/** Reads sizes stored one after another. */
async function readSizes(file: FileBytes, span: Span): Promise<number[]> {
  if (span.end - span.start > MAX_NAME_LENGTH) throw new Damage("an initializer has too many axes");
  const bytes = await file.read(span);
  const sizes: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const [size, length] = varint(bytes, at);
    sizes.push(size);
    at += length;
  }
  return sizes;
}

/** The file named by an entry of external data; undefined for other entries. */
async function readLocation(file: FileBytes, entry: Field): Promise<string | undefined> {
  let [key, value] = ["", ""];
  for await (const field of file.message(entry)) {
    if (field.number === 1) key = await file.string(field);
    else if (field.number === 2) value = await file.string(field);
  }
  return key === "location" ? value : undefined;
}

async function readValueInfo(file: FileBytes, info: Field): Promise<OnnxTensorHeader> {
  let [name, dtype] = ["", "UNDEFINED"];
  const shape: (number | string)[] = [];
  for await (const field of file.message(info)) {
    if (field.number === 1) name = await file.string(field);
    if (field.number !== 2) continue;
    for await (const type of file.message(field)) {
      if (type.number !== 1) continue;
      for await (const part of file.message(type)) {
        if (part.number === 1) dtype = nameOfType(part.value);
        else if (part.number === 2)
          for await (const size of file.message(part)) shape.push(await readDimension(file, size));
      }
    }
  }
  return { name, dtype, shape };
}

async function readDimension(file: FileBytes, dimension: Field): Promise<number | string> {
  for await (const field of file.message(dimension)) {
    if (field.number === 1) return field.value;
    if (field.number === 2) return file.string(field);
  }
  return "?";
}

function nameOfType(code: number): string {
  return DTYPES[code] ?? `type ${code}`;
}
