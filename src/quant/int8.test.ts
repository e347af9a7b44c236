import { describe, expect, test } from "vitest";
import { drawWeights, floatsOf, golden, hexOf, sha256Of } from "../../tests/quant/golden.js";
import { NumericError, ShapeError } from "../base/errors.js";
import { float16ToFloat32, float32ToFloat16 } from "../tensor/half-precision.js";
import { Rng } from "../tensor/random.js";
import { dequantizeInt8, quantizeInt8 } from "./int8.js";

describe("against bitsandbytes", () => {
  test.each([
    [[1, -2, 0.5, 0.25], [64, -127, 32, 16], 2],
    [[0.1, 0.2, -0.3, 0.4], [32, 64, -95, 127], 0.39990234375],
    [[127, 0.5, 1.5, 2.5], [127, 0, 2, 2], 127],
  ])("%j has the codes %j and the scale %d", (row, codes, scale) => {
    const quantized = quantizeInt8(Float32Array.from(row), { rows: 1, columns: 4 });
    expect(Array.from(quantized.codes)).toEqual(codes);
    expect(Array.from(quantized.scales)).toEqual([scale]);
  });
});

test("torch on CPUs, which multiplies with a reciprocal of the scale, has 1 code in 10,000 beside ours", () => {
  const shape = { rows: 1024, columns: 1024 };
  const weights = drawWeights(11, shape.rows * shape.columns);
  const { codes, scales } = quantizeInt8(weights, shape);
  const halves = new Uint16Array(weights.length);
  float32ToFloat16(weights, halves);
  const rounded = new Float32Array(weights.length);
  float16ToFloat32(halves, rounded);
  let apart = 0;
  codes.forEach((code, i) => {
    const inverse = Math.fround(Math.fround(1 / scales[Math.floor(i / shape.columns)]!) * 127);
    const scaled = Math.fround(rounded[i]! * inverse);
    const theirs = Math.fround(scaled + 1.5 * 2 ** 23) - 1.5 * 2 ** 23;
    if (theirs === code) return;
    apart++;
    expect(Math.abs(theirs - code)).toBe(1);
  });
  expect(apart).toBeGreaterThan(0);
  expect(apart).toBeLessThanOrEqual(2e-4 * codes.length);
});

describe("against NumPy", () => {
  test.each(golden.randomInt8)("random weights ($rows, $columns)", (expected) => {
    const quantized = quantizeInt8(drawWeights(expected.seed, expected.rows * expected.columns), expected);
    expect(hexOf(quantized.codes)).toBe(expected.codes);
    expect(hexOf(quantized.scales)).toBe(expected.scales);
    expect(sha256Of(dequantizeInt8(quantized, expected))).toBe(expected.sha256OfDequantized);
  });

  test("rows of a scale and its half, whose codes would be ties without the reciprocal's rounding", () => {
    const quantized = quantizeInt8(floatsOf(golden.tiedInt8.values), golden.tiedInt8);
    expect(hexOf(quantized.codes)).toBe(golden.tiedInt8.codes);
    expect(new Set(quantized.codes)).toEqual(new Set([127, 63, 64, -63, -64]));
  });

  test("each code of a scale that is not a float16", () => {
    const codes = Int8Array.from({ length: 256 }, (_, i) => i - 128);
    const restored = dequantizeInt8(
      { codes, scales: Float32Array.of(golden.everyInt8Code.scale) },
      { rows: 1, columns: 256 },
    );
    expect(sha256Of(restored)).toBe(golden.everyInt8Code.sha256OfDequantized);
  });

  test("rows of one weight, whose scales are the weights in float16: ties, subnormal numbers, the largest", () => {
    const quantized = quantizeInt8(floatsOf(golden.edgeInt8.values), golden.edgeInt8);
    expect(hexOf(quantized.codes)).toBe(golden.edgeInt8.codes);
    expect(hexOf(quantized.scales)).toBe(golden.edgeInt8.scales);
  });
});

describe("edges", () => {
  test("a row of values that are zero in float16 has scale 0 and codes 0", () => {
    const shape = { rows: 3, columns: 2 };
    const into = { codes: new Int8Array(6).fill(9), scales: new Float32Array(3).fill(9) };
    const quantized = quantizeInt8(Float32Array.of(0, -0, 2 ** -26, -(2 ** -25), 1, 0), shape, { into });
    expect(Array.from(quantized.scales)).toEqual([0, 0, 1]);
    expect(Array.from(quantized.codes)).toEqual([0, 0, 0, 0, 127, 0]);
    expect(dequantizeInt8(quantized, shape)).toEqual(
      Float32Array.of(0, 0, 0, 0, Math.fround(127 * 7.874015718698502e-3), 0),
    );
  });

  test("the smallest float16 works as a scale", () => {
    const quantized = quantizeInt8(Float32Array.of(2 ** -24, -(2 ** -24), 0), { rows: 1, columns: 3 });
    expect(quantized).toEqual({ codes: Int8Array.of(127, -127, 0), scales: Float32Array.of(2 ** -24) });
  });

  test("no rows or no columns make no codes", () => {
    expect(quantizeInt8(new Float32Array(0), { rows: 0, columns: 5 }).codes).toHaveLength(0);
    for (const rounding of ["nearest", { stochastic: new Rng(1) }] as const) {
      const into = { codes: new Int8Array(0), scales: new Float32Array(2).fill(9) };
      quantizeInt8(new Float32Array(0), { rows: 2, columns: 0 }, { rounding, into });
      expect(Array.from(into.scales)).toEqual([0, 0]);
    }
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])("%s is named with its index", (value) => {
    const values = drawWeights(1, 12);
    values[7] = value;
    for (const rounding of ["nearest", { stochastic: new Rng(1) }] as const) {
      const act = () => quantizeInt8(values, { rows: 3, columns: 4 }, { rounding });
      expect(act).toThrow(NumericError);
      expect(act).toThrow(`weights must be finite, got ${value} at index 7`);
    }
  });

  test.each([65520, -65536, 1e30])("%d, which is infinite in float16, is named with its index", (value) => {
    const values = Float32Array.of(1, 65504, 2, 65519, value, 3);
    for (const rounding of ["nearest", { stochastic: new Rng(1) }] as const) {
      const act = () => quantizeInt8(values, { rows: 2, columns: 3 }, { rounding });
      expect(act).toThrow(NumericError);
      expect(act).toThrow(`65504, got ${Math.fround(value)} at index 4`);
    }
    expect(quantizeInt8(values.subarray(0, 4), { rows: 2, columns: 2 }).scales).toEqual(Float32Array.of(65504, 65504));
  });
});

test("rows longer than the kernels' memory, and short ones after them", () => {
  const row = drawWeights(16, 14999);
  row[0] = 0.5;
  const whole = quantizeInt8(row, { rows: 1, columns: 14999 });
  for (const [from, to] of [
    [1, 7000],
    [7000, 14999],
  ] as const) {
    const part = quantizeInt8(Float32Array.from([0.5, ...row.subarray(from, to)]), { rows: 1, columns: to - from + 1 });
    expect(part.scales).toEqual(whole.scales);
    expect(hexOf(part.codes.subarray(1))).toBe(hexOf(whole.codes.subarray(from, to)));
  }
  const restored = dequantizeInt8(whole, { rows: 1, columns: 14999 });
  expect(quantizeInt8(restored, { rows: 1, columns: 14999 })).toEqual(whole);
  const [expected] = golden.randomInt8;
  expect(hexOf(quantizeInt8(drawWeights(expected!.seed, 1), expected!).codes)).toBe(expected!.codes);
});

test.each([1, 15, 16, 17, 100, 1000, 4096])("many rows of %i columns are quantized one by one", (columns) => {
  const shape = { rows: 10, columns };
  const values = drawWeights(columns, 10 * columns);
  const { codes, scales } = quantizeInt8(values, shape);
  const restored = dequantizeInt8({ codes, scales }, shape);
  for (let row = 0; row < 10; row++) {
    const [start, end] = [row * columns, (row + 1) * columns];
    const one = quantizeInt8(values.slice(start, end), { rows: 1, columns });
    expect(hexOf(codes.subarray(start, end))).toBe(hexOf(one.codes));
    expect(scales[row]).toBe(one.scales[0]);
    expect(hexOf(restored.subarray(start, end))).toBe(hexOf(dequantizeInt8(one, { rows: 1, columns })));
  }
});

test("quantizing what was dequantized changes nothing", () => {
  const shape = { rows: 40, columns: 50 };
  const quantized = quantizeInt8(drawWeights(6, 2000), shape);
  expect(quantizeInt8(dequantizeInt8(quantized, shape), shape)).toEqual(quantized);
});

describe("into", () => {
  test("writes to the arrays given, at any offset of a view", () => {
    const shape = { rows: 3, columns: 5 };
    const values = drawWeights(8, 16).subarray(1);
    const into = { codes: new Int8Array(18).subarray(3), scales: new Float32Array(4).subarray(1) };
    expect(quantizeInt8(values, shape, { into })).toBe(into);
    const expected = quantizeInt8(values.slice(), shape);
    expect(hexOf(into.codes)).toBe(hexOf(expected.codes));
    expect(hexOf(into.scales)).toBe(hexOf(expected.scales));
    const restored = new Float32Array(16).subarray(1);
    expect(dequantizeInt8(into, shape, restored)).toBe(restored);
    expect(restored).toEqual(dequantizeInt8(expected, shape));
  });

  test("arrays of other sizes are refused, all at once", () => {
    const shape = { rows: 2, columns: 3 };
    const into = { codes: new Int8Array(5), scales: new Float32Array(3) };
    const act = () => quantizeInt8(new Float32Array(7), shape, { into });
    expect(act).toThrow(ShapeError);
    for (const fault of ["values must have 6", "codes must have 6", "scales must have 2"]) {
      expect(act).toThrow(`${fault} elements, got`);
    }
    expect(() => dequantizeInt8(into, shape)).toThrow(ShapeError);
    const quantized = quantizeInt8(new Float32Array(6), shape);
    expect(() => dequantizeInt8(quantized, shape, new Float32Array(5))).toThrow("into must have 6 elements, got 5");
  });
});

describe("stochastic rounding", () => {
  test("is unbiased for weights that float16 would round, and takes one of the two neighbours", () => {
    const shape = { rows: 2, columns: 32 };
    // 0.7 is no float16; the scale is the largest weight unrounded.
    const values = Float32Array.from({ length: 64 }, (_, i) => (i % 32 === 31 ? -0.7 : 0.7 * Math.sin(i)));
    const rng = new Rng(1);
    const draws = 4000;
    const sums = new Float64Array(64);
    const seen = Array.from({ length: 64 }, () => new Set<number>());
    for (let draw = 0; draw < draws; draw++) {
      const { codes, scales } = quantizeInt8(values, shape, { rounding: { stochastic: rng } });
      expect(Array.from(scales)).toEqual([Math.fround(0.7), Math.fround(0.7)]);
      for (const [i, code] of codes.entries()) {
        sums[i]! += code;
        seen[i]!.add(code);
      }
    }
    for (const [i, value] of values.entries()) {
      const x = (value * 127) / Math.fround(0.7);
      const share = x - Math.floor(x);
      for (const code of seen[i]!) expect([Math.floor(x), Math.ceil(x)]).toContain(code);
      if (share > 0.01 && share < 0.99) expect(seen[i]!.size).toBe(2);
      const deviation = Math.sqrt((share * (1 - share)) / draws);
      expect(Math.abs(sums[i]! / draws - x)).toBeLessThanOrEqual(4.5 * deviation + 1e-6);
    }
  });

  test("gives zeros and the largest magnitude their codes, and draws once per element", () => {
    const rng = new Rng(2);
    const values = Float32Array.of(0, 0, 3, -3, 0, -0);
    const quantized = quantizeInt8(values, { rows: 3, columns: 2 }, { rounding: { stochastic: rng } });
    expect(quantized).toEqual({ codes: Int8Array.of(0, 0, 127, -127, 0, 0), scales: Float32Array.of(0, 3, 0) });
    const other = new Rng(2);
    for (let i = 0; i < 6; i++) other.uint32();
    expect(rng.uint32()).toBe(other.uint32());
  });
});
