import { kernels } from "../kernels/kernels.js";
import { FOUR_BIT_CODES, type FourBitType } from "../ops/four-bit-codes.js";
import type { FourBitCodes, FourBitFormat } from "./four-bit.js";
import { requireFinite } from "./magnitude.js";

/** Elements computed at once, so that they stay in the cache. A multiple of every block size. */
const CHUNK = 4096;

// Addresses in the memory of the kernels.
const TABLE = 0;
const VALUES = 256;
const PACKED = VALUES + 4 * CHUNK;
const ABSMAX = PACKED + CHUNK / 2;
const END = ABSMAX + (4 * CHUNK) / 16;

/** @throws NumericError for NaN or Infinity, named with its index. */
export function packNearest(
  values: Float32Array,
  { type, blockSize }: FourBitFormat,
  { packed, absmax }: FourBitCodes,
): void {
  const { bytes, floats, quantizeFourBit } = prepare(type);
  for (let start = 0; start < values.length; start += CHUNK) {
    const end = Math.min(start + CHUNK, values.length);
    const blocks = Math.ceil((end - start) / blockSize);
    floats.set(values.subarray(start, end), VALUES / 4);
    // Zeros after the last element change no scale, and their codes fill the last byte.
    floats.fill(0, VALUES / 4 + end - start, VALUES / 4 + blocks * blockSize);
    const stop = VALUES + 4 * blocks * blockSize;
    const largest = quantizeFourBit(TABLE, type === "fp4", VALUES, stop, 4 * blockSize, PACKED, ABSMAX);
    requireFinite(largest, values, "quantizeFourBit");
    packed.set(bytes.subarray(PACKED, PACKED + Math.ceil((end - start) / 2)), start / 2);
    absmax.set(floats.subarray(ABSMAX / 4, ABSMAX / 4 + blocks), start / blockSize);
  }
}

/** Writes the values of the codes to `into`. */
export function unpack({ packed, absmax }: FourBitCodes, { type, blockSize }: FourBitFormat, into: Float32Array): void {
  const { bytes, floats, dequantizeFourBit } = prepare(type);
  for (let start = 0; start < into.length; start += CHUNK) {
    const end = Math.min(start + CHUNK, into.length);
    const blocks = Math.ceil((end - start) / blockSize);
    bytes.set(packed.subarray(start / 2, Math.ceil(end / 2)), PACKED);
    floats.set(absmax.subarray(start / blockSize, start / blockSize + blocks), ABSMAX / 4);
    dequantizeFourBit(TABLE, VALUES, VALUES + 4 * blocks * blockSize, 4 * blockSize, PACKED, ABSMAX);
    into.set(floats.subarray(VALUES / 4, VALUES / 4 + end - start), start);
  }
}

/** The kernels, with the table of the type in their memory. */
function prepare(type: FourBitType) {
  const { memory, ...functions } = kernels(END);
  const bytes = new Uint8Array(memory.buffer);
  bytes.set(TABLES[type], TABLE);
  return { ...functions, bytes, floats: new Float32Array(memory.buffer) };
}

/** Largest magnitudes that become the codes 0, 1, 6, 7, 4, 5 and 2: bitsandbytes' decimals, one of only six digits. */
const FP4_BOUNDS = [0.00260417, 0.0859375, 0.20833333, 0.29166667, 0.4166667, 0.583333, 0.8333333];
const FP4_MAGNITUDES = [0, 1, 6, 7, 4, 5, 2, 3];

/**
 * The largest x (in FP4, the largest |x|) that takes each code, in ascending order. For NF4 these are the midpoints of
 * neighbours; rounded to float32, they are bitsandbytes' constants bit for bit.
 */
const UPPER_BOUNDS: Readonly<Record<FourBitType, Float32Array>> = {
  nf4: FOUR_BIT_CODES.nf4.map((level, code, levels) => (level + (levels[code + 1] ?? Number.POSITIVE_INFINITY)) / 2),
  fp4: Float32Array.from([...FP4_BOUNDS, Number.POSITIVE_INFINITY]),
};

// Of the cells in kernels/assembly/four-bit.ts.

/** Cells per unit of x: enough that no two bounds share a cell, and so few that [−1, 1] has fewer than 32. */
const RESOLUTION = 15;

/** Added to a small number, it leaves the number rounded to an integer in the last bits. */
const INTEGERS = 2 ** 23;

/** The middle of cell 0 is −1 for NF4, and 0 for FP4, whose sign is removed first. */
const CELL_SHIFT: Readonly<Record<FourBitType, number>> = { nf4: RESOLUTION, fp4: 0 };

/** The table of each type, as laid out there. */
const TABLES: Readonly<Record<FourBitType, Uint8Array>> = { nf4: tableOf("nf4"), fp4: tableOf("fp4") };

function tableOf(type: FourBitType): Uint8Array {
  const [levels, bounds] = [FOUR_BIT_CODES[type], UPPER_BOUNDS[type]].map(bytesByPlace);
  return Uint8Array.from([...levels!, ...bounds!, ...placesOfCells(type), ...FP4_MAGNITUDES]);
}

/** Stores up to 16 float32 as rows of 16 bytes: the first byte of each, then the second of each, and so on. */
function bytesByPlace(values: Float32Array): Uint8Array {
  const source = new Uint8Array(values.buffer);
  return Uint8Array.from({ length: 64 }, (_, i) => source[4 * (i % 16) + (i >> 4)] ?? 0);
}

/** Number of bounds in cells below each cell. */
function placesOfCells(type: FourBitType): Uint8Array {
  const cells = UPPER_BOUNDS[type].map((bound) => Math.fround(bound * RESOLUTION) + CELL_SHIFT[type] + INTEGERS);
  return Uint8Array.from({ length: 32 }, (_, cell) => cells.filter((other) => other < cell + INTEGERS).length);
}
