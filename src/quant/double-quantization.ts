import { NumericError, ShapeError } from "../base/errors.js";
import { DYNAMIC_MAP } from "./dynamic-map.js";

/** Scales that are quantized themselves, as in bitsandbytes (Dettmers et al. 2023, arXiv:2305.14314, section 3). */
export interface NestedAbsmax {
  /** One per scale: an index into `map`. */
  readonly codes: Uint8Array;
  /** One per 256 scales: the largest distance of a scale from the offset. */
  readonly absmax: Float32Array;
  /** The mean of all scales, a single number. */
  readonly offset: Float32Array;
  /** 256 values in ascending order. */
  readonly map: Float32Array;
}

/** Scales that share a nested scale. */
export const NESTED_BLOCK_SIZE = 256;

/**
 * Quantizes the scales to 8 bits: times the float32 reciprocal, ties to the lower code, as bitsandbytes does on GPUs.
 * Their mean is taken in float64, since that of torch depends on the machine.
 * @param into written in place, its map included. @throws ShapeError if it has other sizes.
 * @throws NumericError for NaN or Infinity.
 */
export function nestAbsmax(absmax: Float32Array, into: NestedAbsmax = allocate(absmax.length)): NestedAbsmax {
  checkSizes("nestAbsmax", into, absmax.length);
  let total = 0;
  for (let i = 0; i < absmax.length; i++) total += absmax[i]!;
  if (!Number.isFinite(total)) throw new NumericError(`nestAbsmax: scales must be finite, their sum is ${total}`);
  const offset = Math.fround(absmax.length === 0 ? 0 : total / absmax.length);
  into.offset[0] = offset;
  into.map.set(DYNAMIC_MAP);
  const distances = new Float32Array(NESTED_BLOCK_SIZE);
  const bits = new Uint32Array(distances.buffer);
  for (let block = 0, start = 0; start < absmax.length; block++, start += NESTED_BLOCK_SIZE) {
    const count = Math.min(NESTED_BLOCK_SIZE, absmax.length - start);
    let largest = 0;
    for (let i = 0; i < count; i++) {
      distances[i] = absmax[start + i]! - offset;
      largest = Math.max(largest, Math.abs(distances[i]!));
    }
    into.absmax[block] = largest;
    // Equal scales all lie at the offset. Distances may be so small that their reciprocal is no float32.
    const reciprocal = Math.fround(1 / (largest || 1));
    const isTiny = reciprocal === Number.POSITIVE_INFINITY;
    for (let i = 0; i < count; i++) {
      distances[i]! = isTiny ? distances[i]! / largest : distances[i]! * reciprocal;
      const x = distances[i]!;
      let code = CODE_OF_UPPER_HALF[bits[i]! >>> 16]!;
      while (x > UPPER_BOUNDS[code]!) code++;
      into.codes[start + i] = code;
    }
  }
  return into;
}

/**
 * The scales: map[code] · absmax + offset in float32.
 * @param into written in place. @throws ShapeError if sizes do not fit together.
 */
export function restoreAbsmax(
  nested: NestedAbsmax,
  into: Float32Array = new Float32Array(nested.codes.length),
): Float32Array {
  const { codes, absmax, map } = nested;
  checkSizes("restoreAbsmax", nested, codes.length);
  if (into.length !== codes.length) {
    throw new ShapeError(
      `restoreAbsmax: into must have ${codes.length} elements, as many as codes, got ${into.length}`,
    );
  }
  const offset = nested.offset[0]!;
  for (let block = 0, start = 0; start < codes.length; block++, start += NESTED_BLOCK_SIZE) {
    const end = Math.min(start + NESTED_BLOCK_SIZE, codes.length);
    const scale = absmax[block]!;
    for (let i = start; i < end; i++) into[i] = Math.fround(map[codes[i]!]! * scale) + offset;
  }
  return into;
}

function allocate(length: number): NestedAbsmax {
  return {
    codes: new Uint8Array(length),
    absmax: new Float32Array(Math.ceil(length / NESTED_BLOCK_SIZE)),
    offset: new Float32Array(1),
    map: new Float32Array(256),
  };
}

function checkSizes(where: string, nested: NestedAbsmax, length: number): void {
  const expected = { codes: length, absmax: Math.ceil(length / NESTED_BLOCK_SIZE), offset: 1, map: 256 };
  const faults = (Object.keys(expected) as (keyof NestedAbsmax)[]).flatMap((name) =>
    nested[name].length === expected[name] ? [] : [`${name} must have ${expected[name]}, got ${nested[name].length}`],
  );
  if (faults.length > 0) throw new ShapeError(`${where}: of ${length} scales ${faults.join("; ")}`);
}

/** The largest x whose nearest code is this one: halfway to the next, in float32 as in bitsandbytes. */
const UPPER_BOUNDS: Float32Array = Float32Array.from({ length: 256 }, (_, code) =>
  code === 255 ? Number.POSITIVE_INFINITY : Math.fround(DYNAMIC_MAP[code]! + DYNAMIC_MAP[code + 1]!) / 2,
);

/**
 * A code at or just below that of any x in [−1, 1], indexed by the upper half of x's float32 bits: sign, exponent and
 * seven more bits, so finer where the map is finer.
 */
const CODE_OF_UPPER_HALF: Uint8Array = codeOfUpperHalf();

function codeOfUpperHalf(): Uint8Array {
  const codes = new Uint8Array(2 ** 16);
  const value = new Float32Array(1);
  const bits = new Uint32Array(value.buffer);
  let code = 0;
  const assign = (upperHalf: number, smallest: number): void => {
    bits[0] = smallest;
    while (value[0]! > UPPER_BOUNDS[code]!) code++;
    codes[upperHalf] = code;
  };
  // In ascending order: negative numbers from −1, whose upper half is 0xbf80, then positive ones to 1.
  for (let upperHalf = 0xbf80; upperHalf >= 0x8000; upperHalf--) assign(upperHalf, upperHalf * 2 ** 16 + 0xffff);
  for (let upperHalf = 0; upperHalf <= 0x3f80; upperHalf++) assign(upperHalf, upperHalf * 2 ** 16);
  return codes;
}
