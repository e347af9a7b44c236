import { describe, expect, test } from "vitest";
import { drawWeights, golden, hexOf, sha256Of } from "../../tests/quant/golden.js";
import { NumericError, ShapeError } from "../base/errors.js";
import { NESTED_BLOCK_SIZE, type NestedAbsmax, nestAbsmax, restoreAbsmax } from "./double-quantization.js";
import { DYNAMIC_MAP } from "./dynamic-map.js";
import { quantizeFourBit } from "./four-bit.js";

const scalesOf = (seed: number, length: number) => drawWeights(seed, length).map(Math.abs);

test("the scales of a (4, 64) weight as bitsandbytes quantizes them", () => {
  const weight = Float32Array.from({ length: 256 }, (_, i) => ((((37 * i) % 101) - 50) / 50) * 0.01 * (1 + (i >> 6)));
  const { absmax } = quantizeFourBit(weight, { type: "nf4", blockSize: 64 });
  const nested = nestAbsmax(absmax);
  expect(Array.from(nested.offset)).toEqual([0.02499999850988388]);
  expect(Array.from(nested.absmax)).toEqual([0.015000000596046448]);
  expect(Array.from(nested.codes)).toEqual([0, 47, 207, 255]);
  expect(nested.map).toEqual(DYNAMIC_MAP);
  expect(restoreAbsmax(nested)).toEqual(Float32Array.of(0.0101054665, 0.0200195294, 0.0299804676, 0.04));
});

describe("against NumPy", () => {
  test.each(golden.nested)("$length scales", (expected) => {
    const nested = nestAbsmax(scalesOf(expected.seed, expected.length));
    expect(hexOf(nested.codes)).toBe(expected.codes);
    expect(hexOf(nested.absmax)).toBe(expected.absmax);
    expect(hexOf(nested.offset)).toBe(expected.offset);
    expect(sha256Of(restoreAbsmax(nested))).toBe(expected.restored);
  });

  test("some cases fill several blocks, the last one in part", () => {
    expect(golden.nested.some(({ length }) => length > 2 * NESTED_BLOCK_SIZE && length % NESTED_BLOCK_SIZE !== 0)).toBe(
      true,
    );
  });
});

describe("codes", () => {
  test("name the nearest entry of the map, over all of its decades", () => {
    // One block each: the mean is 0 and the largest distance 1, so the map is searched for the scales themselves.
    for (let block = 0; block < 40; block++) {
      const half = Array.from({ length: 127 }, (_, i) => 10 ** ((-7.5 * (i * 40 + block)) / (127 * 40)));
      const scales = Float32Array.from([1, ...half, -1, ...half.map((value) => -value)]);
      const { codes, offset, absmax } = nestAbsmax(scales);
      expect([offset[0], absmax[0]]).toEqual([0, 1]);
      scales.forEach((scale, i) => {
        const distance = Math.abs(DYNAMIC_MAP[codes[i]!]! - scale);
        for (const entry of DYNAMIC_MAP)
          if (Math.abs(entry - scale) < distance) expect.fail(`${scale} is nearer to ${entry}`);
      });
    }
  });

  test("of a value halfway between two entries are the lower one", () => {
    let ties = 0;
    for (let code = 0; code < 255; code++) {
      const halfway = (DYNAMIC_MAP[code]! + DYNAMIC_MAP[code + 1]!) / 2;
      if (Math.fround(halfway) !== halfway) continue;
      ties++;
      const { codes } = nestAbsmax(Float32Array.of(1, -1, halfway, -halfway));
      expect(codes[2]).toBe(code);
    }
    expect(ties).toBeGreaterThan(50);
  });

  test("of each entry are its own", () => {
    for (let code = 0; code < 256; code++) {
      const entry = DYNAMIC_MAP[code]!;
      expect(nestAbsmax(Float32Array.of(1, -1, entry, -entry)).codes[2]).toBe(code);
    }
  });
});

describe("edges", () => {
  test("equal scales are restored exactly, from the code of zero", () => {
    for (const scale of [0, 0.1, 2 ** -149, 3.4e38]) {
      const nested = nestAbsmax(new Float32Array(300).fill(scale));
      expect(nested.codes.every((code) => code === 127)).toBe(true);
      expect(restoreAbsmax(nested)).toEqual(new Float32Array(300).fill(scale));
    }
  });

  test("distances in float32's subnormal range keep their codes", () => {
    const nested = nestAbsmax(Float32Array.of(2 ** -140, 3 * 2 ** -140));
    expect(Array.from(nested.codes)).toEqual([0, 255]);
  });

  test("no scales make no codes", () => {
    const nested = nestAbsmax(new Float32Array(0));
    expect([nested.codes.length, nested.absmax.length, nested.offset[0]]).toEqual([0, 0, 0]);
    expect(restoreAbsmax(nested)).toHaveLength(0);
  });

  test("scales that are not finite are refused", () => {
    for (const scale of [Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => nestAbsmax(Float32Array.of(1, scale))).toThrow(NumericError);
    }
  });
});

describe("into", () => {
  test("writes to the arrays given, including the map", () => {
    const scales = scalesOf(7, 300);
    const into: NestedAbsmax = {
      codes: new Uint8Array(300).fill(9),
      absmax: new Float32Array(2).fill(9),
      offset: Float32Array.of(9),
      map: new Float32Array(256).fill(9),
    };
    expect(nestAbsmax(scales, into)).toBe(into);
    expect(into).toEqual(nestAbsmax(scales));
    const restored = new Float32Array(300).fill(9);
    expect(restoreAbsmax(into, restored)).toBe(restored);
    expect(restored).toEqual(restoreAbsmax(nestAbsmax(scales)));
  });

  test("the map beside the codes is used, which may differ from ours", () => {
    const nested = nestAbsmax(scalesOf(7, 4));
    nested.map.fill(0.5);
    const [offset, absmax] = [nested.offset[0]!, nested.absmax[0]!];
    expect(restoreAbsmax(nested)).toEqual(new Float32Array(4).fill(Math.fround(0.5 * absmax) + offset));
  });

  test("changing a result does not change the map of others", () => {
    nestAbsmax(Float32Array.of(1, 2)).map.fill(0);
    expect(nestAbsmax(Float32Array.of(1, 2)).map[255]).toBe(1);
  });

  test("arrays of other sizes are refused, all at once", () => {
    const nested = nestAbsmax(new Float32Array(300));
    expect(() => nestAbsmax(new Float32Array(256), nested)).toThrow(ShapeError);
    expect(() => nestAbsmax(new Float32Array(256), nested)).toThrow(
      "codes must have 256, got 300; absmax must have 1, got 2",
    );
    expect(() => restoreAbsmax({ ...nested, map: new Float32Array(16) })).toThrow("map must have 256, got 16");
    expect(() => restoreAbsmax(nested, new Float32Array(299))).toThrow(
      "into must have 300 elements, as many as codes, got 299",
    );
  });
});
