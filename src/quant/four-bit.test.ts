import { describe, expect, test } from "vitest";
import { drawWeights, floatsOf, golden, hexOf, sha256Of } from "../../tests/quant/golden.js";
import { ConfigError, NumericError, ShapeError } from "../base/errors.js";
import { encodeModel } from "../compiler/onnx-model.js";
import { FOUR_BIT_CODES } from "../ops/four-bit-codes.js";
import { createSession } from "../runtime/session.js";
import { Rng } from "../tensor/random.js";
import { BLOCK_SIZE, dequantizeFourBit, type FourBitFormat, quantizeFourBit } from "./four-bit.js";

const NF4 = { type: "nf4", blockSize: 64 } as const;
const FP4 = { type: "fp4", blockSize: 64 } as const;
const BLOCK_SIZES = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096];

const quantize = (values: readonly number[], format: FourBitFormat) =>
  quantizeFourBit(Float32Array.from(values), format);

/** The codes, one per element. */
const unpacked = (packed: Uint8Array) => Array.from(packed).flatMap((byte) => [byte >> 4, byte & 15]);

/** The float32 that lies `steps` further from zero. */
function awayFromZero(value: number, steps = 1): number {
  const result = Float32Array.of(value);
  new Int32Array(result.buffer)[0]! += steps;
  return result[0]!;
}

describe("against bitsandbytes", () => {
  const row1 = [0, 0.1, -0.2, 0.3, -0.4, 0.5, -0.6, 0.8];
  const row2 = [1, -1, 0.5, -0.5, 0.25, -0.25, 0.05, -0.05];
  const bfloat16 = [0.10009765625, -0.2001953125, 0.30078125, -0.400390625, 0.5, -0.6015625, 0.69921875, 0.80078125];
  const ties = [1, 0.03979014977812767, -0.045525018125772476, 0.8614784181118011, -0.8480964004993439];

  test.each([
    ["nf4", row1, 0.800000011920929, "794b2d1f"],
    ["nf4", row2, 1, "f0c2a486"],
    ["nf4", [0.02, -0.03, 0.01, 0, 0.04], 0.03999999910593033, "c1a7f7"],
    ["nf4", bfloat16, 0.80078125, "94b2d1ff"],
    ["nf4", [...ties, 0.5016634166240692, 0.0398, -0.0456], 1, "f76e0c86"],
    ["fp4", row1, 0.800000011920929, "06f4d2a3"],
    ["fp4", row2, 1, "3b5d7f19"],
  ] as const)("%s of %j has the scale %s and the bytes %s", (type, values, absmax, bytes) => {
    const codes = quantize(values, { type, blockSize: 64 });
    expect(Array.from(codes.absmax)).toEqual([absmax]);
    expect(hexOf(codes.packed)).toBe(bytes);
  });

  test.each([
    [row1, [0, 0.12874417, -0.22755311, 0.27033219, -0.42005846, 0.4500936, -0.55695426, 0.80000001]],
    [row2, [1, -1, 0.44070983, -0.52507305, 0.2461123, -0.28444138, 0.0795803, -0.09105004]],
  ])("the codes of %j stand for %j", (values, expected) => {
    const restored = dequantizeFourBit(quantize(values, NF4), NF4, values.length);
    for (const [i, value] of expected.entries()) expect(restored[i]).toBeCloseTo(value, 8);
  });

  test("a ramp takes each code", () => {
    const ramp = Array.from({ length: 64 }, (_, i) => (i - 32) / 32);
    expect(hexOf(quantize(ramp, NF4).packed)).toBe("000001111111122222333344455566677788999aaabbbccccddddeeeeeeeffff");
  });

  test("blocks straddle rows: a weight of (2, 96)", () => {
    const codes = quantize(
      Array.from({ length: 192 }, (_, i) => (i + 1) / 192),
      NF4,
    );
    expect(Array.from(codes.absmax)).toEqual([0.3333333432674408, 0.6666666865348816, 1]);
    const blocks = [
      "7788888999999aaaaabbbbbbccccccccdddddddddeeeeeeeeeeeeeefffffffff",
      "ddddddddddddddddddeeeeeeeeeeeeeeeeeeeeeeeeeeeeffffffffffffffffff",
      "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeefffffffffffffffffffffffffff",
    ];
    expect(hexOf(codes.packed)).toBe(blocks.join(""));
  });

  test("the first bytes of the weight that was quantized twice", () => {
    const values = Array.from({ length: 256 }, (_, i) => ((((37 * i) % 101) - 50) / 50) * 0.01 * (1 + (i >> 6)));
    const codes = quantize(values, NF4);
    expect(codes.absmax).toEqual(Float32Array.of(0.01, 0.02, 0.03, 0.04));
    expect(hexOf(codes.packed.subarray(0, 32))).toBe(
      "04c16e29f3b05d17e29f3c05d18e2af4c16e18e3b05d17e29f3b05d18e2af4c1",
    );
  });
});

describe("against NumPy", () => {
  test("the weights are those that the script drew", () => {
    expect(sha256Of(drawWeights(golden.weights.seed, 1000))).toBe(golden.weights.sha256);
    expect(new Set(golden.randomFourBit.map(({ blockSize }) => blockSize))).toEqual(new Set(BLOCK_SIZES));
  });

  test.each(golden.randomFourBit)("$type, $length random weights in blocks of $blockSize", (expected) => {
    const values = drawWeights(expected.seed, expected.length);
    const codes = quantizeFourBit(values, expected);
    expect(hexOf(codes.packed)).toBe(expected.packed);
    expect(hexOf(codes.absmax)).toBe(expected.absmax);
    expect(sha256Of(dequantizeFourBit(codes, expected, values.length))).toBe(expected.sha256OfDequantized);
  });

  test.each(golden.edgeFourBit)("$type, float32 neighbours of the thresholds, absmax $absmax", (expected) => {
    const values = floatsOf(expected.values);
    const codes = quantizeFourBit(values, expected);
    expect(hexOf(codes.packed)).toBe(expected.packed);
    expect(hexOf(codes.absmax)).toBe(expected.absmax);
    expect(sha256Of(dequantizeFourBit(codes, expected, values.length))).toBe(expected.sha256OfDequantized);
  });
});

test.each(["nf4", "fp4"] as const)("ONNX Runtime reads %s bytes as we do", async (type) => {
  const [columns, rows] = [40, 24];
  const values = drawWeights(5, rows * columns);
  for (const blockSize of [16, 64, 256]) {
    const codes = quantizeFourBit(values, { type, blockSize });
    const session = await createSession(
      encodeModel({
        nodes: [
          {
            opType: "MatMulBnb4",
            domain: "com.microsoft",
            inputs: ["x", "packed", "absmax"],
            outputs: ["y"],
            attributes: {
              K: { int: columns },
              N: { int: rows },
              block_size: { int: blockSize },
              quant_type: { int: type === "nf4" ? 1 : 0 },
            },
          },
        ],
        inputs: [
          { name: "x", dtype: "float32", shape: [columns, columns] },
          { name: "packed", dtype: "uint8", shape: [codes.packed.length] },
          { name: "absmax", dtype: "float32", shape: [codes.absmax.length] },
        ],
        outputs: [{ name: "y", dtype: "float32", shape: [columns, rows] }],
        initializers: [],
      }),
      { device: "cpu", threads: 1 },
    );
    const identity = new Float32Array(columns * columns);
    for (let i = 0; i < columns; i++) identity[i * (columns + 1)] = 1;
    const { y } = await session.run(
      {
        x: { dtype: "float32", shape: [columns, columns], data: identity },
        packed: { dtype: "uint8", shape: [codes.packed.length], data: codes.packed },
        absmax: { dtype: "float32", shape: [codes.absmax.length], data: codes.absmax },
      },
      ["y"],
    );
    await session.release();
    // Only one product of each sum is nonzero, so the transposed weight comes out exactly.
    const ours = dequantizeFourBit(codes, { type, blockSize }, values.length);
    const transposed = Float32Array.from(
      { length: rows * columns },
      (_, i) => ours[(i % rows) * columns + Math.floor(i / rows)]!,
    );
    expect(y!.data).toEqual(transposed.map((value) => value + 0));
  }
});

describe("nearest codes", () => {
  test("a value on an NF4 threshold takes the lower code, one float32 above it the higher", () => {
    const thresholds = [
      -0.8480964004993439, -0.6106329262256622, -0.4599952697753906, -0.33967943489551544, -0.23460740596055984,
      -0.13791173323988914, -0.045525018125772476, 0.03979014977812767, 0.1202552504837513, 0.2035212516784668,
      0.2920137718319893, 0.3893125355243683, 0.5016634166240692, 0.6427869200706482, 0.8614784181118011,
    ];
    thresholds.forEach((threshold, code) => {
      const above = awayFromZero(threshold, Math.sign(threshold));
      expect(above).toBeGreaterThan(threshold);
      expect(unpacked(quantize([1, threshold, above, 0], NF4).packed).slice(1, 3)).toEqual([code, code + 1]);
    });
  });

  test("a value on an FP4 threshold takes the smaller magnitude, on either side of zero", () => {
    const thresholds = [0.00260417, 0.0859375, 0.20833333, 0.29166667, 0.4166667, 0.583333, 0.8333333].map(Math.fround);
    const codes = [0, 1, 6, 7, 4, 5, 2, 3];
    thresholds.forEach((threshold, i) => {
      const above = awayFromZero(threshold);
      const packed = quantize([1, threshold, above, -threshold, -above, 0], FP4).packed;
      expect(unpacked(packed).slice(1, 5)).toEqual([codes[i]!, codes[i + 1]!, codes[i]! + 8, codes[i + 1]! + 8]);
    });
  });

  test("in FP4 a zero of either sign is code 0, the smallest negative number code 8", () => {
    const tiny = 2 ** -149;
    expect(unpacked(quantize([1, 0, -0, tiny, -tiny, -1e-20], FP4).packed)).toEqual([3, 0, 0, 0, 8, 8]);
  });

  test("are the nearest, for any weight", () => {
    const values = drawWeights(3, 4096);
    for (const type of ["nf4", "fp4"] as const) {
      const format = { type, blockSize: 4096 };
      const codes = quantizeFourBit(values, format);
      const restored = dequantizeFourBit(codes, format, values.length);
      const scale = codes.absmax[0]!;
      values.forEach((value, i) => {
        const distances = Array.from(FOUR_BIT_CODES[type], (code) => Math.abs(code * scale - value));
        expect(Math.abs(restored[i]! - value)).toBeLessThanOrEqual(Math.min(...distances) + 1e-6 * scale);
      });
    }
  });
});

describe("edges", () => {
  test("after an odd length the last half byte is the code of 0", () => {
    expect(hexOf(quantize([1], NF4).packed)).toBe("f7");
    expect(hexOf(quantize([1], FP4).packed)).toBe("30");
    const odd = drawWeights(9, 65);
    const even = Float32Array.from([...odd, 0]);
    for (const format of [NF4, FP4]) {
      const codes = quantizeFourBit(odd, format);
      expect(codes).toEqual(quantizeFourBit(even, format));
      expect(dequantizeFourBit(codes, format, 65)).toEqual(dequantizeFourBit(codes, format, 66).subarray(0, 65));
    }
  });

  test("no values make no bytes", () => {
    const codes = quantizeFourBit(new Float32Array(0), NF4);
    expect(codes).toEqual({ packed: new Uint8Array(0), absmax: new Float32Array(0) });
    expect(dequantizeFourBit(codes, NF4, 0)).toHaveLength(0);
  });

  test.each([
    [NF4, 0x77],
    [FP4, 0x00],
  ])("a block of zeros is scale 0 and the code of 0: $type", (format, byte) => {
    const values = new Float32Array(64 * 3);
    values[130] = 1;
    values[7] = -0;
    const codes = quantizeFourBit(values, format);
    expect(Array.from(codes.absmax)).toEqual([0, 0, 1]);
    expect(codes.packed.subarray(0, 64).every((code) => code === byte)).toBe(true);
    expect(dequantizeFourBit(codes, format, values.length)).toEqual(values.map((value) => value + 0));
    // It stays zero with the scales that double quantization leaves.
    const restored = { packed: codes.packed, absmax: Float32Array.of(0.01, 0.02, 1) };
    expect(dequantizeFourBit(restored, format, values.length)).toEqual(values.map((value) => value + 0));
  });

  test("codes are right for scales whose reciprocal overflows float32, and for smaller ones", () => {
    const input = [1, -1, 0.5, -0.5, 0.25, -0.25, 0.0625, -0.0625, 0];
    for (const format of [NF4, FP4]) {
      for (const scale of [2 ** -127, 2 ** -128, 2 ** -129, 2 ** -145]) {
        const codes = quantize(
          input.map((value) => value * scale),
          format,
        );
        expect(Array.from(codes.absmax)).toEqual([scale]);
        expect(hexOf(codes.packed)).toBe(hexOf(quantize(input, format).packed));
        const restored = dequantizeFourBit(codes, format, input.length);
        expect(restored.subarray(0, 2)).toEqual(Float32Array.of(scale, -scale));
        expect(restored.some(Number.isNaN)).toBe(false);
      }
    }
    const smallest = 2 ** -149;
    const codes = quantize([smallest, -smallest, 0], NF4);
    expect(hexOf(codes.packed)).toBe("f077");
    expect(dequantizeFourBit(codes, NF4, 3)).toEqual(Float32Array.of(smallest, -smallest, 0));
  });

  test("the largest float32 works as a scale", () => {
    const largest = 3.4028234663852886e38;
    const codes = quantize([largest, -largest, largest / 2, 0], NF4);
    expect(hexOf(codes.packed)).toBe("f0c7");
    expect(dequantizeFourBit(codes, NF4, 2 + 2)[0]).toBe(largest);
  });

  test.each([
    [Number.NaN, 5],
    [Number.POSITIVE_INFINITY, 64],
    [Number.NEGATIVE_INFINITY, 66],
    [Number.NaN, 5000],
  ])("%s at index %i is named", (value, index) => {
    const values = drawWeights(1, 5001);
    values[index] = value;
    const act = () => quantizeFourBit(values, NF4);
    expect(act).toThrow(NumericError);
    expect(act).toThrow(`got ${value} at index ${index}`);
  });

  test("a NaN of any sign and payload is found", () => {
    for (const bits of [0x7f800001, 0x7fffffff, 0xff800001, 0xffffffff, 0xffc00000]) {
      const values = new Float32Array(32);
      new Uint32Array(values.buffer)[11] = bits;
      expect(() => quantizeFourBit(values, FP4)).toThrow("got NaN at index 11");
    }
  });

  test.each([0, 8, 15, 63, 8192, 48, 64.5, Number.NaN, -64])("a block size of %s is refused", (blockSize) => {
    const quantize = () => quantizeFourBit(new Float32Array(4), { type: "nf4", blockSize });
    expect(quantize).toThrow(ConfigError);
    expect(quantize).toThrow(`quantizeFourBit: blockSize must be a power of two from 16 to 4096, got ${blockSize}`);
    expect(() =>
      dequantizeFourBit({ packed: new Uint8Array(2), absmax: new Float32Array(1) }, { type: "nf4", blockSize }, 4),
    ).toThrow(ConfigError);
  });

  test("a block size of 16 to 4096 passes", () => {
    for (const blockSize of BLOCK_SIZES) expect(BLOCK_SIZE.holds(blockSize)).toBe(true);
  });
});

describe("round trips", () => {
  test.each(BLOCK_SIZES)("quantizing what was dequantized changes nothing, in blocks of %i", (blockSize) => {
    const values = drawWeights(blockSize, 3 * blockSize + 11);
    for (const type of ["nf4", "fp4"] as const) {
      const format = { type, blockSize };
      const codes = quantizeFourBit(values, format);
      const restored = dequantizeFourBit(codes, format, values.length);
      const again = quantizeFourBit(restored, format);
      expect(hexOf(again.absmax)).toBe(hexOf(codes.absmax));
      // FP4 has a code for −0, which bitsandbytes replaces by that of 0.
      const expected = type === "nf4" ? unpacked(codes.packed) : unpacked(codes.packed).map((c) => (c === 8 ? 0 : c));
      expect(unpacked(again.packed)).toEqual(expected);
    }
  });
});

describe("into", () => {
  test("writes to the arrays given, at any offset of a view", () => {
    const memory = new Float32Array(301);
    memory.set(drawWeights(2, 300), 1);
    const values = memory.subarray(1);
    const expected = quantizeFourBit(values.slice(), NF4);
    const into = { packed: new Uint8Array(153).subarray(3), absmax: new Float32Array(6).subarray(1) };
    into.packed.fill(0xaa);
    into.absmax.fill(9);
    expect(quantizeFourBit(values, NF4, { into })).toBe(into);
    expect(hexOf(into.packed)).toBe(hexOf(expected.packed));
    expect(hexOf(into.absmax)).toBe(hexOf(expected.absmax));
    const restored = new Float32Array(302).subarray(2);
    expect(dequantizeFourBit(into, NF4, 300, restored)).toBe(restored);
    expect(restored).toEqual(dequantizeFourBit(expected, NF4, 300));
  });

  test("arrays of other sizes are refused, all at once", () => {
    const into = { packed: new Uint8Array(33), absmax: new Float32Array(2) };
    const act = () => quantizeFourBit(new Float32Array(64), NF4, { into });
    expect(act).toThrow(ShapeError);
    expect(act).toThrow("of 64 values in blocks of 64 packed must have 32, got 33; absmax must have 1, got 2");
    expect(() => dequantizeFourBit(into, NF4, 64)).toThrow(ShapeError);
    const codes = quantizeFourBit(new Float32Array(64), NF4);
    expect(() => dequantizeFourBit(codes, NF4, 64, new Float32Array(63))).toThrow("into must have 64 elements, got 63");
  });
});

describe("stochastic rounding", () => {
  test.each(["nf4", "fp4"] as const)("%s is unbiased and takes one of the two neighbours", (type) => {
    const format = { type, blockSize: 64 };
    // The last element fixes the scale, which is not a power of two.
    const values = Float32Array.from({ length: 64 }, (_, i) => (i === 63 ? 0.7 : 0.7 * Math.sin(i)));
    const rng = new Rng(1, type);
    const draws = 4000;
    const sums = new Float64Array(64);
    const seen = Array.from({ length: 64 }, () => new Set<number>());
    for (let draw = 0; draw < draws; draw++) {
      const codes = quantizeFourBit(values, format, { rounding: { stochastic: rng } });
      dequantizeFourBit(codes, format, 64).forEach((value, i) => {
        sums[i]! += value;
        seen[i]!.add(value);
      });
    }
    const scale = Math.fround(0.7);
    const levels = [...new Set(Array.from(FOUR_BIT_CODES[type], (code) => Math.fround(code * scale) + 0))];
    values.forEach((value, i) => {
      const lower = Math.max(...levels.filter((level) => level <= value));
      const upper = Math.min(...levels.filter((level) => level >= value));
      const share = lower === upper ? 0 : (value - lower) / (upper - lower);
      for (const restored of seen[i]!) expect([lower, upper]).toContain(restored + 0);
      if (share > 0.01 && share < 0.99) expect(seen[i]!.size).toBe(2);
      const deviation = Math.sqrt(((value - lower) * (upper - value)) / draws);
      expect(Math.abs(sums[i]! / draws - value)).toBeLessThanOrEqual(4.5 * deviation + 1e-7);
    });
  });

  test.each(["nf4", "fp4"] as const)("%s values that are exact codes stay as they are", (type) => {
    const format = { type, blockSize: 64 };
    const values = Float32Array.from({ length: 64 }, (_, i) => FOUR_BIT_CODES[type][i % 16]! + 0);
    for (let seed = 0; seed < 50; seed++) {
      const codes = quantizeFourBit(values, format, { rounding: { stochastic: new Rng(seed) } });
      expect(dequantizeFourBit(codes, format, 64)).toEqual(values);
    }
  });

  test("is the same for the same stream, from which it draws once per element", () => {
    const values = drawWeights(4, 99);
    values.fill(0, 64); // a block of zeros draws too
    const draw = (rng: Rng) => hexOf(quantizeFourBit(values, NF4, { rounding: { stochastic: rng } }).packed);
    const rng = new Rng(3);
    expect(draw(rng)).toBe(draw(new Rng(3)));
    const other = new Rng(3);
    for (let i = 0; i < 99; i++) other.uint32();
    expect(rng.uint32()).toBe(other.uint32());
  });

  test("equals nearest rounding where there is no choice: zeros, tiny scales, odd lengths", () => {
    const stochastic = { rounding: { stochastic: new Rng(1) } };
    expect(hexOf(quantizeFourBit(new Float32Array(3), NF4, stochastic).packed)).toBe("7777");
    expect(hexOf(quantizeFourBit(Float32Array.of(2 ** -149, -(2 ** -149), 0), NF4, stochastic).packed)).toBe("f077");
    expect(hexOf(quantizeFourBit(Float32Array.of(0, 0, 0), FP4, stochastic).packed)).toBe("0000");
  });

  test("refuses values that are not finite", () => {
    expect(() =>
      quantizeFourBit(Float32Array.of(1, Number.NaN), NF4, { rounding: { stochastic: new Rng(1) } }),
    ).toThrow(NumericError);
  });
});
