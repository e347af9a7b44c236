import { bfloat16ToFloat32, float16ToFloat32 } from "../tensor/half-precision.js";
import { GGUF_TYPES, type GgufTypeName } from "./types.js";

/** Writes the elements of whole blocks to `target`. */
export type Widen = (source: Uint8Array<ArrayBuffer>, target: Float32Array) => void;

/** Writes the elements of the block at byte `at` to `target`, from element `to` on. */
type WidenBlock = (source: Uint8Array, at: number, target: Float32Array, to: number) => void;

/**
 * Values in float32 of the tensor types that can be read. Layouts and arithmetic are those of ggml-quants.c: every sum
 * and product is rounded to float32 once, so that the results are its results to the last bit.
 */
export const WIDENED: Readonly<Partial<Record<GgufTypeName, Widen>>> = {
  F32: (source, target) => {
    new Uint8Array(target.buffer, target.byteOffset, target.byteLength).set(source);
  },
  F16: (source, target) => float16ToFloat32(halves(source), target),
  BF16: (source, target) => bfloat16ToFloat32(halves(source), target),
  Q4_0: inBlocks("Q4_0", (source, at, target, to) => {
    const d = float16At(source, at);
    for (let i = 0; i < 16; i++) {
      const codes = source[at + 2 + i]!;
      target[to + i] = d * ((codes & 15) - 8);
      target[to + 16 + i] = d * ((codes >> 4) - 8);
    }
  }),
  Q4_1: inBlocks("Q4_1", (source, at, target, to) => {
    const [d, m] = [float16At(source, at), float16At(source, at + 2)];
    for (let i = 0; i < 16; i++) {
      const codes = source[at + 4 + i]!;
      target[to + i] = d * (codes & 15) + m;
      target[to + 16 + i] = d * (codes >> 4) + m;
    }
  }),
  Q5_0: inBlocks("Q5_0", (source, at, target, to) => {
    const d = float16At(source, at);
    const high = uint32At(source, at + 2);
    for (let i = 0; i < 16; i++) {
      const codes = source[at + 6 + i]!;
      target[to + i] = d * (((codes & 15) | (((high >>> i) & 1) << 4)) - 16);
      target[to + 16 + i] = d * (((codes >> 4) | (((high >>> (16 + i)) & 1) << 4)) - 16);
    }
  }),
  Q5_1: inBlocks("Q5_1", (source, at, target, to) => {
    const [d, m] = [float16At(source, at), float16At(source, at + 2)];
    const high = uint32At(source, at + 4);
    for (let i = 0; i < 16; i++) {
      const codes = source[at + 8 + i]!;
      target[to + i] = d * ((codes & 15) | (((high >>> i) & 1) << 4)) + m;
      target[to + 16 + i] = d * ((codes >> 4) | (((high >>> (16 + i)) & 1) << 4)) + m;
    }
  }),
  Q8_0: inBlocks("Q8_0", (source, at, target, to) => {
    const d = float16At(source, at);
    for (let i = 0; i < 32; i++) target[to + i] = d * int8(source[at + 2 + i]!);
  }),
  IQ4_NL: inBlocks("IQ4_NL", (source, at, target, to) => {
    const d = float16At(source, at);
    for (let i = 0; i < 16; i++) {
      const codes = source[at + 2 + i]!;
      target[to + i] = d * IQ4_VALUES[codes & 15]!;
      target[to + 16 + i] = d * IQ4_VALUES[codes >> 4]!;
    }
  }),
  // 16 bytes of 4-bit scales and minima, 64 of 2-bit codes, d, dmin.
  Q2_K: inBlocks("Q2_K", (source, at, target, to) => {
    const [d, dmin] = [float16At(source, at + 80), float16At(source, at + 82)];
    for (let group = 0; group < 16; group++) {
      const scale = source[at + group]!;
      const [dl, ml] = [d * (scale & 15), dmin * (scale >> 4)];
      const { codes, shift } = twoBitGroup(at + 16, group);
      for (let i = 0; i < 16; i++) target[to + 16 * group + i] = dl * ((source[codes + i]! >> shift) & 3) - ml;
    }
  }),
  // 32 bytes of high bits, 64 of 2-bit codes, 12 of 6-bit scales, d. A missing high bit takes 4 away.
  Q3_K: inBlocks("Q3_K", (source, at, target, to) => {
    const d = float16At(source, at + 108);
    for (let group = 0; group < 16; group++) {
      const low = (source[at + 96 + (group & 7)]! >> (4 * (group >> 3))) & 15;
      const high = (source[at + 104 + (group & 3)]! >> (2 * (group >> 2))) & 3;
      const dl = d * ((low | (high << 4)) - 32);
      const { codes, shift } = twoBitGroup(at + 32, group);
      for (let i = 0; i < 16; i++) {
        const isHigh = (source[at + 16 * (group & 1) + i]! >> (group >> 1)) & 1;
        target[to + 16 * group + i] = dl * (((source[codes + i]! >> shift) & 3) - 4 * (1 - isHigh));
      }
    }
  }),
  // d, dmin, 12 bytes of 6-bit scales and minima, 128 of 4-bit codes.
  Q4_K: inBlocks("Q4_K", (source, at, target, to) => {
    const [d, dmin] = [float16At(source, at), float16At(source, at + 2)];
    for (let group = 0; group < 8; group++) {
      const [scale, min] = sixBits(source, at + 4, group);
      const [dl, ml] = [d * scale, dmin * min];
      const codes = at + 16 + 32 * (group >> 1);
      const shift = 4 * (group & 1);
      for (let i = 0; i < 32; i++) target[to + 32 * group + i] = dl * ((source[codes + i]! >> shift) & 15) - ml;
    }
  }),
  // As Q4_K, with 32 bytes of high bits before the codes.
  Q5_K: inBlocks("Q5_K", (source, at, target, to) => {
    const [d, dmin] = [float16At(source, at), float16At(source, at + 2)];
    for (let group = 0; group < 8; group++) {
      const [scale, min] = sixBits(source, at + 4, group);
      const [dl, ml] = [d * scale, dmin * min];
      const codes = at + 48 + 32 * (group >> 1);
      const shift = 4 * (group & 1);
      for (let i = 0; i < 32; i++) {
        const high = ((source[at + 16 + i]! >> group) & 1) << 4;
        target[to + 32 * group + i] = dl * (((source[codes + i]! >> shift) & 15) | high) - ml;
      }
    }
  }),
  // 128 bytes of low 4 bits, 64 of high 2 bits, 16 of 8-bit scales, d.
  Q6_K: inBlocks("Q6_K", (source, at, target, to) => {
    const d = float16At(source, at + 208);
    for (let group = 0; group < 8; group++) {
      const half = group >> 2;
      const part = group & 3;
      const low = at + 64 * half + 32 * (part & 1);
      const high = at + 128 + 32 * half;
      for (let i = 0; i < 32; i++) {
        const dl = d * int8(source[at + 192 + 2 * group + (i >> 4)]!);
        const code = ((source[low + i]! >> (4 * (part >> 1))) & 15) | (((source[high + i]! >> (2 * part)) & 3) << 4);
        target[to + 32 * group + i] = dl * (code - 32);
      }
    }
  }),
};

/** Values of the codes of IQ4_NL, which are not at equal distances. */
const IQ4_VALUES = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

function inBlocks(type: GgufTypeName, widen: WidenBlock): Widen {
  const { blockBytes: bytes, blockElements: elements } = GGUF_TYPES[type];
  return (source, target) => {
    for (let at = 0, to = 0; to < target.length; at += bytes, to += elements) widen(source, at, target, to);
  };
}

/** First byte and shift of the 2-bit codes of 16 elements: 32 bytes hold four times 32 elements. */
function twoBitGroup(start: number, group: number): { codes: number; shift: number } {
  return { codes: start + 32 * (group >> 3) + 16 * (group & 1), shift: 2 * ((group >> 1) & 3) };
}

/** The 6-bit scale and minimum of a group of Q4_K and Q5_K. */
export function sixBits(source: Uint8Array, at: number, group: number): [scale: number, min: number] {
  const low = source[at + (group & 3)]!;
  const middle = source[at + 4 + (group & 3)]!;
  if (group < 4) return [low & 63, middle & 63];
  const both = source[at + 4 + group]!;
  return [(both & 15) | ((low >> 6) << 4), (both >> 4) | ((middle >> 6) << 4)];
}

let float16Values: Float32Array | undefined;

function float16At(source: Uint8Array, at: number): number {
  if (float16Values === undefined) {
    float16Values = new Float32Array(2 ** 16);
    float16ToFloat32(
      Uint16Array.from(float16Values, (_, bits) => bits),
      float16Values,
    );
  }
  return float16Values[source[at]! | (source[at + 1]! << 8)]!;
}

function uint32At(source: Uint8Array, at: number): number {
  return source[at]! | (source[at + 1]! << 8) | (source[at + 2]! << 16) | (source[at + 3]! << 24);
}

function int8(byte: number): number {
  return (byte << 24) >> 24;
}

/** The bytes as 16-bit words, copied where they do not begin at an even address. */
function halves(source: Uint8Array<ArrayBuffer>): Uint16Array {
  const { buffer, byteOffset } = byteAligned(source);
  return new Uint16Array(buffer, byteOffset, source.length / 2);
}

function byteAligned(source: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return source.byteOffset % 2 === 0 ? source : source.slice();
}
