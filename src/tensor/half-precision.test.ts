import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { sha256 } from "#platform";
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "./half-precision.js";

const golden = JSON.parse(await readFile("tests/golden/float32-to-half.json", "utf8"));
const lowerHalves: number[] = golden.lowerHalves.map((hex: string) => Number.parseInt(hex, 16));

const types = [
  { type: "F16", toHalf: float32ToFloat16, toFloat: float16ToFloat32, infinity: 0x7c00 },
  { type: "BF16", toHalf: float32ToBfloat16, toFloat: bfloat16ToFloat32, infinity: 0x7f80 },
] as const;

const hex = (bits: number, digits: number): string => bits.toString(16).padStart(digits, "0");
const floatsOf = (bits: Uint32Array): Float32Array => new Float32Array(bits.buffer, bits.byteOffset, bits.length);

test.each(types)("float32 of every class becomes the $type that PyTorch makes of it", ({ type, toHalf, infinity }) => {
  const { selected, smallestRefused, refused, sha256OfAccepted } = golden[type];
  const limit = Number.parseInt(smallestRefused, 16);
  const accepted = new Uint32Array(2 ** 16 * lowerHalves.length - refused);
  let count = 0;
  for (let upper = 0; upper < 2 ** 16; upper++) {
    for (const lower of lowerHalves) {
      const bits = ((upper << 16) | lower) >>> 0;
      const magnitude = bits & 0x7fffffff;
      if (magnitude < limit || magnitude >= 0x7f800000) accepted[count++] = bits;
    }
  }
  expect(count).toBe(accepted.length);
  const halves = new Uint16Array(count);
  expect(toHalf(floatsOf(accepted), halves)).toBe(-1);
  const canonical = (half: number): number => ((half & 0x7fff) > infinity ? 0x7fff : half);
  for (const [float, half] of selected) {
    const one = new Uint16Array(1);
    expect(toHalf(floatsOf(Uint32Array.of(Number.parseInt(float, 16))), one)).toBe(-1);
    expect([float, hex(canonical(one[0]!), 4)]).toEqual([float, half]);
  }
  expect(selected.length).toBeGreaterThan(27);
  expect(sha256(new Uint8Array(halves.map(canonical).buffer))).toBe(sha256OfAccepted);
});

test.each(types)("the first finite value that is infinite in PyTorch's $type is pointed out", ({ type, toHalf }) => {
  const limit = Number.parseInt(golden[type].smallestRefused, 16);
  const target = new Uint16Array(4);
  expect(toHalf(floatsOf(Uint32Array.of(0, limit - 1, limit, limit)), target)).toBe(2);
  expect(toHalf(floatsOf(Uint32Array.of(0, 0x80000000 + limit)), target)).toBe(1);
});

test.each(types)("$type keeps every one of its 65536 values on the way to float32 and back, NaN too", (conversions) => {
  const all = Uint16Array.from({ length: 2 ** 16 }, (_, i) => i);
  const floats = new Float32Array(all.length);
  conversions.toFloat(all, floats);
  const back = new Uint16Array(all.length);
  expect(conversions.toHalf(floats, back)).toBe(-1);
  expect(back).toEqual(all);
});
