import { describe, expect, test } from "vitest";
import { DTypeError, ShapeError } from "../base/errors.js";
import { interpret } from "../runtime/reference.js";
import { placeholder, tensor } from "../tensor/tensor.js";
import { dequantizeFourBit, dequantizeInt8, type FourBitMatrix, matmulFourBit } from "./quantized.js";

const bytesOf = (hex: string) => Uint8Array.from(hex.match(/../g)!, (pair) => Number.parseInt(pair, 16));

/** Codes that bitsandbytes made, and its values for them: one block of 64 that ends after eight elements. */
const BITSANDBYTES: readonly (readonly [FourBitMatrix["type"], string, number, readonly number[]])[] = [
  [
    "nf4",
    "794b2d1f",
    0.800000011920929,
    [0, 0.12874417, -0.22755311, 0.27033219, -0.42005846, 0.4500936, -0.55695426, 0.80000001],
  ],
  ["nf4", "f0c2a486", 1, [1, -1, 0.44070983, -0.52507305, 0.2461123, -0.28444138, 0.0795803, -0.09105004]],
  ["fp4", "3b5d7f19", 1, [1, -1, 0.5, -0.5, 0.25, -0.25, 0.00520833, -0.00520833]],
];

describe("the reference kernels", () => {
  test.each(BITSANDBYTES)("give the values of bitsandbytes for %s codes %s", (type, hex, absmax, expected) => {
    const matrix = { type, blockSize: 64, shape: [2, 4] } as const;
    const [weight] = interpret([dequantizeFourBit(tensor(bytesOf(hex)), tensor([absmax]), matrix)]);
    expect(weight).toHaveLength(8);
    expected.forEach((value, i) => {
      expect(weight![i]).toBeCloseTo(value, 8);
    });
  });

  test("take the scale of the block, which may begin inside a row, and leave out the last half byte", () => {
    // All codes are the largest value, so that elements are the scales of their blocks.
    const packed = tensor(bytesOf(`${"ff".repeat(31)}f0`));
    const absmax = tensor([1, 2, 3, 4]);
    const [weight] = interpret([dequantizeFourBit(packed, absmax, { type: "nf4", blockSize: 16, shape: [3, 21] })]);
    expect(Array.from(weight!)).toEqual(Array.from({ length: 63 }, (_, i) => 1 + Math.floor(i / 16)));
  });

  test("multiply int8 codes as bitsandbytes does: 127 stands for the largest magnitude of the row", () => {
    const codes = tensor(Int8Array.of(64, -127, 32, 16, -77, 64, -95, 127), [2, 4]);
    const [weight] = interpret([dequantizeInt8(codes, tensor([2, 0.3999]))]);
    // codes * scales[:, None] * 7.874015718698502e-3 by PyTorch 1.13. Rounded only once, the seventh would end in 801.
    const expected = [1.00787401, -2, 0.503937006, 0.251968503, -0.242459044, 0.201524407, -0.299137771, 0.399899989];
    expect(weight).toEqual(Float32Array.from(expected));
  });
});

const nf4 = (shape: readonly [number, number], blockSize = 64): FourBitMatrix => ({ type: "nf4", blockSize, shape });
const x = placeholder("x", [3, 8]);
const packed = (length: number) => placeholder("packed", [length], "uint8");
const absmax = (length: number) => placeholder("absmax", [length]);
const int8 = (...shape: number[]) => placeholder("codes", shape, "int8");

describe("impossible quantized weights are refused when the graph is built", () => {
  const SHAPES: readonly (readonly [message: string, build: () => unknown])[] = [
    [
      "dequantizeFourBit: a weight (2, 33) in blocks of 64 has packed (33) and absmax (2), got (32) and (1)",
      () => dequantizeFourBit(packed(32), absmax(1), nf4([2, 33])),
    ],
    [
      "dequantizeFourBit: a weight (2, 4) in blocks of 64 has packed (4) and absmax (1), got (4, 1) and (1)",
      () => dequantizeFourBit(placeholder("packed", [4, 1], "uint8"), absmax(1), nf4([2, 4])),
    ],
    [
      "matmulFourBit: x must be (rows, 4) for a weight (2, 4), got (3, 8)",
      () => matmulFourBit(x, packed(4), absmax(1), nf4([2, 4])),
    ],
    [
      "matmulFourBit: x must be (rows, 4) for a weight (2, 4), got (1, 2, 4)",
      () => matmulFourBit(placeholder("x", [1, 2, 4]), packed(4), absmax(1), nf4([2, 4])),
    ],
    ...[8, 48, 8192, Number.NaN].map((size): [string, () => unknown] => [
      `block size must be a power of two from 16 to 4096, got ${size}`,
      () => dequantizeFourBit(packed(4), absmax(1), nf4([2, 4], size)),
    ]),
    [
      "with at least 1 and fewer than 2^31 elements, got (0, 4)",
      () => dequantizeFourBit(packed(0), absmax(0), nf4([0, 4])),
    ],
    [
      "with at least 1 and fewer than 2^31 elements, got (65536, 32768)",
      () => dequantizeFourBit(packed(2 ** 30), absmax(2 ** 25), nf4([65536, 32768])),
    ],
    [
      "dequantizeInt8: needs codes (out, in) and scales (out), got (2, 4) and (4)",
      () => dequantizeInt8(int8(2, 4), absmax(4)),
    ],
    [
      "dequantizeInt8: needs codes (out, in) and scales (out), got (8) and (8)",
      () => dequantizeInt8(int8(8), absmax(8)),
    ],
  ];
  test.each(SHAPES)("%s", (message, build) => {
    expect(build).toThrow(ShapeError);
    expect(build).toThrow(message);
  });

  const DTYPES: readonly (readonly [message: string, build: () => unknown])[] = [
    [
      "dequantizeFourBit: needs uint8 packed and float32 absmax, got int8 and float32",
      () => dequantizeFourBit(int8(4), absmax(1), nf4([2, 4])),
    ],
    [
      "matmulFourBit: needs uint8 packed and float32 absmax, got uint8 and uint8",
      () => matmulFourBit(x, packed(8), packed(1), nf4([2, 8])),
    ],
    [
      "matmulFourBit: x must be float32, got int8; use cast",
      () => matmulFourBit(int8(3, 4), packed(4), absmax(1), nf4([2, 4])),
    ],
    [
      "type must be nf4 or fp4, got int4",
      () => dequantizeFourBit(packed(4), absmax(1), { ...nf4([2, 4]), type: "int4" as "nf4" }),
    ],
    [
      "dequantizeInt8: needs int8 codes and float32 scales, got uint8 and float32",
      () => dequantizeInt8(packed(4), absmax(4)),
    ],
  ];
  test.each(DTYPES)("%s", (message, build) => {
    expect(build).toThrow(DTypeError);
    expect(build).toThrow(message);
  });
});
