import { type Kind, requireEach } from "../base/arguments.js";
import { ShapeError } from "../base/errors.js";
import { FOUR_BIT_CODES, type FourBitType } from "../ops/four-bit-codes.js";
import type { Rng } from "../tensor/random.js";
import { packNearest, unpack } from "./four-bit-kernels.js";
import { bitsOf, largestMagnitude, requireFinite } from "./magnitude.js";
import type { Rounding } from "./rounding.js";

export interface FourBitFormat {
  readonly type: FourBitType;
  /** Elements that share a scale: a power of two from 16 to 4096. bitsandbytes' default is 64. */
  readonly blockSize: number;
}

/** Values in 4 bits each, packed byte for byte as in bitsandbytes. */
export interface FourBitCodes {
  /** ⌈length / 2⌉: element 2j in the high half of byte j. If the length is odd, the last half holds the code of 0. */
  readonly packed: Uint8Array;
  /** ⌈length / blockSize⌉: the largest magnitude of each block, the last of which may be short. */
  readonly absmax: Float32Array;
}

/** Elements that may share a scale. */
export const BLOCK_SIZE: Kind = {
  words: "a power of two from 16 to 4096",
  holds: (size) => typeof size === "number" && Number.isInteger(Math.log2(size)) && size >= 16 && size <= 4096,
};

/**
 * Quantizes a flat array in blocks: each element is divided by the largest magnitude of its block and rounded to a
 * code. Nearest rounding is that of bitsandbytes on CUDA: times the float32 reciprocal, ties to the lower code (FP4: to
 * the smaller magnitude). Stochastic rounding is unbiased up to 2^-24 of the distance between two codes. A block of
 * zeros gets the scale 0 and the code of 0, as in bitsandbytes without CUDA and in ONNX Runtime, so it stays zero even
 * if double quantization gives it another scale.
 * @param options.into written in place.
 * @throws ShapeError if its sizes do not fit.
 * @throws NumericError for NaN or Infinity; `into` may be partly written by then.
 */
export function quantizeFourBit(
  values: Float32Array,
  format: FourBitFormat,
  options: { readonly rounding?: Rounding; readonly into?: FourBitCodes } = {},
): FourBitCodes {
  requireEach("quantizeFourBit", BLOCK_SIZE, { blockSize: format.blockSize });
  const { rounding = "nearest", into = allocate(values.length, format) } = options;
  checkSizes("quantizeFourBit", into, format, values.length);
  if (rounding === "nearest") packNearest(values, format, into);
  else packStochastic(values, format, into, rounding.stochastic);
  return into;
}

/**
 * Dequantizes: code · absmax in float32.
 * @param length number of values; the codes do not tell odd lengths from even ones.
 * @param into written in place.
 * @throws ShapeError if sizes do not fit together.
 */
export function dequantizeFourBit(
  codes: FourBitCodes,
  format: FourBitFormat,
  length: number,
  into: Float32Array = new Float32Array(length),
): Float32Array {
  requireEach("dequantizeFourBit", BLOCK_SIZE, { blockSize: format.blockSize });
  checkSizes("dequantizeFourBit", codes, format, length);
  if (into.length !== length) {
    throw new ShapeError(`dequantizeFourBit: into must have ${length} elements, got ${into.length}`);
  }
  unpack(codes, format, into);
  return into;
}

function allocate(length: number, { blockSize }: FourBitFormat): FourBitCodes {
  return { packed: new Uint8Array(Math.ceil(length / 2)), absmax: new Float32Array(Math.ceil(length / blockSize)) };
}

function checkSizes(where: string, codes: FourBitCodes, { blockSize }: FourBitFormat, length: number): void {
  const expected = { packed: Math.ceil(length / 2), absmax: Math.ceil(length / blockSize) };
  const faults = (["packed", "absmax"] as const).flatMap((name) =>
    codes[name].length === expected[name] ? [] : [`${name} must have ${expected[name]}, got ${codes[name].length}`],
  );
  if (faults.length > 0) {
    throw new ShapeError(`${where}: of ${length} values in blocks of ${blockSize} ${faults.join("; ")}`);
  }
}

/** Tables of a 4-bit type for stochastic rounding. */
interface Levels {
  /** The codes in ascending order of their values. */
  readonly codes: Uint8Array;
  /** Their values, then Infinity. */
  readonly values: Float32Array;
  /**
   * For each 16th of [−1, 1], the index of the last value that is not above its lower edge; at most one more lies
   * inside.
   */
  readonly places: Uint8Array;
}

const LEVELS: Readonly<Record<FourBitType, Levels>> = {
  nf4: createLevels("nf4", FOUR_BIT_CODES.nf4.keys()),
  fp4: createLevels("fp4", [11, 10, 13, 12, 15, 14, 9, 8, 0, 1, 6, 7, 4, 5, 2, 3]),
};

function createLevels(type: FourBitType, order: Iterable<number>): Levels {
  const codes = Uint8Array.from(order);
  const values = Float32Array.from([
    ...Array.from(codes, (code) => FOUR_BIT_CODES[type][code]!),
    Number.POSITIVE_INFINITY,
  ]);
  const lowerEdges = Array.from({ length: 33 }, (_, i) => i / 16 - 1);
  const places = lowerEdges.map((edge) => values.findIndex((value) => value > edge) - 1);
  return { codes, values, places: Uint8Array.from(places) };
}

function packStochastic(
  values: Float32Array,
  { type, blockSize }: FourBitFormat,
  { packed, absmax }: FourBitCodes,
  rng: Rng,
): void {
  const levels = LEVELS[type];
  const zero = FOUR_BIT_CODES[type].indexOf(0);
  const bits = bitsOf(values);
  const absmaxBits = bitsOf(absmax);
  for (let block = 0, start = 0; start < values.length; block++, start += blockSize) {
    const end = Math.min(start + blockSize, values.length);
    const largest = largestMagnitude(bits, start, end);
    requireFinite(largest, values, "quantizeFourBit");
    absmaxBits[block] = largest;
    const divisor = largest === 0 ? 1 : absmax[block]!;
    for (let i = start; i < end; i += 2) {
      const high = stochasticCode(values[i]! / divisor, levels, rng);
      const low = i + 1 < end ? stochasticCode(values[i + 1]! / divisor, levels, rng) : zero;
      packed[i / 2] = (high << 4) | low;
    }
  }
}

/** Code for x from −1 to 1. */
function stochasticCode(x: number, { codes, values, places }: Levels, rng: Rng): number {
  let lower = places[(16 * x + 16) | 0]!;
  if (x >= values[lower + 1]!) lower++;
  const share = (x - values[lower]!) / (values[lower + 1]! - values[lower]!);
  return codes[rng.uniform() < share ? lower + 1 : lower]!;
}
