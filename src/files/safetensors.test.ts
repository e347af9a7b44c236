import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sha256, sha256File } from "#platform";
import { CheckpointError } from "../base/errors.js";
import type { HostTensor } from "../tensor/dtype.js";
import { type LazyTensor, readHostTensor, storeAs, type TensorToWrite } from "./lazy-tensor.js";
import { openSafetensors, readSafetensors, writeSafetensors } from "./safetensors.js";
import { readSafetensorsHeader } from "./safetensors-header.js";

let folder = "";
let file = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-safetensors-"));
  file = path.join(folder, "file.safetensors");
});
afterAll(async () => rm(folder, { recursive: true }));

const golden = async (name: string) => JSON.parse(await readFile(`tests/golden/${name}.json`, "utf8"));
const float32 = (shape: number[], ...values: number[]): HostTensor => ({
  dtype: "float32",
  shape,
  data: new Float32Array(values),
});

/** A file with this header and so many bytes of data; its claimed length is right unless given. */
function fileOf(header: string | Uint8Array, dataBytes: number, claimed?: bigint): Uint8Array {
  const bytes = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const all = new Uint8Array(8 + bytes.length + dataBytes);
  new DataView(all.buffer).setBigUint64(0, claimed ?? BigInt(bytes.length), true);
  all.set(bytes, 8);
  return all;
}

test("the file is byte for byte the reference implementation's, and reads back equal", async () => {
  const tensors = new Map<string, HostTensor>([
    ["z.weight", float32([1, 3], 1.5, -2, 0.25)],
    ["mask", { dtype: "bool", shape: [3], data: new Uint8Array([1, 0, 1]) }],
    ["codes", { dtype: "uint8", shape: [5], data: new Uint8Array([7, 255, 0, 1, 2]) }],
    ["ids", { dtype: "int32", shape: [2, 1], data: new Int32Array([-1, 2 ** 31 - 1]) }],
    ["a.weight", float32([], 0.5)],
    ["empty", float32([0, 4])],
    ['quote " ä', { dtype: "uint8", shape: [1], data: new Uint8Array([3]) }],
  ]);
  await writeSafetensors(file, tensors);
  expect((await readFile(file)).toString("hex")).toBe((await golden("safetensors-layout")).file);
  const back = await readSafetensors(file);
  expect(back.metadata).toEqual({ format: "pt" });
  expect(new Map([...back.tensors].sort())).toEqual(new Map([...tensors].sort()));
});

test("tensors start at multiples of their element size, and numeric names keep their place", async () => {
  const tensors = new Map<string, HostTensor>([
    ["1", { dtype: "uint8", shape: [3], data: new Uint8Array(3) }],
    ["b", float32([2], 1, 2)],
    ["0", { dtype: "uint8", shape: [1], data: new Uint8Array(1) }],
  ]);
  await writeSafetensors(file, tensors, { note: "three" });
  const { entries, metadata } = await readSafetensorsHeader(file);
  expect(metadata).toEqual({ note: "three" });
  expect(entries.map(({ name }) => name)).toEqual(["b", "0", "1"]);
  expect(entries[0]!.offset % 8).toBe(0);
});

test("views into larger buffers are written correctly, and only chosen names are read", async () => {
  const view = new Float32Array([9, 1, 2, 9]).subarray(1, 3);
  await writeSafetensors(
    file,
    new Map([
      ["a", { dtype: "float32", shape: [2], data: view }],
      ["b", float32([1], 5)],
    ]),
  );
  expect((await readSafetensors(file, { names: ["a"] })).tensors).toEqual(new Map([["a", float32([2], 1, 2)]]));
  await expect(readSafetensors(file, { names: ["a", "c", "d"] })).rejects.toThrow(
    /2 faults\n {2}- tensor "c" is missing\n {2}- tensor "d" is missing/,
  );
});

async function readAs(dtype: string, bytes: Uint8Array, count: number): Promise<HostTensor> {
  const header = JSON.stringify({ t: { dtype, shape: [count], data_offsets: [0, bytes.length] } });
  const all = fileOf(header, bytes.length);
  all.set(bytes, all.length - bytes.length);
  await writeFile(file, all);
  return (await readSafetensors(file)).tensors.get("t")!;
}

test.each(["F16", "BF16"])("all 65536 values of %s become the same float32 as in PyTorch", async (dtype) => {
  const { selected, sha256OfAll } = (await golden("half-precision"))[dtype];
  const halves = Uint16Array.from({ length: 2 ** 16 }, (_, i) => i);
  const { dtype: read, data } = await readAs(dtype, new Uint8Array(halves.buffer), 2 ** 16);
  expect(read).toBe("float32");
  const bits = new Uint32Array(data.buffer);
  for (let i = 0; i < bits.length; i++) if (Number.isNaN(data[i])) bits[i] = 0x7fc00000;
  for (const [half, float] of selected) {
    expect([half, bits[Number.parseInt(half, 16)]!.toString(16).padStart(8, "0")]).toEqual([half, float]);
  }
  expect(selected.length).toBe(27);
  expect(sha256(new Uint8Array(bits.buffer))).toBe(sha256OfAll);
});

test("F64 becomes the same float32 as in PyTorch; a number beyond float32 is refused", async () => {
  const { bytes, float32Bits } = (await golden("half-precision")).F64;
  const { data } = await readAs("F64", new Uint8Array(Buffer.from(bytes, "hex")), float32Bits.length);
  expect([...new Uint32Array(data.buffer)].map((b) => b.toString(16).padStart(8, "0"))).toEqual(float32Bits);
  await expect(readAs("F64", new Uint8Array(new Float64Array([1, -1e300]).buffer), 2)).rejects.toThrow(
    'tensor "t" is of type F64 and holds -1e+300, which float32 cannot hold',
  );
});

test("I64 becomes int32 to the edges of its range and is refused beyond", async () => {
  const read = (...values: bigint[]) => readAs("I64", new Uint8Array(new BigInt64Array(values).buffer), values.length);
  const edges = await read(0n, -1n, 2n ** 31n - 1n, -(2n ** 31n), -100n);
  expect(edges).toEqual({ dtype: "int32", shape: [5], data: new Int32Array([0, -1, 2 ** 31 - 1, -(2 ** 31), -100]) });
  for (const value of [2n ** 31n, -(2n ** 31n) - 1n, 2n ** 32n, -(2n ** 63n)]) {
    await expect(read(1n, value)).rejects.toThrow(`holds ${value}, which int32 cannot hold`);
  }
});

test("a conversion is right across the pieces it works in", async () => {
  const count = 2 ** 21 + 3;
  const halves = new Uint16Array(count).fill(0x3f80);
  halves.fill(0x4000, 2 ** 21);
  const { data } = await readAs("BF16", new Uint8Array(halves.buffer), count);
  expect([data[0], data[2 ** 21 - 1], data[2 ** 21], data[count - 1]]).toEqual([1, 1, 2, 2]);
});

test("float32 is written in 16 bits as the reference implementation lays it out, and reads back rounded", async () => {
  const { file: bytes } = await golden("safetensors-half-layout");
  const values = float32([3], 1, -2.5, 65504);
  const tensors = new Map<string, TensorToWrite>([
    ["half", storeAs(values, "F16")],
    ["brain", { ...values, fileType: "BF16" }],
    ["codes", { dtype: "uint8", shape: [1], data: new Uint8Array([7]) }],
    ["signed", { dtype: "int8", shape: [2], data: new Int8Array([-128, 127]) }],
    ["whole", { dtype: "float32", shape: [1], read: async () => new Float32Array([0.1]) }],
    ["ids", { dtype: "int32", shape: [1], data: new Int32Array([-5]) }],
  ]);
  await writeSafetensors(file, tensors);
  expect((await readFile(file)).toString("hex")).toBe(bytes);
  const back = (await readSafetensors(file)).tensors;
  expect(back.get("half")).toEqual(values);
  expect(back.get("brain")).toEqual(float32([3], 1, -2.5, 65536));
  expect(back.get("signed")).toEqual(tensors.get("signed"));
});

test("a number too large for the type in the file is refused with its tensor, and nothing is left behind", async () => {
  const target = path.join(folder, "misfit.safetensors");
  const many = new Float32Array(2 ** 21 + 2).fill(1);
  many[2 ** 21 + 1] = -70000;
  const write = (data: Float32Array, fileType: "F16" | "BF16") =>
    writeSafetensors(target, new Map([["w", { dtype: "float32", shape: [data.length], data, fileType }]]));
  await expect(write(many, "F16")).rejects.toThrow(CheckpointError);
  await expect(write(many, "F16")).rejects.toThrow(
    `cannot write ${target}: tensor "w" holds -70000, which F16 cannot hold; ` +
      "its largest number is 65504; write it as float32 or bfloat16",
  );
  await expect(write(new Float32Array([3.4e38]), "BF16")).rejects.toThrow(/which BF16 cannot hold; write it as F32/);
  expect((await readdir(folder)).filter((name) => name.includes("misfit"))).toEqual([]);
  await write(many.fill(Number.POSITIVE_INFINITY), "F16");
});

test("the type in the file must be one that the dtype can be written as", async () => {
  const write = writeSafetensors(
    path.join(folder, "bad.safetensors"),
    new Map<string, TensorToWrite>([
      ["a", storeAs(float32([1], 1), "F64")],
      ["b", storeAs({ dtype: "int32", shape: [1], data: new Int32Array(1) }, "BF16")],
      ["c", { dtype: "float32", shape: [-1], read: async () => new Float32Array(1) }],
    ]),
  );
  const faults = [
    "3 faults",
    '.*"a" is float32, which is written as F32 or BF16 or F16, not as F64',
    '.*"b" is int32, .* as I32, not as BF16',
    '.*"c" must have sizes',
  ];
  await expect(write).rejects.toThrow(new RegExp(faults.join("\n")));
});

test("tensors of an open file pass through byte for byte, even those that conversion would change", async () => {
  const bytes = { h: [1, 0x7c, 0, 0x80], b: [0x81, 0x7f, 1, 0], d: new Uint8Array(new Float64Array([1 / 3]).buffer) };
  const header = {
    d: { dtype: "F64", shape: [1], data_offsets: [0, 8] },
    b: { dtype: "BF16", shape: [2], data_offsets: [8, 12] },
    h: { dtype: "F16", shape: [2, 1], data_offsets: [12, 16] },
  };
  const text = JSON.stringify(header);
  const all = fileOf(text + " ".repeat(-text.length & 7), 16);
  all.set([...bytes.d, ...bytes.b, ...bytes.h], all.length - 16);
  await writeFile(file, all);
  const target = path.join(folder, "copy.safetensors");
  await writeSafetensors(target, (await openSafetensors(file)).tensors, {});
  expect((await readFile(target)).toString("hex")).toBe(Buffer.from(all).toString("hex"));
});

test("an open file gives types and shapes without reading, then each tensor as often as requested", async () => {
  await writeSafetensors(file, new Map([["a", storeAs(float32([2, 1], 1, 2), "BF16")]]));
  const tensor = (await openSafetensors(file)).tensors.get("a")!;
  expect(tensor).toMatchObject({ dtype: "float32", shape: [2, 1], fileType: "BF16" });
  expect(await tensor.read()).toEqual(new Float32Array([1, 2]));
  expect([...(await tensor.readBytes())]).toEqual([0x80, 0x3f, 0, 0x40]);
  expect(await readHostTensor(tensor)).toEqual(float32([2, 1], 1, 2));
  await writeSafetensors(file, new Map([["a", float32([2, 2], 1, 2, 3, 4)]]));
  await expect(tensor.read()).rejects.toThrow(/tensor "a": the file changed from \d+ to \d+ bytes; start again/);
  await rm(file);
  await expect(tensor.read()).rejects.toThrow(CheckpointError);
});

test("lazy tensors are read, written and released one after another", async () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage: () => void = runInNewContext("gc");
  const target = path.join(folder, "streamed.safetensors");
  const length = 2 ** 16;
  const written: number[] = [];
  const alive: number[] = [];
  const buffers: WeakRef<ArrayBufferLike>[] = [];
  const lazy = (): LazyTensor => ({
    dtype: "float32",
    shape: [length],
    read: async () => {
      const partial = (await readdir(folder)).find((name) => name.startsWith(".streamed"))!;
      written.push((await stat(path.join(folder, partial))).size);
      collectGarbage();
      alive.push(buffers.filter((buffer) => buffer.deref() !== undefined).length);
      const data = new Float32Array(length).fill(1);
      buffers.push(new WeakRef(data.buffer));
      return data;
    },
  });
  const tensors = new Map<string, TensorToWrite>(["a", "b", "c", "d"].map((name) => [name, lazy()]));
  tensors.set("e", storeAs(lazy(), "BF16"));
  await writeSafetensors(target, tensors);
  const header = written[0]!;
  expect(written).toEqual([0, 1, 2, 3, 4].map((done) => header + done * 4 * length));
  expect(alive).toEqual([0, 0, 0, 0, 0]);
  expect((await stat(target)).size).toBe(header + 4.5 * 4 * length);
});

test("what is read and written in pieces comes out whole", async () => {
  const data = Float32Array.from({ length: 2 ** 21 + 3 }, (_, i) => (i % 251) + 1);
  const lazy: LazyTensor = { dtype: "float32", shape: [data.length], read: async () => data };
  const tensors = new Map<string, TensorToWrite>([
    ["whole", lazy],
    ["brain", storeAs(lazy, "BF16")],
    ["half", storeAs(lazy, "F16")],
  ]);
  await writeSafetensors(file, tensors);
  const open = await openSafetensors(file);
  for (const tensor of open.tensors.values()) expect(sha256(await bytesOf(tensor))).toBe(sha256(await bytesOf(lazy)));
  const copy = path.join(folder, "copy.safetensors");
  await writeSafetensors(copy, open.tensors);
  expect(await sha256File(copy)).toBe(await sha256File(file));
});

const bytesOf = async (tensor: LazyTensor): Promise<Uint8Array> => new Uint8Array((await tensor.read()).buffer);

test("a lazy tensor that differs from its description is not written", async () => {
  const target = path.join(folder, "bad.safetensors");
  const write = writeSafetensors(
    target,
    new Map([["a", { dtype: "float32", shape: [3], read: async () => new Int32Array(2) }]]),
  );
  await expect(write).rejects.toThrow(/2 faults\n.*must have 3 elements, not 2\n.*its data is a Int32Array/);
  await expect(readFile(target)).rejects.toThrow("ENOENT");
});

const entry = (dtype: string, shape: unknown, begin: unknown, end: unknown) =>
  JSON.stringify({ dtype, shape, data_offsets: [begin, end] });
const one = (text: string) => `{"a":${text}}`;
const hostile: [string, Uint8Array, RegExp][] = [
  ["nothing", new Uint8Array(0), /has 0 bytes, fewer than the 8/],
  ["a header longer than the file", fileOf("{}", 0, 3n), /claims a header of 3 bytes but has only 10/],
  ["a header of 2^64 - 1 bytes", fileOf("{}", 0, 2n ** 64n - 1n), /claims a header of 18446744073709551615 bytes/],
  ["an empty header", fileOf("", 4), /header is not JSON/],
  ["broken JSON", fileOf('{"a":', 0), /header is not JSON/],
  ["a broken UTF-8 name", fileOf(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 0), /not UTF-8/],
  ["a byte order mark", fileOf("\ufeff{}", 0), /not JSON/],
  ["space before the header", fileOf(" {}", 0), /must be a JSON object/],
  ["an array", fileOf("[]", 0), /must be a JSON object, not an array/],
  ["null", fileOf("null", 0), /must be a JSON object, not null/],
  ["a tensor that is null", fileOf(one("null"), 0), /"a": must be an object, not null/],
  ["half a surrogate pair", fileOf(`{"\\ud800":${entry("U8", [0], 0, 0)}}`, 0), /not well-formed Unicode/],
  ["an unknown dtype", fileOf(one(entry("F31", [1], 0, 4)), 4), /dtype must be one of .*not "F31"/],
  ["a dtype of Object", fileOf(one(entry("constructor", [1], 0, 4)), 4), /dtype must be one of/],
  ["no shape", fileOf('{"a":{"dtype":"F32","data_offsets":[0,4]}}', 4), /shape must be an array/],
  ["a negative size", fileOf(one(entry("F32", [-1, -1], 0, 4)), 4), /non-negative integers, not \[-1,-1\]/],
  ["a fractional size", fileOf(one(entry("F32", [0.5, 2], 0, 4)), 4), /non-negative integers, not \[0.5,2\]/],
  [
    "a size beyond 2^53",
    fileOf(one('{"dtype":"U8","shape":[1e300],"data_offsets":[0,1]}'), 1),
    /non-negative integers/,
  ],
  ["a product that overflows", fileOf(one(entry("U8", [2 ** 52, 2 ** 52, 2 ** 52], 0, 1)), 1), /takes .* bytes but/],
  ["a product of 2^64 + 4 bytes", fileOf(one(entry("F32", [2 ** 31 + 1, 2 ** 31 - 1], 0, 4)), 4), /takes .* bytes but/],
  ["one offset", fileOf('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}', 4), /must be two non-negative/],
  ["a negative offset", fileOf(one(entry("F32", [1], -4, 0)), 4), /must be two non-negative/],
  ["falling offsets", fileOf(one(entry("F32", [1], 4, 0)), 4), /\[4, 0\] must rise/],
  [
    "an end beyond the file",
    fileOf(one(entry("F32", [2 ** 40], 0, 2 ** 42)), 4),
    /must rise and stay within the 4 bytes/,
  ],
  [
    "a shape of another size",
    fileOf(one(entry("F32", [2], 0, 4)), 4),
    /\[2\] of F32 takes 8 bytes but data_offsets give 4/,
  ],
  [
    "an overlap",
    fileOf(`{"a":${entry("U8", [3], 0, 3)},"b":${entry("U8", [2], 2, 4)}}`, 4),
    /tensor "b" overlaps tensor "a" by 1 bytes/,
  ],
  ["the same bytes twice", fileOf(`{"a":${entry("U8", [4], 0, 4)},"b":${entry("U8", [4], 0, 4)}}`, 4), /overlaps/],
  ["a gap", fileOf(one(entry("U8", [2], 2, 4)), 4), /2 bytes between the header and tensor "a" belong to no tensor/],
  ["bytes after the last tensor", fileOf(one(entry("U8", [2], 0, 2)), 4), /the last 2 bytes of the file belong/],
  ["a name twice", fileOf(`{"a":${entry("U8", [4], 0, 4)},"a":${entry("U8", [4], 0, 4)}}`, 4), /names "a" twice/],
  [
    "a name twice, once escaped",
    fileOf(`{"a\\"]":${entry("U8", [4], 0, 4)}, "\\u0061\\"]" :${entry("U8", [4], 0, 4)}}`, 4),
    /names "a\\"]" twice/,
  ],
  [
    "a dtype twice",
    fileOf('{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
    /names "dtype" twice/,
  ],
  ["metadata that is no object", fileOf('{"__metadata__":"pt"}', 0), /__metadata__ must be an object/],
  ["metadata that is no string", fileOf('{"__metadata__":{"format":1}}', 0), /__metadata__ "format" must be a string/],
];

test.each(hostile)("a file with %s is refused", async (_, bytes, message) => {
  await writeFile(file, bytes);
  await expect(readSafetensors(file)).rejects.toThrow(CheckpointError);
  await expect(readSafetensors(file)).rejects.toThrow(message);
  await expect(readSafetensors(file)).rejects.toThrow(file);
});

test("all faults of a header come at once", async () => {
  await writeFile(
    file,
    fileOf(`{"a":${entry("F31", [1], 0, 4)},"b":${entry("F32", [3], 0, 4)},"__metadata__":{"x":0}}`, 4),
  );
  await expect(readSafetensors(file)).rejects.toThrow(/3 faults\n.*"a".*\n.*"b".*\n.*"x"/);
});

test.each(['"data_offsets"', '"data\\u005foffsets"'])("more tensors than any file has are refused: %s", async (key) => {
  const some = (count: number): string =>
    Array.from({ length: count }, (_, i) => `"${i}":{"dtype":"F32","shape":[0],${key}:[0,0]}`).join(",");
  const target = path.join(folder, "many.safetensors");
  await writeFile(target, fileOf(`{${some(200_002)}}`, 0));
  const reading = readSafetensorsHeader(target);
  await expect(reading).rejects.toThrow(CheckpointError);
  await expect(reading).rejects.toThrow(`${target}: its header lists more than 200000 tensors`);
});

test("harmless oddities are read: spaces after the header, empty tensors, brackets in strings, no metadata", async () => {
  await writeFile(
    file,
    fileOf(
      `{"__metadata__":{"}{":"[\\\\","a":"a"},"e":${entry("F32", [0], 0, 0)},"a":${entry("U8", [1], 0, 1)}}   `,
      1,
    ),
  );
  const { tensors, metadata } = await readSafetensors(file);
  expect([...tensors.keys()]).toEqual(["e", "a"]);
  expect(metadata).toEqual({ "}{": "[\\", a: "a" });
  await writeFile(file, fileOf(`{"__metadata__":null,"a":${entry("U8", [1], 0, 1)}}`, 1));
  expect((await readSafetensors(file)).metadata).toEqual({});
});

test("types without a dtype in memory are named, and headers still list them", async () => {
  await writeFile(file, fileOf(one(entry("F8_E4M3", [4], 0, 4)), 4));
  await expect(readSafetensors(file)).rejects.toThrow('tensor "a" is of type F8_E4M3, which is not supported');
  expect((await readSafetensorsHeader(file)).entries[0]).toMatchObject({ dtype: "F8_E4M3", byteLength: 4 });
});

test("a BOOL byte other than 0 and 1 is refused", async () => {
  await expect(readAs("BOOL", new Uint8Array([1, 2]), 2)).rejects.toThrow("bytes other than 0 and 1");
});

test("a missing file is a CheckpointError", async () => {
  await expect(readSafetensors(path.join(folder, "none"))).rejects.toThrow(CheckpointError);
});

test("tensors whose data does not fit their shape or dtype are not written", async () => {
  const target = path.join(folder, "bad.safetensors");
  const write = writeSafetensors(
    target,
    new Map<string, HostTensor>([
      ["short", float32([3], 1, 2)],
      ["mixed", { dtype: "float32", shape: [1], data: new Int32Array(1) }],
      ["__metadata__", float32([1], 1)],
    ]),
  );
  await expect(write).rejects.toThrow(
    /3 faults\n.*must have 3 elements, not 2\n.*its data is a Int32Array\n.*rename it/,
  );
  await expect(readFile(target)).rejects.toThrow("ENOENT");
});

test("a file beyond 4 GiB is read in part", async () => {
  const gap = 2 ** 32 + 4;
  const header = `{"big":${entry("U8", [gap], 0, gap)},"after":${entry("F32", [1], gap, gap + 4)}}`;
  const start = fileOf(header, 0);
  await writeFile(file, start);
  await truncate(file, start.length + gap + 4); // A hole in the file takes no disk space.
  expect((await readSafetensors(file, { names: ["after"] })).tensors.get("after")).toEqual(float32([1], 0));
});

test.each([
  ["F16", [0xff, 0x7b], [0x00, 0x7c]],
  ["BF16", [0x7f, 0x7f], [0xc0, 0xff]],
  ["F32", [0xff, 0xff, 0x7f, 0x7f], [0x01, 0x00, 0x80, 0x7f]],
  ["F64", [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xef, 0x7f], [0, 0, 0, 0, 0, 0, 0xf0, 0xff]],
])("a tensor of a model that passes through as %s must be finite too", async (dtype, largest, none) => {
  const header = JSON.stringify({ t: { dtype, shape: [2], data_offsets: [0, 2 * largest.length] } });
  const copy = path.join(folder, "copy.safetensors");
  for (const [last, isNone] of [
    [largest, false],
    [none, true],
  ] as const) {
    const bytes = fileOf(header, 2 * largest.length);
    bytes.set([...largest, ...last], bytes.length - 2 * largest.length);
    await writeFile(file, bytes);
    const { tensors } = await openSafetensors(file);
    await writeSafetensors(copy, tensors);
    const writing = writeSafetensors(copy, tensors, undefined, { isModel: true });
    if (isNone) await expect(writing).rejects.toThrow('copy.safetensors: tensor "t" holds NaN or Infinity in its own');
    else await writing;
    expect((await readFile(copy)).subarray(-2 * largest.length)).toEqual(Buffer.from([...largest, ...last]));
  }
});
