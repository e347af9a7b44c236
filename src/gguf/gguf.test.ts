import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CheckpointError } from "../base/errors.js";
import type { HostTensor } from "../tensor/dtype.js";
import { Rng } from "../tensor/random.js";
import { readGgufHeader } from "./header.js";
import { openGguf } from "./open-gguf.js";
import { QUANTIZED, type WrittenGgufType } from "./quantizing.js";
import { GGUF_TYPES, type GgufTypeName, type GgufValue } from "./types.js";
import { WIDENED } from "./widening.js";
import { writeGguf } from "./write-gguf.js";

interface Golden {
  readonly widened: Readonly<Partial<Record<GgufTypeName, { readonly bytes: string; readonly values: string }>>>;
  readonly source: string;
  readonly quantized: Readonly<Record<WrittenGgufType, string>>;
  readonly file: string;
}

let folder = "";
let file = "";
let golden: Golden;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "highrank-gguf-"));
  file = path.join(folder, "file.gguf");
  golden = JSON.parse(await readFile("tests/golden/gguf-files.json", "utf8"));
});
afterAll(async () => rm(folder, { recursive: true }));

const bytesOf = (hex: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(hex, "hex"));
const hexOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString("hex");
const floats = (hex: string): Float32Array => new Float32Array(bytesOf(hex).buffer);

/** Its elements as the type keeps them. */
function rounded(values: Float32Array, type: WrittenGgufType): Float32Array {
  const { blockElements, blockBytes } = GGUF_TYPES[type];
  const bytes = new Uint8Array((values.length / blockElements) * blockBytes);
  expect(QUANTIZED[type](values, bytes)).toBe(undefined);
  const widened = new Float32Array(values.length);
  WIDENED[type]!(bytes, widened);
  return widened;
}

function relativeError(values: Float32Array, kept: Float32Array): number {
  const norm = (each: (i: number) => number): number => Math.hypot(...Array.from(values, (_, i) => each(i)));
  return norm((i) => values[i]! - kept[i]!) / norm((i) => values[i]!);
}

describe("blocks", () => {
  test("of each type widen to the bits of the reference implementation", () => {
    const types = Object.keys(golden.widened) as GgufTypeName[];
    expect(types.length).toBe(11);
    for (const type of types) {
      const { bytes, values } = golden.widened[type]!;
      const widened = new Float32Array(values.length / 8);
      WIDENED[type]!(bytesOf(bytes), widened);
      expect([type, hexOf(widened)]).toEqual([type, values]);
    }
  });

  test("are byte for byte those that the reference implementation makes", () => {
    const source = floats(golden.source);
    for (const [type, bytes] of Object.entries(golden.quantized) as [WrittenGgufType, string][]) {
      const made = new Uint8Array(bytes.length / 2);
      expect(QUANTIZED[type](source, made)).toBe(undefined);
      expect([type, hexOf(made)]).toEqual([type, bytes]);
    }
  });

  test("are byte for byte those that ggml makes", async () => {
    const { source, quantized } = JSON.parse(await readFile("tests/golden/ggml-blocks.json", "utf8")) as Golden;
    expect(Object.keys(quantized)).toEqual(["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"]);
    for (const [type, bytes] of Object.entries(quantized) as [WrittenGgufType, string][]) {
      const made = new Uint8Array(bytes.length / 2);
      expect(QUANTIZED[type](floats(source), made)).toBe(undefined);
      expect([type, hexOf(made)]).toEqual([type, bytes]);
    }
  });

  test("of K types lose less than simpler ones of as many bits", () => {
    const rng = new Rng(3);
    const values = Float32Array.from({ length: 256 * 16 }, () => rng.normal());
    const error = (type: WrittenGgufType): number => relativeError(values, rounded(values, type));
    expect(error("Q4_K")).toBeLessThan(0.9 * error("Q4_0"));
    expect(error("Q5_K")).toBeLessThan(0.9 * error("Q5_0"));
    expect(error("Q6_K")).toBeLessThan(0.5 * error("Q5_0"));
  });

  test.each(["Q4_K", "Q5_K", "Q6_K"] as const)(
    "of %s hold no number of a size at which the search overflows",
    (type) => {
      for (const size of [1e10, 1e19, 1e25, 3e38]) {
        const values = Float32Array.from({ length: 256 }, (_, i) => size * Math.sin(7 * i));
        expect([size, QUANTIZED[type](values, new Uint8Array(210))]).toEqual([size, expect.any(Number)]);
      }
    },
  );
});

const METADATA = new Map<string, GgufValue>([
  ["general.architecture", { type: "string", value: "llama" }],
  ["a.uint32", { type: "uint32", value: 2 ** 32 - 1 }],
  ["a.int8", { type: "int8", value: -3 }],
  ["a.uint64", { type: "uint64", value: 2n ** 53n + 1n }],
  ["a.float32", { type: "float32", value: 0.1 }],
  ["a.float64", { type: "float64", value: 0.1 }],
  ["a.bool", { type: "bool", value: true }],
  ["a.string", { type: "string", value: "wörter 😀" }],
  ["a.strings", { type: "array", of: "string", count: 3, items: ["a", "", "é"] }],
  ["a.numbers", { type: "array", of: "int32", count: 3, items: [1, -2, 3] }],
]);

const float32 = (shape: number[], data: ArrayLike<number>): HostTensor => ({
  dtype: "float32",
  shape,
  data: Float32Array.from(data),
});

describe("a file of the reference implementation", () => {
  test("reads with all its values, and is written to the same bytes", async () => {
    await writeFile(file, bytesOf(golden.file));
    const { version, metadata, tensors } = await openGguf(file);
    expect(version).toBe(3);
    expect([...metadata]).toEqual([...METADATA]);
    expect([...tensors].map(([name, { shape, type }]) => [name, shape, type.name])).toEqual([
      ["matrix", [2, 3], "F32"],
      ["halves", [3], "F16"],
      ["blocks", [1, 64], "Q8_0"],
    ]);
    expect(await tensors.get("matrix")!.read()).toEqual(Float32Array.of(0, 1, 2, 3, 4, 5));
    expect(await tensors.get("matrix")!.readRows(1, 1)).toEqual(Float32Array.of(3, 4, 5));
    expect(await tensors.get("halves")!.read()).toEqual(Float32Array.of(1.5, -2, 65504));
    expect(await tensors.get("halves")!.readHalf()).toEqual({
      format: "float16",
      bits: Uint16Array.of(0x3e00, 0xc000, 0x7bff),
    });

    const again = path.join(folder, "again.gguf");
    const errors = await writeGguf(again, {
      metadata: METADATA,
      tensors: new Map([
        ["matrix", { tensor: float32([2, 3], [0, 1, 2, 3, 4, 5]), type: "F32" }],
        ["halves", { tensor: float32([3], [1.5, -2, 65504]), type: "F16" }],
        ["blocks", { tensor: float32([1, 64], floats(golden.source).subarray(0, 64)), type: "Q8_0" }],
      ]),
    });
    expect(hexOf(await readFile(again))).toBe(golden.file);
    expect(errors.get("F16")?.lost).toBe(0);
    const { squares, lost } = errors.get("Q8_0")!;
    expect(Math.sqrt(lost / squares)).toBeCloseTo(0.005, 3);
  });

  test("is written from the open file without its numbers", async () => {
    await writeFile(file, bytesOf(golden.file));
    const { tensors } = await openGguf(file);
    const again = path.join(folder, "again.gguf");
    const typed = [...tensors].map(
      ([name, tensor]) => [name, { tensor, type: tensor.type.name as WrittenGgufType }] as const,
    );
    const errors = await writeGguf(again, { metadata: METADATA, tensors: new Map(typed) });
    expect(hexOf(await readFile(again))).toBe(golden.file);
    expect(errors.size).toBe(0);
  });

  test("that is split is read from its first part", async () => {
    const part = (number: number): string => path.join(folder, `m-0000${number}-of-00002.gguf`);
    const split = (no: number, count = 2): Map<string, GgufValue> =>
      new Map([
        ["split.no", { type: "uint16", value: no }],
        ["split.count", { type: "uint16", value: count }],
        ["split.tensors.count", { type: "int32", value: 2 }],
      ]);
    const one = (name: string): Map<string, { tensor: HostTensor; type: "F32" }> =>
      new Map([[name, { tensor: float32([1], [name.length]), type: "F32" }]]);
    await writeGguf(part(1), { metadata: split(0), tensors: one("a") });
    await expect(openGguf(part(1))).rejects.toThrow("m-00002-of-00002.gguf is missing");
    await writeGguf(part(2), { metadata: split(1), tensors: one("bb") });
    const { tensors, parts } = await openGguf(part(1));
    expect([...parts]).toEqual([
      [part(1), ["a"]],
      [part(2), ["bb"]],
    ]);
    expect(await tensors.get("bb")!.read()).toEqual(Float32Array.of(2));
    await expect(openGguf(part(2))).rejects.toThrow(`name ${part(1)}`);
    await writeGguf(part(2), { metadata: split(0), tensors: one("a") });
    await expect(openGguf(part(1))).rejects.toThrow(/3 faults.*split.no 1, not 0.*"a".*hold 1/s);
    await writeGguf(file, { metadata: split(0), tensors: one("a") });
    await expect(openGguf(file)).rejects.toThrow("must be named like file-00001-of-00002.gguf");
  });
});

describe("long lists", () => {
  const items = Array.from({ length: 1000 }, (_, i) => `token ${i} é`);
  const metadata = new Map<string, GgufValue>([
    ["tokens", { type: "array", of: "string", count: 1000, items }],
    ["scores", { type: "array", of: "float32", count: 1000, items: items.map((_, i) => i) }],
    [
      "nested",
      {
        type: "array",
        of: "array",
        count: 2,
        items: [
          { type: "array", of: "bool", count: 1, items: [true] },
          { type: "array", of: "string", count: 1, items: ["deep"] },
        ],
      },
    ],
    ["after", { type: "int16", value: -7 }],
  ]);

  test("are read when they are asked for, and else skipped", async () => {
    await writeGguf(file, { metadata, tensors: new Map() });
    expect((await readGgufHeader(file, { lists: true })).metadata).toEqual(metadata);
    const skipped = (await readGgufHeader(file)).metadata;
    expect(skipped.get("tokens")).toEqual({ type: "array", of: "string", count: 1000, items: undefined });
    expect(skipped.get("scores")).toEqual({ type: "array", of: "float32", count: 1000, items: undefined });
    expect(skipped.get("nested")).toEqual(metadata.get("nested"));
    expect(skipped.get("after")).toEqual({ type: "int16", value: -7 });
  });
});

describe("nothing is left of a file that cannot be written:", () => {
  const cases: [string, number[], ArrayLike<number>, WrittenGgufType, string][] = [
    ["rows that are no whole blocks", [2, 16], new Float32Array(32), "Q8_0", "rows of 16, and Q8_0 has blocks of 32"],
    ["NaN", [32], Float32Array.of(Number.NaN, ...new Array(31).fill(0)), "Q8_0", "would hold NaN"],
    ["a number beyond float16", [1], [70000], "F16", "holds 70000, which F16 cannot hold"],
    ["a scale beyond float16", [32], new Float32Array(32).fill(-3e7), "Q4_0", "which Q4_0 cannot hold"],
    ["other elements than its shape's", [2], [1], "F32", "must have 2 elements, not 1"],
  ];
  test.each(cases)("%s", async (_, shape, data, type, says) => {
    const target = path.join(folder, "bad.gguf");
    const good = { tensor: float32([64], new Float32Array(64)), type: "F32" } as const;
    const tensors = new Map<string, { tensor: HostTensor; type: WrittenGgufType }>([
      ["good", good],
      ["bad", { tensor: float32(shape, data), type }],
    ]);
    const before = await readdir(folder);
    const writing = writeGguf(target, { metadata: new Map(), tensors });
    await expect(writing).rejects.toThrow(CheckpointError);
    await expect(writing).rejects.toThrow(says);
    expect(await readdir(folder)).toEqual(before);
  });
});

/** A file piece by piece: numbers of so many bytes, texts with their length, bytes. */
class Pieces {
  readonly #bytes: number[] = [];

  constructor(tensors: number | bigint, keys: number | bigint, version = 3) {
    this.u32(0x46554747).u32(version).u64(tensors).u64(keys);
  }

  u32(value: number): this {
    for (let i = 0; i < 4; i++) this.#bytes.push((value >>> (8 * i)) & 255);
    return this;
  }

  u64(value: number | bigint): this {
    for (let i = 0n; i < 8n; i++) this.#bytes.push(Number((BigInt(value) >> (8n * i)) & 255n));
    return this;
  }

  text(text: string | number[]): this {
    const bytes = typeof text === "string" ? [...new TextEncoder().encode(text)] : text;
    return this.u64(bytes.length).raw(...bytes);
  }

  raw(...bytes: number[]): this {
    this.#bytes.push(...bytes);
    return this;
  }

  info(name: string, shape: readonly (number | bigint)[], type: number, offset: number | bigint): this {
    this.text(name).u32(shape.length);
    for (const size of shape) this.u64(size);
    return this.u32(type).u64(offset);
  }

  /** Padding, and so many bytes of data. */
  data(bytes: number): this {
    while (this.#bytes.length % 32 !== 0) this.#bytes.push(0);
    return this.raw(...new Array(bytes).fill(0));
  }

  get bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

const HUGE = 2n ** 64n - 1n;
const of = (tensors: number | bigint, keys: number | bigint = 0, version = 3): Pieces =>
  new Pieces(tensors, keys, version);

describe("a hostile file is refused before anything of its claims is allocated:", () => {
  const cases: [string, Pieces | Uint8Array, string][] = [
    ["nothing", new Uint8Array(0), "ends at byte 0, within its first 24 bytes"],
    ["other bytes", new Uint8Array(64).fill(1), "does not begin with GGUF"],
    ["version 1", of(0, 0, 1), "of version 1, and only 2 and 3"],
    ["big-endian", of(0, 0, 0x03000000), "big-endian"],
    ["as many keys as there are numbers", of(0, HUGE), "claims 18446744073709551615 keys"],
    ["more keys than bytes", of(0, 2), "claims 2 keys, which the 0 bytes left cannot hold"],
    ["more tensors than bytes", of(3).raw(...new Array(40).fill(0)), "claims 3 tensors, which the 48 bytes left"],
    ["a long key", of(0, 1).u64(HUGE).data(64), "text of 18446744073709551615 bytes, more than 1000"],
    ["a key past the end", of(0, 1).u64(900).data(64), "ends at byte"],
    ["a key that is not UTF-8", of(0, 1).text([0xff, 0xfe]).u32(4).u32(1), "not UTF-8"],
    ["a key twice", of(0, 2).text("k").u32(0).raw(1).text("k").u32(0).raw(1), 'the key "k" twice'],
    ["an unknown type", of(0, 1).text("k").u32(13).u64(1), 'key "k" is of type 13, and types go to 12'],
    ["a bool of 2", of(0, 1).text("k").u32(7).raw(2), "a byte of 1 or 0, not 2"],
    ["a value past the end", of(0, 1).text("k").u32(12).u32(0), 'within key "k"'],
    ["a long list", of(0, 1).text("k").u32(9).u32(0).u64(HUGE), 'claims 18446744073709551615 values in key "k"'],
    ["a list past the end", of(0, 1).text("k").u32(9).u32(10).u64(9).data(40), "claims 9 values"],
    ["texts past the end", of(0, 1).text("k").u32(9).u32(8).u64(100).u64(HUGE).data(800), 'within key "k"'],
    [
      "deep lists",
      [1, 2, 3, 4, 5].reduce((file) => file.u32(9).u64(1), of(0, 1).text("k").u32(9)).data(64),
      "more than 4 deep",
    ],
    ["alignment 0", of(0, 1).text("general.alignment").u32(4).u32(0), "must be a power of two"],
    ["alignment 24", of(0, 1).text("general.alignment").u32(4).u32(24), "must be a power of two"],
    ["alignment as text", of(0, 1).text("general.alignment").u32(8).text("32"), "must be a power of two"],
    [
      "many axes",
      of(1)
        .text("t")
        .u32(2 ** 32 - 1)
        .data(64),
      "has 4294967295 axes, more than 4",
    ],
    ["an unknown tensor type", of(1).info("t", [4], 4, 0).data(16), "its type has the number 4"],
    [
      "rows that are no blocks",
      of(1).info("t", [33], 2, 0).data(36),
      "rows have 33 elements, and Q4_0 has blocks of 32",
    ],
    ["a size beyond all numbers", of(1).info("t", [HUGE, HUGE, HUGE], 0, 0).data(36), "past the end of the file"],
    ["a size behind one of 0", of(1).info("t", [0, HUGE], 0, 0).data(36), "is too large"],
    [
      "an offset beyond all",
      of(1)
        .info("t", [4], 0, HUGE - 31n)
        .data(36),
      "past the end of the file",
    ],
    ["an offset that is not aligned", of(1).info("t", [4], 0, 4).data(36), "offset 4 must be a multiple of 32"],
    ["data that is cut off", of(1).info("t", [4], 0, 0).data(15), "takes 16 bytes from byte 64, past the end"],
    ["a tensor twice", of(2).info("t", [1], 0, 0).info("t", [1], 0, 32).data(64), '"t" is described twice'],
    ["an overlap", of(2).info("t", [9], 0, 0).info("u", [1], 0, 32).data(64), '"u" overlaps tensor "t" by 4 bytes'],
    ["a gap", of(2).info("t", [8], 0, 0).info("u", [1], 0, 64).data(80), "32 bytes between tensor"],
    ["a gap at the start", of(1).info("u", [1], 0, 32).data(80), "32 bytes between the start of the data"],
  ];
  test.each(cases)("%s", async (_, content, says) => {
    await writeFile(file, content instanceof Pieces ? content.bytes : content);
    const reading = readGgufHeader(file);
    await expect(reading).rejects.toThrow(CheckpointError);
    await expect(reading).rejects.toThrow(says);
  });

  test("all faults of tensors come at once", async () => {
    await writeFile(file, of(2).info("t", [4], 4, 0).info("u", [33], 2, 0).data(16).bytes);
    await expect(readGgufHeader(file)).rejects.toThrow(/2 faults.*"t".*"u"/s);
  });

  test("a type that cannot be widened is named when its tensor is read", async () => {
    await writeFile(file, of(1).info("t", [256], 16, 0).data(66).bytes);
    const { tensors } = await openGguf(file);
    await expect(tensors.get("t")!.read()).rejects.toThrow("is of type IQ2_XXS, which cannot be read");
  });

  test("a file that changed since is refused", async () => {
    await writeFile(file, of(1).info("t", [4], 0, 0).data(16).bytes);
    const { tensors } = await openGguf(file);
    await writeFile(file, of(1).info("t", [4], 0, 0).data(17).bytes);
    await expect(tensors.get("t")!.read()).rejects.toThrow("the file changed from 80 to 81 bytes");
  });
});
