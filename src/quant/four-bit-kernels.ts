import { FOUR_BIT_CODES, type FourBitType } from "../ops/four-bit-codes.js";
import type { FourBitCodes, FourBitFormat } from "./four-bit.js";
import { requireFinite, writeLargestMagnitude } from "./magnitude.js";
import {
  type Code,
  FunctionWriter,
  f32x4,
  get,
  i8x16,
  i16x8,
  i32,
  i32x4,
  type Local,
  load,
  narrowToBytes,
  shuffle,
  splat,
  startModule,
  store,
  v128,
} from "./wasm-writer.js";

/**
 * Quantizes blocks to the nearest codes. The loops are WebAssembly, several times as fast, because JavaScript has no
 * vectors.
 * @throws NumericError for NaN or Infinity, named with its index.
 */
export function packNearest(
  values: Float32Array,
  { type, blockSize }: FourBitFormat,
  { packed, absmax }: FourBitCodes,
): void {
  const { floats, bytes, quantize } = kernels();
  for (let start = 0; start < values.length; start += CHUNK) {
    const end = Math.min(start + CHUNK, values.length);
    const blocks = Math.ceil((end - start) / blockSize);
    floats.set(values.subarray(start, end), VALUES / 4);
    // Zeros after the last element change no scale, and their codes fill the last byte.
    floats.fill(0, VALUES / 4 + end - start, VALUES / 4 + blocks * blockSize);
    requireFinite(quantize[type](blocks, 4 * blockSize), values, "quantizeFourBit");
    packed.set(bytes.subarray(PACKED, PACKED + Math.ceil((end - start) / 2)), start / 2);
    absmax.set(floats.subarray(ABSMAX / 4, ABSMAX / 4 + blocks), start / blockSize);
  }
}

/** Writes the values of the codes to `into`. */
export function unpack({ packed, absmax }: FourBitCodes, { type, blockSize }: FourBitFormat, into: Float32Array): void {
  const { floats, bytes, dequantize } = kernels();
  for (let start = 0; start < into.length; start += CHUNK) {
    const end = Math.min(start + CHUNK, into.length);
    const blocks = Math.ceil((end - start) / blockSize);
    bytes.set(packed.subarray(start / 2, Math.ceil(end / 2)), PACKED);
    floats.set(absmax.subarray(start / blockSize, start / blockSize + blocks), ABSMAX / 4);
    dequantize[type](blocks, 4 * blockSize);
    into.set(floats.subarray(VALUES / 4, VALUES / 4 + end - start), start);
  }
}

/** Elements computed at once, so that they stay in the cache. A multiple of every block size. */
const CHUNK = 4096;

// Addresses in the module's memory.
const TABLES: Readonly<Record<FourBitType, number>> = { nf4: 0, fp4: 256 };
const VALUES = 512;
const PACKED = VALUES + 4 * CHUNK;
const ABSMAX = PACKED + CHUNK / 2;
const PAGES = 1;

// Layout of a type's table. Levels and bounds are 16 float32 each, as rows of their first bytes, second bytes, …
const LEVELS = 0;
const BOUNDS = 64;
const PLACES = 128;
const CODES = 160;

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

/** Cells per unit of x: enough that no two bounds share a cell, and so few that [−1, 1] has fewer than 32. */
const RESOLUTION = 15;

/** Added to a small number, it leaves the number rounded to an integer in the last bits. */
const INTEGERS = 2 ** 23;
const INTEGERS_BITS = 0x4b000000;

/** The middle of cell 0 is −1 for NF4, and 0 for FP4, whose sign is removed first. */
const CELL_SHIFT: Readonly<Record<FourBitType, number>> = { nf4: RESOLUTION, fp4: 0 };

interface Kernels {
  readonly floats: Float32Array;
  readonly bytes: Uint8Array;
  /** Returns the bits of the largest magnitude of all blocks. */
  readonly quantize: Readonly<Record<FourBitType, (blocks: number, blockBytes: number) => number>>;
  readonly dequantize: Readonly<Record<FourBitType, (blocks: number, blockBytes: number) => number>>;
}

let started: Kernels | undefined;

function kernels(): Kernels {
  started ??= startKernels();
  return started;
}

function startKernels(): Kernels {
  const kernel = (code: Code) => ({ parameterCount: 2, code });
  const { memory, functions } = startModule(
    {
      quantizeNf4: kernel(quantizeCode("nf4")),
      quantizeFp4: kernel(quantizeCode("fp4")),
      dequantizeNf4: kernel(dequantizeCode("nf4")),
      dequantizeFp4: kernel(dequantizeCode("fp4")),
    },
    PAGES,
  );
  const bytes = new Uint8Array(memory.buffer);
  for (const type of ["nf4", "fp4"] as const) {
    bytes.set(bytesByPlace(FOUR_BIT_CODES[type]), TABLES[type] + LEVELS);
    bytes.set(bytesByPlace(UPPER_BOUNDS[type]), TABLES[type] + BOUNDS);
    bytes.set(placesOfCells(type), TABLES[type] + PLACES);
  }
  bytes.set(FP4_MAGNITUDES, TABLES.fp4 + CODES);
  return {
    floats: new Float32Array(memory.buffer),
    bytes,
    quantize: { nf4: functions.quantizeNf4!, fp4: functions.quantizeFp4! },
    dequantize: { nf4: functions.dequantizeNf4!, fp4: functions.dequantizeFp4! },
  };
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

/** The kernel that quantizes a number of blocks of a given length in bytes. */
function quantizeCode(type: FourBitType): Code {
  const f = new FunctionWriter(2);
  const [blocks, blockBytes] = f.parameters as [Local, Local];
  const table = i32.const(TABLES[type]);
  const vector = (value: Code) => f.variable("v128", value);
  const places = [0, 16].map((offset) => vector(load.v128(table, PLACES + offset)));
  const bounds = [0, 16, 32, 48].map((offset) => vector(load.v128(table, BOUNDS + offset)));
  const magnitudeCodes = vector(load.v128(table, CODES));
  const overall = vector(splat.i32(0));
  const from = f.variable("i32", i32.const(VALUES));
  const absmax = f.variable("i32", i32.const(ABSMAX));
  const to = f.variable("i32", i32.const(PACKED));
  f.loop(() => {
    const end = f.variable("i32", i32.add(get(from), get(blockBytes)));
    const largest = writeLargestMagnitude(f, from, end);
    f.set(overall, i32x4.maxU(get(overall), get(largest)));
    f.add(store.low32(get(absmax), get(largest)));
    // Up to 2^-128 the reciprocal overflows, so block and absmax are scaled up first, which is exact. The reciprocal of
    // 0 is taken as 0.
    const tiny = i32x4.ltS(get(largest), splat.i32(0x00200001));
    const enlarge = vector(v128.select(splat.f32(2 ** 100), splat.f32(1), tiny));
    const quotient = f32x4.div(splat.f32(1), f32x4.mul(get(largest), get(enlarge)));
    const reciprocal = vector(v128.andNot(quotient, i32x4.eq(get(largest), splat.i32(0))));
    f.loop(() => {
      const x = [0, 16, 32, 48].map((offset) =>
        vector(f32x4.mul(f32x4.mul(load.v128(get(from), offset), get(enlarge)), get(reciprocal))),
      );
      const y = type === "nf4" ? x : x.map((part) => vector(f32x4.abs(get(part))));
      const cellShift = splat.f32(INTEGERS + CELL_SHIFT[type]);
      const cell = vector(
        narrowToBytes(
          y.map((part) => {
            const shifted = f32x4.add(f32x4.mul(get(part), splat.f32(RESOLUTION)), cellShift);
            return i32x4.sub(shifted, splat.i32(INTEGERS_BITS));
          }),
        ),
      );
      const upperPlace = i8x16.swizzle(get(places[1]!), i8x16.sub(get(cell), splat.i32(0x10101010)));
      const place = vector(v128.or(i8x16.swizzle(get(places[0]!), get(cell)), upperPlace));
      // Only the bound at that place can lie in the cell: comparing with it decides.
      const bound = writeLookup(f, bounds, place);
      const above = narrowToBytes(y.map((part, i) => f32x4.gt(get(part), bound[i]!)));
      f.set(place, i8x16.sub(get(place), above));
      const negative = (): Code => narrowToBytes(x.map((part) => f32x4.lt(get(part), splat.f32(0))));
      const code = vector(
        type === "nf4"
          ? get(place)
          : v128.or(i8x16.swizzle(get(magnitudeCodes), get(place)), v128.and(negative(), splat.i32(0x08080808))),
      );
      // Pairs of codes are 16-bit lanes, with the first of a pair in the lower half.
      const high = v128.and(i16x8.shiftLeft(get(code), 4), splat.i32(0x00f000f0));
      const pairs = vector(v128.or(high, i16x8.shiftRight(get(code), 8)));
      f.add(store.low64(get(to), i16x8.narrowBytes(get(pairs), get(pairs))));
      f.set(to, i32.add(get(to), i32.const(8)));
      f.set(from, i32.add(get(from), i32.const(64)));
      return i32.ltU(get(from), get(end));
    });
    f.set(absmax, i32.add(get(absmax), i32.const(4)));
    f.set(blocks, i32.sub(get(blocks), i32.const(1)));
    return get(blocks);
  });
  return f.encode(i32x4.first(get(overall)));
}

function dequantizeCode(type: FourBitType): Code {
  const f = new FunctionWriter(2);
  const [blocks, blockBytes] = f.parameters as [Local, Local];
  const vector = (value: Code) => f.variable("v128", value);
  const levels = [0, 16, 32, 48].map((offset) => vector(load.v128(i32.const(TABLES[type]), LEVELS + offset)));
  const from = f.variable("i32", i32.const(PACKED));
  const absmax = f.variable("i32", i32.const(ABSMAX));
  const to = f.variable("i32", i32.const(VALUES));
  f.loop(() => {
    const end = f.variable("i32", i32.add(get(to), get(blockBytes)));
    const scale = vector(load.splat32(get(absmax)));
    f.loop(() => {
      const pairs = vector(load.v64(get(from)));
      const high = i8x16.shiftRight(get(pairs), 4);
      const low = v128.and(get(pairs), splat.i32(0x0f0f0f0f));
      const code = vector(shuffle(high, low, INTERLEAVE_LOW));
      for (const [i, level] of writeLookup(f, levels, code).entries()) {
        f.add(store.v128(get(to), f32x4.mul(level, get(scale)), 16 * i));
      }
      f.set(from, i32.add(get(from), i32.const(8)));
      f.set(to, i32.add(get(to), i32.const(64)));
      return i32.ltU(get(to), get(end));
    });
    f.set(absmax, i32.add(get(absmax), i32.const(4)));
    f.set(blocks, i32.sub(get(blocks), i32.const(1)));
    return get(blocks);
  });
  return f.encode(i32.const(0));
}

const INTERLEAVE_LOW = [0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23];
const INTERLEAVE_HIGH = INTERLEAVE_LOW.map((i) => i + 8);
const INTERLEAVE_PAIRS_LOW = [0, 1, 16, 17, 2, 3, 18, 19, 4, 5, 20, 21, 6, 7, 22, 23];
const INTERLEAVE_PAIRS_HIGH = INTERLEAVE_PAIRS_LOW.map((i) => i + 8);

/** The float32 values at 16 indices into a table stored by bytes, as four vectors. */
function writeLookup(f: FunctionWriter, table: readonly Local[], index: Local): Code[] {
  const rows = table.map((row) => f.variable("v128", i8x16.swizzle(get(row), get(index))));
  const [a, b, c, d] = rows.map(get) as [Code, Code, Code, Code];
  return [INTERLEAVE_LOW, INTERLEAVE_HIGH].flatMap((half) => {
    const lower = f.variable("v128", shuffle(a, b, half));
    const upper = f.variable("v128", shuffle(c, d, half));
    return [INTERLEAVE_PAIRS_LOW, INTERLEAVE_PAIRS_HIGH].map((pairs) => shuffle(get(lower), get(upper), pairs));
  });
}
