import { ELEMENT_BYTES } from "../../src/files/safetensors-header.js";
import type { Rng } from "../../src/tensor/random.js";
import { mutateBytes } from "./byte-mutations.js";
import { chance, pick, weighted } from "./choice.js";
import { hostileString, hostileValue } from "./hostile-values.js";
import { mutateJson } from "./json-mutations.js";

interface Entry {
  readonly dtype: string;
  readonly shape: readonly unknown[];
  readonly data_offsets: readonly [number, number];
}

interface StoredTensor {
  name: string;
  dtype: string;
  shape: readonly unknown[];
  bytes: Uint8Array;
}

interface File {
  readonly metadata: unknown;
  readonly tensors: StoredTensor[];
}

/** Changes a safetensors file: bytes, header length, header, or the tensors with a header that fits them again. */
export function mutateSafetensors(rng: Rng, bytes: Uint8Array): Uint8Array {
  const file = parse(bytes);
  if (file === undefined) return mutateBytes(rng, bytes);
  return weighted<Uint8Array>(rng, [
    [1, () => mutateBytes(rng, bytes)],
    [1, () => tamperWithLength(rng, bytes)],
    [2, () => withHeader(mutateJson(rng, headerText(file)), data(file))],
    [2, () => withHeader(encode(tamperWithOffsets(rng, file)), data(file))],
    [4, () => rewritten(rng, file)],
  ]);
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

function parse(bytes: Uint8Array): File | undefined {
  try {
    const length = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
    const { __metadata__: metadata, ...entries } = JSON.parse(decode(bytes.subarray(8, 8 + length)));
    const tensors = Object.entries(entries as Record<string, Entry>).map(([name, { dtype, shape, data_offsets }]) => {
      const [begin, end] = data_offsets;
      return { name, dtype, shape, bytes: bytes.slice(8 + length + begin, 8 + length + end) };
    });
    return tensors.every(({ shape }) => Array.isArray(shape)) ? { metadata, tensors } : undefined;
  } catch {
    return undefined;
  }
}

function headerText({ metadata, tensors }: File): string {
  let end = 0;
  const entries = tensors.map(({ name, dtype, shape, bytes }) => {
    const begin = end;
    end += bytes.length;
    return `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`;
  });
  if (metadata !== undefined) entries.unshift(`"__metadata__":${JSON.stringify(metadata)}`);
  return `{${entries.join(",")}}`;
}

function data({ tensors }: File): Uint8Array {
  const all = new Uint8Array(tensors.reduce((sum, { bytes }) => sum + bytes.length, 0));
  let end = 0;
  for (const { bytes } of tensors) {
    all.set(bytes, end);
    end += bytes.length;
  }
  return all;
}

function withHeader(header: Uint8Array, tensors: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + header.length + tensors.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(header, 8);
  bytes.set(tensors, 8 + header.length);
  return bytes;
}

function tamperWithLength(rng: Rng, bytes: Uint8Array): Uint8Array {
  const changed = bytes.slice();
  const view = new DataView(changed.buffer);
  const length = view.getBigUint64(0, true);
  const near = [
    length - 1n,
    length + 1n,
    length + 8n,
    length / 2n,
    length * 2n,
    BigInt(bytes.length),
    BigInt(bytes.length) - 8n,
  ];
  const far = [0n, 1n, 2n, 100_000_000n, 100_000_001n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
  view.setBigUint64(0, BigInt.asUintN(64, pick(rng, [...near, ...far])), true);
  return changed;
}

/** The header with the offsets, the shape or the type of one tensor changed. */
function tamperWithOffsets(rng: Rng, file: File): string {
  const header = JSON.parse(headerText(file)) as Record<
    string,
    { dtype: unknown; shape: unknown; data_offsets: unknown[] }
  >;
  const names = Object.keys(header).filter((name) => name !== "__metadata__");
  if (names.length === 0) return headerText(file);
  const entry = header[pick(rng, names)]!;
  const [begin, end] = entry.data_offsets as [number, number];
  const other = header[pick(rng, names)]!;
  weighted<void>(rng, [
    [
      4,
      () => {
        entry.data_offsets = pick<unknown[]>(rng, [
          ...[
            [begin + 1, end],
            [begin, end + 1],
            [begin - 1, end],
            [begin + 4, end + 4],
            [end, begin],
            [begin],
            [begin, end, end],
          ],
          ...[
            [-begin - 1, end],
            [begin, 2 ** 53 - 1],
            [2 ** 53, 2 ** 53 + 8],
            [0, 1e308],
            [0.5, end + 0.5],
            ["0", "8"],
            [null, end],
          ],
          ...[[...other.data_offsets], [begin, begin], [0, 0], [end, end]],
        ]);
      },
    ],
    [
      3,
      () => {
        entry.shape = pick<unknown>(rng, [
          ...[
            [2 ** 32, 2 ** 32],
            [2 ** 53 - 1, 2],
            [2 ** 31, 2 ** 31, 0],
            [-1],
            [1e308, 1e308],
            [0.5],
            new Array(5000).fill(1),
          ],
          ...[
            [2 ** 26, 2 ** 27],
            [...(entry.shape as unknown[]), 1],
            [...(entry.shape as unknown[]), 0],
            [],
            "4",
            null,
            [[1]],
            other.shape,
          ],
        ]);
      },
    ],
    [
      2,
      () => {
        entry.dtype = pick<unknown>(rng, [...Object.keys(ELEMENT_BYTES), "f32", "F4", "", 1, null, "__proto__"]);
      },
    ],
  ]);
  return JSON.stringify(header);
}

const SAME_SIZE: readonly (readonly string[])[] = [
  ["F32", "I32", "U32"],
  ["F16", "BF16", "I16", "U16"],
  ["U8", "I8", "BOOL", "F8_E4M3", "F8_E5M2"],
  ["F64", "I64", "U64"],
];

/** Other tensors in a file that is sound by itself, so that what reads the tensors has to notice. */
function rewritten(rng: Rng, file: File): Uint8Array {
  const { tensors } = file;
  for (let changes = pick(rng, [1, 1, 2]); changes > 0 && tensors.length > 0; changes--) {
    const tensor = pick(rng, tensors);
    weighted<void>(rng, [
      [2, () => void tensors.splice(tensors.indexOf(tensor), 1)],
      [2, () => void Object.assign(tensor, { name: renamed(rng, tensor.name, tensors) })],
      [2, () => void tensors.push({ ...tensor, name: renamed(rng, tensor.name, tensors) })],
      [3, () => retype(rng, tensor)],
      [3, () => resize(rng, tensor)],
      [2, () => setElements(rng, tensor)],
      [5, () => mutateState(rng, tensors)],
      [1, () => void Object.assign(tensor, { bytes: pick(rng, tensors).bytes })],
      [0.03, () => addEmpty(tensors, tensor, pick(rng, [15_000, MOST_TENSORS]))],
    ]);
  }
  const metadata = chance(rng, 0.15) ? changedMetadata(rng, file.metadata) : file.metadata;
  return withHeader(encode(headerText({ metadata, tensors })), data(file));
}

/** As many as break a call that takes each as an argument. */
const MOST_TENSORS = 150_000;

function addEmpty(tensors: StoredTensor[], like: StoredTensor, count: number): void {
  const none = { ...like, shape: [0], bytes: new Uint8Array(0) };
  for (let i = 0; i < count; i++) tensors.push({ ...none, name: `${like.name}.${i}` });
}

function renamed(rng: Rng, name: string, tensors: readonly StoredTensor[]): string {
  const parts = name.split(".");
  return pick(rng, [
    ...[
      `${name}x`,
      `x.${name}`,
      parts.slice(1).join("."),
      parts.slice(0, -1).join("."),
      hostileString(rng),
      name.repeat(400),
    ],
    ...[
      `${name}.quant_state.bitsandbytes__nf4`,
      `${name}.absmax`,
      name.replace(/weight$/, "SCB"),
      name.replace(/\d+/, "99"),
    ],
    ...[
      name.replace("lora_A", "lora_B"),
      name.replace("nf4", "fp4"),
      name.replace("bitsandbytes__nf4", "other"),
      `${name}.weight`,
    ],
    ...[
      ".".repeat(3000),
      `${pick(rng, tensors).name}.${parts.at(-1)}`,
      "__metadata__",
      name.replace("base_model.model.", ""),
    ],
  ]);
}

function retype(rng: Rng, tensor: StoredTensor): void {
  const same = SAME_SIZE.find((types) => types.includes(tensor.dtype));
  if (same !== undefined && chance(rng, 0.7)) {
    tensor.dtype = pick(rng, same);
    return;
  }
  const dtype = pick(rng, Object.keys(ELEMENT_BYTES) as (keyof typeof ELEMENT_BYTES)[]);
  const elements = (tensor.shape as number[]).reduce((product, size) => product * size, 1);
  tensor.bytes = Uint8Array.from({ length: Math.min(elements, 4096) * ELEMENT_BYTES[dtype] }, () => rng.below(256));
  tensor.dtype = dtype;
  if (elements > 4096) tensor.shape = [4096];
}

/** Shapes that an earlier change made larger stay without their elements. */
const MAX_RESIZED = 2 ** 16;

function resize(rng: Rng, tensor: StoredTensor): void {
  const width = ELEMENT_BYTES[tensor.dtype as keyof typeof ELEMENT_BYTES] ?? 1;
  const shape = tensor.shape as number[];
  const elements = tensor.bytes.length / width;
  const other = pick(rng, [
    [...shape].reverse(),
    [elements],
    [elements, 1],
    [1, elements],
    [...shape, 1],
    [],
    [0],
    [1],
    [shape[0]! + 1, ...shape.slice(1)],
    [3, 5],
  ]);
  const size = width * other.reduce((product, side) => product * side, 1);
  if (!(size >= 0 && size <= MAX_RESIZED)) return;
  const bytes = new Uint8Array(size);
  bytes.set(tensor.bytes.subarray(0, bytes.length));
  Object.assign(tensor, { shape: other, bytes });
}

function setElements(rng: Rng, tensor: StoredTensor): void {
  const bytes = tensor.bytes.slice();
  const pattern = pick(rng, [
    [0xff],
    [0x00],
    [0x00, 0x00, 0x80, 0x7f],
    [0x00, 0x00, 0xc0, 0x7f],
    [0x00, 0x7c],
    [0xff, 0xff, 0x7f, 0x7f],
    [0x80],
  ]);
  const from = rng.below(bytes.length + 1);
  for (let i = from - (from % 4); i < bytes.length && i < from + 64; i++) bytes[i] = pattern[i % pattern.length]!;
  tensor.bytes = bytes;
}

/** Changes the JSON of a quant_state, where the file has one. */
function mutateState(rng: Rng, tensors: readonly StoredTensor[]): void {
  const states = tensors.filter(({ name }) => name.includes(".quant_state"));
  if (states.length === 0) return;
  const state = pick(rng, states);
  state.bytes = mutateJson(rng, decode(state.bytes));
  state.shape = [state.bytes.length];
}

function changedMetadata(rng: Rng, metadata: unknown): unknown {
  const present = typeof metadata === "object" && metadata !== null ? metadata : {};
  const keys = Object.keys(present);
  const value = pick(rng, ["", "-1", "1e400", "0x1", "NaN", " 3 ", hostileString(rng), "1", "2"]);
  if (keys.length === 0 || chance(rng, 0.1)) return pick(rng, [hostileValue(rng), { a: value }, undefined]);
  const { [pick(rng, keys)]: _, ...fewer } = present as Record<string, string>;
  return pick<unknown>(rng, [{ ...present, [pick(rng, keys)]: value }, fewer]);
}
