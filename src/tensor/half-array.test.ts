import { describe, expect, test } from "vitest";
import { fastestHalf, type HalfArray, widen } from "./half-array.js";
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16 } from "./half-precision.js";
import { Rng } from "./random.js";

function bfloat16(values: readonly number[] | Float32Array): Uint16Array {
  const bits = new Uint16Array(values.length);
  expect(float32ToBfloat16(Float32Array.from(values), bits)).toBe(-1);
  return bits;
}

/** The float32 bits of the values, to tell zeros and NaN apart. */
function bitsOf(half: HalfArray): Uint32Array {
  return new Uint32Array(widen(half).buffer);
}

describe("16-bit floats", () => {
  test("of every finite bfloat16 pattern are widened exactly, whether or not float16 can hold their group", () => {
    const formats = new Map<string, number>();
    // Eight exponents at a time, of both signs.
    for (let first = 0; first < 0x7f80; first += 0x400) {
      const patterns = Uint16Array.from({ length: 0x400 }, (_, i) => first + i).filter((bits) => bits < 0x7f80);
      const bits = Uint16Array.of(...patterns, ...patterns.map((pattern) => pattern | 0x8000));
      const exact = bitsOf({ format: "bfloat16", bits: bits.slice(), scale: 1 });
      const reference = new Float32Array(bits.length);
      bfloat16ToFloat32(bits, reference);
      expect(exact).toEqual(new Uint32Array(reference.buffer));
      const half = fastestHalf(bits);
      expect(bitsOf(half)).toEqual(exact);
      formats.set(half.format, (formats.get(half.format) ?? 0) + 1);
    }
    // 2^±40 around float16's largest.
    expect(formats.get("float16")).toBeGreaterThanOrEqual(9);
    expect(formats.get("bfloat16")).toBeGreaterThan(0);
  });

  test("of a layer's weights are float16, scaled so that the largest exponent is float16's largest", () => {
    const rng = new Rng(0);
    const bits = bfloat16(Float32Array.from({ length: 2 ** 16 }, () => 0.02 * rng.normal()));
    const before = bits.slice();
    const half = fastestHalf(bits);
    expect(half.format).toBe("float16");
    expect(half.bits).toBe(bits);
    expect(bits).not.toEqual(before);
    expect(bitsOf(half)).toEqual(bitsOf({ format: "bfloat16", bits: before, scale: 1 }));
    const numbers = new Float32Array(bits.length);
    float16ToFloat32(bits, numbers);
    const largest = numbers.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(largest).toBeGreaterThanOrEqual(2 ** 15);
    expect(Math.log2(half.scale)).toBe(Math.round(Math.log2(half.scale)));
  });

  test.each([
    [1, 5],
    [0, 5],
    [0, 4],
  ])("that begin at element %i of an array and end before %i are re-encoded one by one or in pairs", (start, end) => {
    const bits = bfloat16([1, 2, 3, 4, 5, 6]);
    const exact = bitsOf({ format: "bfloat16", bits: bits.slice(), scale: 1 });
    const half = fastestHalf(bits.subarray(start, end));
    expect(half.format).toBe("float16");
    expect(bitsOf(half)).toEqual(exact.slice(start, end));
    expect(bits.slice(end)).toEqual(bfloat16([1, 2, 3, 4, 5, 6]).slice(end));
  });

  test.each([
    ["more magnitudes than float16 has", [1, 2 ** -41]],
    ["infinities", [1, Infinity]],
    ["NaN", [1, Number.NaN]],
    ["magnitudes so small that what is added to their sums would overflow when it is scaled", [2 ** -60]],
  ])("of %s stay bfloat16", (_, values) => {
    const bits = bfloat16(values);
    const before = bits.slice();
    expect(fastestHalf(bits)).toEqual({ format: "bfloat16", bits: before, scale: 1 });
  });

  test("of zeros of both signs, or of none, are float16", () => {
    expect(bitsOf(fastestHalf(bfloat16([0, -0])))).toEqual(Uint32Array.of(0, 0x80000000));
    expect(fastestHalf(new Uint16Array())).toMatchObject({ format: "float16", scale: 1 });
  });
});
