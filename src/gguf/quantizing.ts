import { largest } from "../base/numbers.js";
import { float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "../tensor/half-precision.js";
import { type MinimumSearch, searchSymmetric, searchWithMinimum } from "./scale-search.js";
import { GGUF_TYPES, type GgufTypeName } from "./types.js";

/**
 * Writes the blocks of whole rows of finite numbers to `target`.
 * @returns a number that the type cannot hold, if any.
 */
export type Quantize = (source: Float32Array, target: Uint8Array<ArrayBuffer>) => number | undefined;

/** Writes the block of the elements from `from` on at byte `at`; returns as `Quantize`. */
type QuantizeBlock = (source: Float32Array, from: number, target: Uint8Array, at: number) => number | undefined;

/** A tensor type that can be written. */
export type WrittenGgufType = keyof typeof QUANTIZED;

const { fround } = Math;

/**
 * Blocks of the tensor types that can be written, byte for byte as ggml-quants.c makes them on x64: each step is
 * rounded to float32.
 */
export const QUANTIZED = {
  F32: (source, target) => {
    target.set(new Uint8Array(source.buffer, source.byteOffset, source.byteLength));
    return undefined;
  },
  F16: inHalves(float32ToFloat16),
  BF16: inHalves(float32ToBfloat16),
  Q4_0: inBlocks("Q4_0", (source, from, target, at) => {
    const d = fround(largestOfBlock(source, from) / -8);
    const inverse = inverseOf(d);
    const code = (i: number): number => clipped(fround(fround(source[from + i]! * inverse) + 8.5), 15);
    for (let i = 0; i < 16; i++) target[at + 2 + i] = code(i) | (code(i + 16) << 4);
    return writeFloat16(d, target, at);
  }),
  Q4_1: inBlocks("Q4_1", (source, from, target, at) => {
    const { code, d, min } = withMinimum(source, from, 15);
    for (let i = 0; i < 16; i++) target[at + 4 + i] = code(i) | (code(i + 16) << 4);
    return writeFloat16(d, target, at) ?? writeFloat16(min, target, at + 2);
  }),
  Q5_0: inBlocks("Q5_0", (source, from, target, at) => {
    const d = fround(largestOfBlock(source, from) / -16);
    const inverse = inverseOf(d);
    writeFiveBits((i) => clipped(fround(fround(source[from + i]! * inverse) + 16.5), 31), target, at + 2);
    return writeFloat16(d, target, at);
  }),
  Q5_1: inBlocks("Q5_1", (source, from, target, at) => {
    const { code, d, min } = withMinimum(source, from, 31);
    writeFiveBits(code, target, at + 4);
    return writeFloat16(d, target, at) ?? writeFloat16(min, target, at + 2);
  }),
  Q8_0: inBlocks("Q8_0", (source, from, target, at) => {
    const d = fround(Math.abs(largestOfBlock(source, from)) / 127);
    const inverse = inverseOf(d);
    for (let i = 0; i < 32; i++) {
      const value = fround(source[from + i]! * inverse);
      // Half away from zero.
      target[at + 2 + i] = Math.sign(value) * Math.floor(Math.abs(value) + 0.5);
    }
    return writeFloat16(d, target, at);
  }),
  Q4_K: inBlocks("Q4_K", (source, from, target, at) => {
    const { codes, misfit } = groupsWithMinimum(source, from, target, at, { most: 15, lowest: -1, guesses: 20 });
    for (let i = 0; i < 128; i++) {
      const low = 64 * (i >> 5) + (i & 31);
      target[at + 16 + i] = codes[low]! | (codes[low + 32]! << 4);
    }
    return misfit;
  }),
  Q5_K: inBlocks("Q5_K", (source, from, target, at) => {
    const { codes, misfit } = groupsWithMinimum(source, from, target, at, { most: 31, lowest: -0.5, guesses: 15 });
    target.fill(0, at + 16, at + 48);
    for (let i = 0; i < 256; i++) target[at + 16 + (i & 31)]! |= (codes[i]! >> 4) << (i >> 5);
    for (let i = 0; i < 128; i++) {
      const low = 64 * (i >> 5) + (i & 31);
      target[at + 48 + i] = (codes[low]! & 15) | ((codes[low + 32]! & 15) << 4);
    }
    return misfit;
  }),
  Q6_K: inBlocks("Q6_K", (source, from, target, at) => {
    const block = source.subarray(from, from + 256);
    const { codes, scales: exact } = searchSymmetric(block);
    // Where the sums of the search overflow.
    if (!exact.every(Number.isFinite)) return block.reduce(larger);
    const most = exact.reduce(larger, 0);
    target.fill(0, at, at + 210);
    if (Math.abs(most) < fround(1e-15)) return undefined;
    const inverse = fround(-128 / most);
    const misfit = writeFloat16(fround(1 / inverse), target, at + 208);
    const stored = readFloat16(target, at + 208);
    const scales = Array.from(exact, (scale) => Math.min(127, nearest(fround(inverse * scale))));
    for (let i = 0; i < 16; i++) target[at + 192 + i] = scales[i]!;
    for (let i = 0; i < 256; i++) {
      const step = fround(stored * scales[i >> 4]!);
      const code = step === 0 ? codes[i]! : 32 + limited(nearest(fround(block[i]! / step)), -32, 31);
      const [half, part, place] = [i >> 7, (i >> 5) & 3, i & 31];
      target[at + 64 * half + 32 * (part & 1) + place]! |= (code & 15) << (4 * (part >> 1));
      target[at + 128 + 32 * half + place]! |= (code >> 4) << (2 * part);
    }
    return misfit;
  }),
} as const satisfies Readonly<Partial<Record<GgufTypeName, Quantize>>>;

function inBlocks(type: GgufTypeName, quantize: QuantizeBlock): Quantize {
  const { blockBytes: bytes, blockElements: elements } = GGUF_TYPES[type];
  return (source, target) => {
    for (let at = 0, from = 0; from < source.length; at += bytes, from += elements) {
      const misfit = quantize(source, from, target, at);
      if (misfit !== undefined) return misfit;
    }
    return undefined;
  };
}

function inHalves(round: (source: Float32Array, target: Uint16Array) => number): Quantize {
  return (source, target) => {
    const misfit = round(source, new Uint16Array(target.buffer, target.byteOffset, target.length / 2));
    return misfit < 0 ? undefined : source[misfit];
  };
}

/** The first of the 32 elements that are largest in magnitude, with its sign. */
function largestOfBlock(source: Float32Array, from: number): number {
  let found = source[from]!;
  for (let i = 1; i < 32; i++) found = larger(found, source[from + i]!);
  return found;
}

/** The one that is larger in magnitude; of two the first. */
function larger(a: number, b: number): number {
  return Math.abs(b) > Math.abs(a) ? b : a;
}

/** Scale, minimum and codes from 0 to `most` of 32 elements. */
function withMinimum(
  source: Float32Array,
  from: number,
  most: number,
): { d: number; min: number; code: (i: number) => number } {
  let [min, max] = [source[from]!, source[from]!];
  for (let i = 1; i < 32; i++) {
    const value = source[from + i]!;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  const d = fround(fround(max - min) / most);
  const inverse = inverseOf(d);
  const code = (i: number): number => clipped(fround(fround(fround(source[from + i]! - min) * inverse) + 0.5), most);
  return { d, min, code };
}

function inverseOf(d: number): number {
  return d === 0 ? 0 : fround(1 / d);
}

/** The whole part, from 0 to `most`. */
function clipped(value: number, most: number): number {
  return Math.min(Math.max(Math.trunc(value), 0), most);
}

/** The nearest integer to a float32 below 2^22; of two the even one. */
function nearest(value: number): number {
  return fround(fround(value + INTEGERS) - INTEGERS);
}

/** 1.5 · 2^23: a number of this size has no places behind the point. */
const INTEGERS = 12_582_912;

function limited(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}

/** 32 codes of 5 bits: the high bits, then the low halves. */
function writeFiveBits(code: (i: number) => number, target: Uint8Array, at: number): void {
  let high = 0;
  for (let i = 0; i < 16; i++) {
    const [low, up] = [code(i), code(i + 16)];
    high |= ((low >> 4) << i) | ((up >> 4) << (i + 16));
    target[at + 4 + i] = (low & 15) | ((up & 15) << 4);
  }
  for (let i = 0; i < 4; i++) target[at + i] = high >>> (8 * i);
}

/** Writes the scales and minima of a block of Q4_K or Q5_K; returns the codes of its elements. */
function groupsWithMinimum(
  source: Float32Array,
  from: number,
  target: Uint8Array,
  at: number,
  search: MinimumSearch,
): { codes: Uint8Array; misfit: number | undefined } {
  const block = source.subarray(from, from + 256);
  const found = searchWithMinimum(block, search);
  const [most, mostMin] = [largest(found.scales.subarray(0, 8), 0), largest(found.minima, 0)];
  const misfit = writeFloat16(fround(most / 63), target, at) ?? writeFloat16(fround(mostMin / 63), target, at + 2);
  const sixBits = (values: Float32Array, best: number): number[] => {
    const inverse = best > 0 ? fround(63 / best) : 0;
    return Array.from(values, (value) => Math.min(63, nearest(fround(inverse * value))));
  };
  const [scales, minima] = [sixBits(found.scales, most), sixBits(found.minima, mostMin)];
  for (let i = 0; i < 4; i++) {
    const [scale, min] = [scales[4 + i]!, minima[4 + i]!];
    target[at + 4 + i] = scales[i]! | ((scale >> 4) << 6);
    target[at + 8 + i] = minima[i]! | ((min >> 4) << 6);
    target[at + 12 + i] = (scale & 15) | ((min & 15) << 4);
  }
  const [storedD, storedMin] = [readFloat16(target, at), readFloat16(target, at + 2)];
  const { codes } = found;
  for (let i = 0; i < 256; i++) {
    const step = fround(storedD * scales[i >> 5]!);
    if (step === 0) continue;
    const above = fround(block[i]! + fround(storedMin * minima[i >> 5]!));
    codes[i] = limited(nearest(fround(above / step)), 0, search.most);
  }
  return { codes, misfit };
}

const one = new Float32Array(1);
const half = new Uint16Array(1);

/** Writes the nearest float16. @returns the number if it is too large for one. */
function writeFloat16(value: number, target: Uint8Array, at: number): number | undefined {
  one[0] = value;
  if (!Number.isFinite(value) || float32ToFloat16(one, half) >= 0) return value;
  target[at] = half[0]!;
  target[at + 1] = half[0]! >> 8;
  return undefined;
}

function readFloat16(source: Uint8Array, at: number): number {
  half[0] = source[at]! | (source[at + 1]! << 8);
  float16ToFloat32(half, one);
  return one[0]!;
}
