import { bfloat16ToFloat32, float16ToFloat32, float32ToFloat16 } from "./half-precision.js";

/** Floats held in 16 bits each. */
export interface HalfArray {
  /** Encoding of the bits. */
  readonly format: "bfloat16" | "float16";
  readonly bits: Uint16Array;
  /** A power of two: each value is its 16-bit number times this. */
  readonly scale: number;
}

/** The values in float32, exactly. */
export function widen({ format, bits, scale }: HalfArray): Float32Array {
  const values = new Float32Array(bits.length);
  if (format === "bfloat16") bfloat16ToFloat32(bits, values);
  else float16ToFloat32(bits, values);
  if (scale !== 1) for (let i = 0; i < values.length; i++) values[i]! *= scale;
  return values;
}

/** Exponent of the largest power of two in float16. */
const LARGEST_EXPONENT = 15;
/** Scales beyond 2^±40 are not used: an addend of a product is divided by the scale and must stay finite. */
const LARGEST_SHIFT = 40;
const FINITE_END = 0x7f80;

/**
 * Returns bfloat16 as scaled float16 if that holds every value exactly, else unchanged. ONNX Runtime widens float16
 * with vector instructions, but bfloat16 one element at a time. float16 has more bits for fewer magnitudes: 33 octaves
 * at bfloat16's precision, a range that the weights of a layer hardly ever exceed.
 * @param bits is taken over and overwritten.
 */
export function fastestHalf(bits: Uint16Array): HalfArray {
  const kept = { format: "bfloat16", bits, scale: 1 } as const;
  const occurs = occurring(bits);
  const distinct = Uint16Array.from(occurs.keys()).filter((pattern) => occurs[pattern] === 1);
  const largest = distinct.reduce((most, pattern) => Math.max(most, pattern & 0x7fff), 0);
  const shift = largest === 0 ? 0 : LARGEST_EXPONENT + 127 - (largest >>> 7);
  if (largest >= FINITE_END || Math.abs(shift) > LARGEST_SHIFT) return kept;
  const shifted = new Float32Array(distinct.length);
  bfloat16ToFloat32(distinct, shifted);
  for (let i = 0; i < shifted.length; i++) shifted[i]! *= 2 ** shift;
  const halves = new Uint16Array(distinct.length);
  float32ToFloat16(shifted, halves);
  const back = new Float32Array(distinct.length);
  float16ToFloat32(halves, back);
  if (back.some((value, i) => value !== shifted[i])) return kept;
  const table = new Uint16Array(2 ** 16);
  for (let i = 0; i < distinct.length; i++) table[distinct[i]!] = halves[i]!;
  translate(bits, table);
  return { format: "float16", bits, scale: 2 ** -shift };
}

/** A table with 1 for every pattern that occurs. */
function occurring(bits: Uint16Array): Uint8Array {
  const occurs = new Uint8Array(2 ** 16);
  const { pairs, last } = inPairs(bits);
  for (let i = 0; i < pairs.length; i++) {
    const pair = pairs[i]!;
    occurs[pair & 0xffff] = 1;
    occurs[pair >>> 16] = 1;
  }
  for (const pattern of last) occurs[pattern] = 1;
  return occurs;
}

/** Replaces each pattern by its entry in the table. */
function translate(bits: Uint16Array, table: Uint16Array): void {
  const { pairs, last } = inPairs(bits);
  for (let i = 0; i < pairs.length; i++) {
    const pair = pairs[i]!;
    pairs[i] = table[pair & 0xffff]! | (table[pair >>> 16]! << 16);
  }
  for (let i = 0; i < last.length; i++) last[i] = table[last[i]!]!;
}

/**
 * Views pairs of patterns as one number, which is twice as fast. `last` holds the odd one left over, or all of them if
 * the array is not aligned to 4 bytes.
 */
function inPairs(bits: Uint16Array): { pairs: Uint32Array; last: Uint16Array } {
  const count = bits.byteOffset % 4 === 0 ? bits.length >>> 1 : 0;
  return {
    pairs: new Uint32Array(bits.buffer, bits.byteOffset - (bits.byteOffset % 4), count),
    last: bits.subarray(2 * count),
  };
}
