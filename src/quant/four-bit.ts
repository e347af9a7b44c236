import { FOUR_BIT_CODES, type FourBitType } from "../ops/four-bit-codes.js";
import { ConfigError, ShapeError } from "../tensor/errors.js";
import type { Rng } from "../tensor/random.js";
import { bitsOf, largestMagnitude, requireFinite } from "./magnitude.js";
import type { Rounding } from "./rounding.js";

export interface FourBitFormat {
  readonly type: FourBitType;
  /** Elements that share a scale: a power of two from 16 to 4096. bitsandbytes' default is 64. */
  readonly blockSize: number;
}

/** Values in 4 bits each, byte for byte as bitsandbytes packs them. */
export interface FourBitCodes {
  /** ⌈length / 2⌉: element 2j in the high half of byte j. After an odd length the last half holds the code of 0. */
  readonly packed: Uint8Array;
  /** ⌈length / blockSize⌉: the largest magnitude of each block, the last of which may be short. */
  readonly absmax: Float32Array;
}

/** @throws ConfigError unless blockSize is a power of two from 16 to 4096. */
export function checkBlockSize(blockSize: number, where = "blockSize"): void {
  if (Number.isInteger(Math.log2(blockSize)) && blockSize >= 16 && blockSize <= 4096) return;
  throw new ConfigError(`${where} must be a power of two from 16 to 4096, got ${blockSize}`);
}

/**
 * Quantizes a flat array in blocks: each element is divided by the largest magnitude of its block and rounded to a code.
 * Nearest rounding is that of bitsandbytes on CUDA: times the float32 reciprocal, a tie to the lower code (FP4: to the
 * smaller magnitude). Stochastic rounding is unbiased to 2^-24 of the distance of two codes.
 * A block of zeros gets the scale 0 and the code of 0, as in bitsandbytes without CUDA and in ONNX Runtime. So it is zero
 * also where double quantization gives it another scale.
 * @param options.into written in place. @throws ShapeError if its sizes do not fit.
 * @throws NumericError for NaN or Infinity, when `into` has been written up to that block.
 */
export function quantizeFourBit(
  values: Float32Array,
  format: FourBitFormat,
  options: { readonly rounding?: Rounding; readonly into?: FourBitCodes } = {},
): FourBitCodes {
  const { blockSize, type } = format;
  checkBlockSize(blockSize, "quantizeFourBit: blockSize");
  const { rounding = "nearest", into = allocate(values.length, format) } = options;
  checkSizes("quantizeFourBit", into, format, values.length);
  const { packed, absmax } = into;
  const codebook = CODEBOOKS[type];
  const bits = bitsOf(values);
  const absmaxBits = bitsOf(absmax);
  for (let block = 0, start = 0; block < absmax.length; block++, start += blockSize) {
    const end = Math.min(start + blockSize, values.length);
    const largest = largestMagnitude(bits, start, end);
    requireFinite(largest, values, start, "quantizeFourBit");
    absmaxBits[block] = largest;
    const scale = absmax[block]!;
    if (rounding === "nearest") packNearest(values, start, end, reciprocal(scale), codebook, packed);
    else packStochastic(values, start, end, scale, codebook, packed, rounding.stochastic);
  }
  return into;
}

/**
 * The values: code · absmax in float32.
 * @param length of the values; the codes do not tell odd lengths from even ones.
 * @param into written in place. @throws ShapeError if sizes do not fit together.
 */
export function dequantizeFourBit(
  codes: FourBitCodes,
  format: FourBitFormat,
  length: number,
  into: Float32Array = new Float32Array(length),
): Float32Array {
  checkBlockSize(format.blockSize, "dequantizeFourBit: blockSize");
  checkSizes("dequantizeFourBit", codes, format, length);
  if (into.length !== length) {
    throw new ShapeError(`dequantizeFourBit: into must have ${length} elements, got ${into.length}`);
  }
  const { packed, absmax } = codes;
  const { pairs } = CODEBOOKS[format.type];
  for (let block = 0, start = 0; block < absmax.length; block++, start += format.blockSize) {
    unpack(packed, start, Math.min(start + format.blockSize, length), absmax[block]!, pairs, into);
  }
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

/** In float32 as in bitsandbytes; in float64 where that overflows, so that codes stay sane. Of 0, which has none, 0. */
function reciprocal(absmax: number): number {
  if (absmax === 0) return 0;
  const rounded = Math.fround(1 / absmax);
  return rounded === Number.POSITIVE_INFINITY ? 1 / absmax : rounded;
}

/** Buckets for each unit of x. */
const RESOLUTION = 8192;

/** In a bucket: two codes or more, so that the thresholds decide. Larger than any code. */
const UNDECIDED = 16;

/** A 4-bit type as its loops need it. */
interface Codebook {
  /** The codes in rising order of what they stand for. */
  readonly order: Uint8Array;
  /** The largest float32 x that becomes the code at the same place of `order`; of the last code any. */
  readonly upperBounds: Float32Array;
  /** The code for each 8192th of [−1, 1], or UNDECIDED where a bound is in it or next to it. */
  readonly buckets: Uint8Array;
  /** What stands in the high and the low half of each byte, as two values. */
  readonly pairs: Float32Array;
  /** What the codes of `order` stand for, then Infinity: between which two of these x is rounded stochastically. */
  readonly levels: Float32Array;
  /** For each 16th of [−1, 1] the place of the last level that is not above its lower edge; at most one more is inside. */
  readonly lowerLevels: Uint8Array;
  /** The code of 0. */
  readonly zero: number;
}

const FP4_ORDER = [11, 10, 13, 12, 15, 14, 9, 8, 0, 1, 6, 7, 4, 5, 2, 3] as const;

/** Of magnitudes, below the last seven codes of FP4_ORDER: bitsandbytes' decimals, one of only six digits. */
const FP4_THRESHOLDS = [0.00260417, 0.0859375, 0.20833333, 0.29166667, 0.4166667, 0.583333, 0.8333333] as const;

const CODEBOOKS: Readonly<Record<FourBitType, Codebook>> = {
  nf4: createCodebook("nf4", FOUR_BIT_CODES.nf4.keys(), nf4Bounds()),
  fp4: createCodebook("fp4", FP4_ORDER, fp4Bounds()),
};

/** Midpoints of neighbours, which rounded to float32 are bitsandbytes' constants bit for bit. */
function nf4Bounds(): number[] {
  const codes = FOUR_BIT_CODES.nf4;
  return Array.from({ length: 15 }, (_, code) => (codes[code]! + codes[code + 1]!) / 2);
}

/** Of x, where the thresholds are of |x|: of negative x just below −threshold, which keeps the smaller magnitude. */
function fp4Bounds(): number[] {
  const positive = FP4_THRESHOLDS.map(Math.fround);
  const negative = positive.map((threshold) => {
    const next = Float32Array.of(-threshold);
    bitsOf(next)[0]!++;
    return next[0]!;
  });
  // The sign is that of x < 0, so that both zeros get code 0 and the bound is the negative number nearest to them.
  return [...negative.reverse(), -(2 ** -149), ...positive];
}

function createCodebook(type: FourBitType, order: Iterable<number>, bounds: readonly number[]): Codebook {
  const values = FOUR_BIT_CODES[type];
  const codes = Uint8Array.from(order);
  const upperBounds = Float32Array.from([...bounds, Number.POSITIVE_INFINITY]);
  const levels = Float32Array.from([...Array.from(codes, (code) => values[code]!), Number.POSITIVE_INFINITY]);
  return {
    order: codes,
    upperBounds,
    buckets: createBuckets(codes, upperBounds),
    pairs: Float32Array.from({ length: 512 }, (_, i) => values[i % 2 === 0 ? i >> 5 : (i >> 1) & 15]!),
    levels,
    lowerLevels: Uint8Array.from({ length: 33 }, (_, i) => levels.findIndex((level) => level > i / 16 - 1) - 1),
    zero: values.indexOf(0),
  };
}

function createBuckets(order: Uint8Array, upperBounds: Float32Array): Uint8Array {
  // Products are rounded, by less than this, and may so pass 1 or the edge of their bucket.
  const margin = 2 ** -20;
  const buckets = new Uint8Array(2 * RESOLUTION + 1);
  let place = 0;
  for (let bucket = 0; bucket < buckets.length; bucket++) {
    const lower = bucket / RESOLUTION - 1;
    while (upperBounds[place]! < lower - margin) place++;
    buckets[bucket] = upperBounds[place]! > lower + 1 / RESOLUTION + margin ? order[place]! : UNDECIDED;
  }
  return buckets;
}

/** Elements `start`, which is even, to before `end`, times `inverse`, to the nearest codes. */
function packNearest(
  values: Float32Array,
  start: number,
  end: number,
  inverse: number,
  codebook: Codebook,
  packed: Uint8Array,
): void {
  const { buckets } = codebook;
  const scale = inverse * RESOLUTION;
  let byte = start / 2;
  let i = start;
  for (; i + 1 < end; i += 2) {
    let high = buckets[(values[i]! * scale + RESOLUTION) | 0]!;
    let low = buckets[(values[i + 1]! * scale + RESOLUTION) | 0]!;
    if ((high | low) >= UNDECIDED) {
      high = nearestCode(Math.fround(values[i]! * inverse), codebook);
      low = nearestCode(Math.fround(values[i + 1]! * inverse), codebook);
    }
    packed[byte++] = (high << 4) | low;
  }
  if (i < end) packed[byte] = (nearestCode(Math.fround(values[i]! * inverse), codebook) << 4) | codebook.zero;
}

function nearestCode(x: number, { order, upperBounds }: Codebook): number {
  let place = 0;
  if (x > upperBounds[7]!) place = 8;
  if (x > upperBounds[place + 3]!) place += 4;
  if (x > upperBounds[place + 1]!) place += 2;
  if (x > upperBounds[place]!) place += 1;
  return order[place]!;
}

function packStochastic(
  values: Float32Array,
  start: number,
  end: number,
  absmax: number,
  codebook: Codebook,
  packed: Uint8Array,
  rng: Rng,
): void {
  const divisor = absmax === 0 ? 1 : absmax;
  for (let i = start; i < end; i += 2) {
    const high = stochasticCode(values[i]! / divisor, codebook, rng);
    const low = i + 1 < end ? stochasticCode(values[i + 1]! / divisor, codebook, rng) : codebook.zero;
    packed[i / 2] = (high << 4) | low;
  }
}

/** Of x from −1 to 1. */
function stochasticCode(x: number, { order, levels, lowerLevels }: Codebook, rng: Rng): number {
  let lower = lowerLevels[(16 * x + 16) | 0]!;
  if (x >= levels[lower + 1]!) lower++;
  const share = (x - levels[lower]!) / (levels[lower + 1]! - levels[lower]!);
  return order[rng.uniform() < share ? lower + 1 : lower]!;
}

function unpack(
  packed: Uint8Array,
  start: number,
  end: number,
  absmax: number,
  pairs: Float32Array,
  into: Float32Array,
): void {
  let byte = start / 2;
  let i = start;
  for (; i + 1 < end; i += 2) {
    const pair = 2 * packed[byte++]!;
    into[i] = pairs[pair]! * absmax;
    into[i + 1] = pairs[pair + 1]! * absmax;
  }
  if (i < end) into[i] = pairs[2 * packed[byte]!]! * absmax;
}
