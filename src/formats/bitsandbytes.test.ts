import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CheckpointError } from "../base/errors.js";
import type { LazyTensor } from "../files/lazy-tensor.js";
import { openSafetensors, writeSafetensors } from "../files/safetensors.js";
import type { NestedAbsmax } from "../quant/double-quantization.js";
import { allocate, type DType, type HostTensor } from "../tensor/dtype.js";
import {
  bitsandbytesTensors,
  quantizedWeightNames,
  readBitsandbytes,
  type StoredFourBitWeight,
  type StoredQuantizedWeight,
} from "./bitsandbytes.js";

interface Case {
  readonly name: string;
  readonly format: "nf4" | "fp4" | "int8";
  readonly blockSize: number;
  readonly dtype: StoredFourBitWeight["dtype"];
  readonly shape: [number, number];
  readonly json: string;
  readonly tensors: Readonly<Record<string, { dtype: DType; shape: number[]; bytes: string }>>;
  readonly file: string;
}

const cases: Case[] = JSON.parse(await readFile("tests/golden/bitsandbytes-layout.json", "utf8")).cases;
const [nested, flat, , int8] = cases as [Case, Case, Case, Case];

let folder = "";
let file = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-bitsandbytes-"));
  file = path.join(folder, "model.safetensors");
});
afterAll(async () => rm(folder, { recursive: true }));

function hostTensor({ dtype, shape, bytes }: Case["tensors"][string]): HostTensor {
  const raw = Uint8Array.from(Buffer.from(bytes, "hex"));
  const data = allocate(
    dtype,
    shape.reduce((product, size) => product * size, 1),
  );
  new Uint8Array(data.buffer).set(raw);
  return { dtype, shape, data };
}

const partsOf = ({ tensors }: Case): Map<string, HostTensor> =>
  new Map(Object.entries(tensors).map(([name, tensor]) => [name, hostTensor(tensor)]));

/** The weight, assembled from the arrays of the golden file. */
function weightOf(one: Case): StoredQuantizedWeight {
  const parts = partsOf(one);
  const data = <T>(name: string): T => parts.get(name)!.data as T;
  const { name, format, shape, blockSize, dtype } = one;
  if (format === "int8") {
    return { format, shape, codes: data(name), scales: data(name.replace(/weight$/, "SCB")) };
  }
  if (!parts.has(`${name}.nested_absmax`)) {
    return { format, shape, blockSize, packed: data(name), absmax: data(`${name}.absmax`), dtype };
  }
  const absmax: NestedAbsmax = {
    codes: data(`${name}.absmax`),
    absmax: data(`${name}.nested_absmax`),
    offset: Float32Array.of(JSON.parse(one.json).nested_offset),
    map: data(`${name}.nested_quant_map`),
  };
  return { format, shape, blockSize, packed: data(name), absmax, dtype };
}

test("the golden weight is the one whose bytes bitsandbytes is known to write", () => {
  const parts = partsOf(nested);
  const hex = Buffer.from((parts.get(nested.name)!.data as Uint8Array).subarray(0, 32)).toString("hex");
  expect(hex).toBe("04c16e29f3b05d17e29f3c05d18e2af4c16e18e3b05d17e29f3b05d18e2af4c1");
  expect([...parts.get(`${nested.name}.absmax`)!.data]).toEqual([0, 47, 207, 255]);
  expect([...parts.get(`${nested.name}.nested_absmax`)!.data]).toEqual([0.015000000596046448]);
});

test.each(cases)("a $format weight of $shape is stored byte for byte as by bitsandbytes", async (one) => {
  const tensors = bitsandbytesTensors(one.name, weightOf(one));
  expect(tensors).toEqual(partsOf(one));
  await writeSafetensors(file, tensors);
  expect((await readFile(file)).toString("hex")).toBe(one.file);
});

test.each(cases)("a $format weight of $shape reads back, from memory and from a file", async (one) => {
  expect(await readBitsandbytes(one.name, partsOf(one))).toEqual(weightOf(one));
  await writeFile(file, Buffer.from(one.file, "hex"));
  const { tensors } = await openSafetensors(file);
  expect(await readBitsandbytes(one.name, tensors)).toEqual(weightOf(one));
});

test("quantized weights and their parts are found among the names of a model", () => {
  const fourBit = ["weight", "weight.absmax", "weight.quant_map", "weight.quant_state.bitsandbytes__nf4"];
  const inLayer = (layer: string, names: string[]) => names.map((name) => `${layer}.${name}`);
  const names = [
    ...inLayer("model.layers.0.up_proj", fourBit),
    ...inLayer("model.layers.10.up_proj", ["weight", "SCB", "weight_format", "bias"]),
    ...inLayer("model.layers.1.up_proj", [...fourBit, "weight.stray", "bias"]),
    "model.norm.weight",
    "SCB",
    "weight",
  ];
  expect(quantizedWeightNames(names)).toEqual(
    new Map([
      ["model.layers.0.up_proj.weight", inLayer("model.layers.0.up_proj", fourBit)],
      ["model.layers.10.up_proj.weight", inLayer("model.layers.10.up_proj", ["weight", "SCB", "weight_format"])],
      ["model.layers.1.up_proj.weight", inLayer("model.layers.1.up_proj", [...fourBit, "weight.stray"])],
      ["weight", ["SCB", "weight"]],
    ]),
  );
  expect(quantizedWeightNames(["model.norm.weight"])).toEqual(new Map());
});

test("the parts are found in a whole model, of which nothing else is read", async () => {
  const other: LazyTensor = { dtype: "float32", shape: [1], read: () => Promise.reject(new Error("read")) };
  const all = new Map<string, HostTensor | LazyTensor>([
    ...partsOf(flat),
    ["model.norm.weight", other],
    [`${flat.name}s.absmax`, other],
  ]);
  expect(await readBitsandbytes(flat.name, all)).toEqual(weightOf(flat));
});

test.each([
  ["BF16", 2],
  ["F16", 2],
  ["F32", 4],
  ["F64", 8],
])("codes that were stored as %s are read as the bytes that they are", async (fileType, bytes) => {
  const parts = partsOf(flat);
  const packed = parts.get(flat.name)!.data as Uint8Array;
  parts.delete(flat.name);
  await writeSafetensors(file, parts);
  const rest = await openSafetensors(file);
  const header = JSON.stringify({
    [flat.name]: { dtype: fileType, shape: [packed.length / bytes, 1], data_offsets: [0, packed.length] },
  });
  const start = Buffer.alloc(8);
  start.writeBigUInt64LE(BigInt(header.length));
  const packedFile = path.join(folder, "packed.safetensors");
  await writeFile(packedFile, Buffer.concat([start, Buffer.from(header), packed]));
  const { tensors } = await openSafetensors(packedFile);
  expect(await readBitsandbytes(flat.name, new Map([...rest.tensors, ...tensors]))).toEqual(weightOf(flat));
});

/** Parts with a change, and the fault with which they must be refused. */
type Change = (parts: Map<string, HostTensor>, name: string) => void;
const set =
  (suffix: string, index: number, value: number): Change =>
  (parts, name) => {
    parts.get(name + suffix)!.data[index] = value;
  };
const replace =
  (suffix: string, tensor: HostTensor): Change =>
  (parts, name) =>
    void parts.set(name + suffix, tensor);
const remove =
  (suffix: string): Change =>
  (parts, name) =>
    void parts.delete(name + suffix);
const stateOf =
  (change: object): Change =>
  (parts, name) => {
    const key = `${name}.quant_state.bitsandbytes__nf4`;
    const json = JSON.parse(new TextDecoder().decode(parts.get(key)!.data as Uint8Array));
    parts.set(key, text(JSON.stringify({ ...json, ...change })));
  };
const text = (content: string): HostTensor => {
  const data = new TextEncoder().encode(content);
  return { dtype: "uint8", shape: [data.length], data };
};
const zeros = (dtype: DType, ...shape: number[]): HostTensor => ({
  dtype,
  shape,
  data: allocate(
    dtype,
    shape.reduce((product, size) => product * size, 1),
  ),
});

test.each<[string, Change, RegExp]>([
  [
    "packed bytes that are too few",
    replace("", zeros("uint8", 127, 1)),
    /\(4, 64\) must be packed in 128 bytes, not 127/,
  ],
  ["packed floats in memory", replace("", zeros("float32", 32, 1)), /weight" must be uint8, not float32; .*open file/],
  ["no packed bytes", remove(""), /q_proj.weight" is missing/],
  ["too few scales", replace(".absmax", zeros("uint8", 3)), /absmax" must have 4 elements, not 3/],
  ["float scales under nesting", replace(".absmax", zeros("float32", 4)), /absmax" must be uint8, not float32/],
  ["no scales", remove(".absmax"), /absmax" is missing/],
  [
    "another quant_map",
    set(".quant_map", 3, -0.3949174),
    /must be the table of nf4, but code 3 is -0.394917\d+, not -0.39491748809814453/,
  ],
  ["a short quant_map", replace(".quant_map", zeros("float32", 15)), /quant_map" must have 16 elements, not 15/],
  ["no quant_map", remove(".quant_map"), /quant_map" is missing/],
  ["NaN in nested scales", set(".nested_absmax", 0, Number.NaN), /nested_absmax" must be finite, but holds NaN at 0/],
  ["no nested scales", remove(".nested_absmax"), /nested_absmax" is missing/],
  [
    "too many nested scales",
    replace(".nested_absmax", zeros("float32", 2)),
    /nested_absmax" must have 1 elements, not 2/,
  ],
  [
    "a nested map that falls",
    set(".nested_quant_map", 9, -1),
    /nested_quant_map" must rise, but goes from .* to -1 at 9/,
  ],
  ["a nested map that is level", set(".nested_quant_map", 128, 0), /must rise, but goes from 0 to 0 at 128/],
  ["Infinity in the nested map", set(".nested_quant_map", 255, Infinity), /must be finite, but holds Infinity at 255/],
  ["a short nested map", replace(".nested_quant_map", zeros("float32", 255)), /must have 256 elements, not 255/],
  ["no nested map", remove(".nested_quant_map"), /nested_quant_map" is missing/],
  ["an unknown part", replace(".scale", zeros("float32", 1)), /weight.scale" is no part of a 4-bit weight with nested/],
  [
    "a weight_format",
    (parts, name) => void parts.set(`${name}_format`, zeros("uint8")),
    /weight_format" is no part of/,
  ],
  [
    "no quant_state",
    remove(".quant_state.bitsandbytes__nf4"),
    /must be one .*quant_state.bitsandbytes__nf4 or __fp4, but there is none/,
  ],
  ["two of them", replace(".quant_state.bitsandbytes__fp4", text("{}")), /there is .*__nf4 and .*__fp4/],
  [
    "a quant_state of another kind",
    (parts, name) => {
      parts.set(`${name}.quant_state.bitsandbytes__af4`, text("{}"));
      parts.delete(`${name}.quant_state.bitsandbytes__nf4`);
    },
    /__af4" must end in bitsandbytes__nf4 or bitsandbytes__fp4/,
  ],
  [
    "a quant_state of floats",
    replace(".quant_state.bitsandbytes__nf4", zeros("float32", 4)),
    /must be uint8, not float32/,
  ],
  ["another type than its name says", stateOf({ quant_type: "fp4" }), /__nf4" says quant_type fp4, its name nf4/],
  ["an unknown type", stateOf({ quant_type: "int4" }), /quant_type must be "nf4" or "fp4", not "int4"/],
  ["blocks of 63", stateOf({ blocksize: 63 }), /blocksize must be a power of two from 16 to 4096, not 63/],
  ["another shape", stateOf({ shape: [4, 65] }), /2 faults\n.*130 bytes, not 128\n.*5 elements, not 4/],
])("a 4-bit weight with %s is refused by name", async (_, change, fault) => {
  const parts = partsOf(nested);
  change(parts, nested.name);
  const read = readBitsandbytes(nested.name, parts);
  await expect(read).rejects.toThrow(CheckpointError);
  await expect(read).rejects.toThrow(`quantized weight "${nested.name}": `);
  await expect(read).rejects.toThrow(fault);
});

test.each<[string, Change, RegExp]>([
  ["NaN among its scales", set(".absmax", 2, Number.NaN), /absmax" must be finite, but holds NaN at 2/],
  ["8-bit scales", replace(".absmax", zeros("uint8", 4)), /absmax" must be float32, not uint8/],
  [
    "a nested map",
    replace(".nested_quant_map", zeros("float32", 256)),
    /is no part of a 4-bit weight without nested scales/,
  ],
])("a 4-bit weight without nested scales, with %s, is refused", async (_, change, fault) => {
  const parts = partsOf(flat);
  change(parts, flat.name);
  await expect(readBitsandbytes(flat.name, parts)).rejects.toThrow(fault);
});

const beside =
  (name: string, tensor: HostTensor): Change =>
  (parts) =>
    void parts.set(int8.name.replace(/weight$/, name), tensor);

test.each<[string, Change, RegExp]>([
  ["float codes", replace("", zeros("float32", 7, 15)), /weight" must be int8, not float32/],
  ["codes in one axis", replace("", zeros("int8", 105)), /must have a shape of two positive integers, not \(105\)/],
  ["no codes", remove(""), /weight" is missing/],
  ["too few scales", beside("SCB", zeros("float32", 6)), /SCB" must have 7 elements, not 6/],
  ["scales of another type", beside("SCB", zeros("uint8", 7)), /SCB" must be float32, not uint8/],
  [
    "an order of columns",
    replace("_format", { ...zeros("uint8"), data: new Uint8Array([2]) }),
    /weight_format" is 2 \(col_turing\), supported is 0/,
  ],
  [
    "an unknown order",
    replace("_format", { ...zeros("uint8"), data: new Uint8Array([9]) }),
    /weight_format" is 9 \(unknown\)/,
  ],
  ["a part of a 4-bit weight", replace(".absmax", zeros("float32", 7)), /absmax" is no part of an int8 weight/],
  [
    "two faults",
    (parts, name) => [remove("")(parts, name), beside("SCB", zeros("float32", 6))(parts, name)],
    /is missing/,
  ],
])("an int8 weight with %s is refused by name", async (_, change, fault) => {
  const parts = partsOf(int8);
  change(parts, int8.name);
  await expect(readBitsandbytes(int8.name, parts)).rejects.toThrow(`quantized weight "${int8.name}": `);
  await expect(readBitsandbytes(int8.name, parts)).rejects.toThrow(fault);
});

test("an int8 weight with a scale that is not finite is refused; without weight_format it is in rows", async () => {
  const parts = partsOf(int8);
  parts.delete(`${int8.name}_format`);
  expect(await readBitsandbytes(int8.name, parts)).toEqual(weightOf(int8));
  parts.get(int8.name.replace(/weight$/, "SCB"))!.data[6] = Number.POSITIVE_INFINITY;
  await expect(readBitsandbytes(int8.name, parts)).rejects.toThrow(/SCB" must be finite, but holds Infinity at 6/);
});

test("tensors that bitsandbytes could not read back are not made", () => {
  expect(() => bitsandbytesTensors("experts.gate", weightOf(int8))).toThrow('must end in "weight"');
  const weight = weightOf(nested) as StoredFourBitWeight;
  const absmax = { ...(weight.absmax as object), offset: Float32Array.of(Number.NaN) };
  expect(() => bitsandbytesTensors("w", { ...weight, absmax } as StoredFourBitWeight)).toThrow(
    "must be finite, not NaN",
  );
});
