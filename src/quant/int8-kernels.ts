import { INT8_UNIT } from "../ops/quantized.js";
import type { Int8Rows, MatrixShape } from "./int8.js";
import { requireFinite, requireFloat16, writeLargestMagnitude } from "./magnitude.js";
import {
  type Code,
  FunctionWriter,
  f32x4,
  get,
  i16x8,
  i32,
  i32x4,
  type Local,
  load,
  narrowToBytes,
  splat,
  startModule,
  store,
  v128,
  type WasmModule,
} from "./wasm-writer.js";

/**
 * Quantizes rows to the nearest codes, in WebAssembly for its vectors.
 * @throws NumericError for NaN, Infinity and values too large for float16, named with their index.
 */
export function roundRows(values: Float32Array, { rows, columns }: MatrixShape, into: Int8Rows): void {
  if (columns === 0) into.scales.fill(0);
  forEachChunk(rows, columns, ({ floats, codes, scales, quantize }, row, count, stride) => {
    copyRows(values.subarray(row * columns), columns, floats, stride, columns, count);
    const largest = quantize(count, stride);
    requireFinite(largest, values, "quantizeInt8");
    requireFloat16(largest, values, "quantizeInt8");
    copyRows(codes, stride, into.codes.subarray(row * columns), columns, columns, count);
    into.scales.set(scales.subarray(0, count), row);
  });
}

/** Writes the values of the codes to `into`. */
export function unpackRows(quantized: Int8Rows, { rows, columns }: MatrixShape, into: Float32Array): void {
  forEachChunk(rows, columns, ({ floats, codes, scales, dequantize }, row, count, stride) => {
    copyRows(quantized.codes.subarray(row * columns), columns, codes, stride, columns, count);
    scales.set(quantized.scales.subarray(row, row + count));
    dequantize(count, stride);
    copyRows(floats, stride, into.subarray(row * columns), columns, columns, count);
  });
}

/** The module and the arrays in its memory: rows as float32, their codes and their scales. */
interface Kernels {
  readonly module: WasmModule;
  /** Elements of `floats` and `codes`. */
  readonly capacity: number;
  readonly floats: Float32Array;
  readonly codes: Int8Array;
  readonly scales: Float32Array;
  /** Quantizes `rows` rows of `stride` elements. Returns the bits of the largest magnitude of all. */
  readonly quantize: (rows: number, stride: number) => number;
  readonly dequantize: (rows: number, stride: number) => number;
}

/** Elements computed at once, unless a row is longer, so that they stay in the cache. */
const CHUNK = 4096;

let started: Kernels | undefined;

/**
 * Calls `work` for as many rows at a time as fit. Zeros, which change no scale, fill each row up to `stride`, a
 * multiple of 16.
 */
function forEachChunk(
  rows: number,
  columns: number,
  work: (kernels: Kernels, row: number, count: number, stride: number) => void,
): void {
  if (columns === 0) return;
  const stride = 16 * Math.ceil(columns / 16);
  if (started === undefined || started.capacity < stride)
    started = startKernels(Math.max(CHUNK, stride), started?.module);
  started.floats.fill(0);
  const most = Math.floor(started.capacity / stride);
  for (let row = 0; row < rows; row += most) work(started, row, Math.min(most, rows - row), stride);
}

function startKernels(capacity: number, module: WasmModule = createModule()): Kernels {
  const [codes, scales] = [4 * capacity, 5 * capacity];
  const bytes = scales + (4 * capacity) / 16;
  const missing = Math.ceil((bytes - module.memory.buffer.byteLength) / 65536);
  if (missing > 0) module.memory.grow(missing);
  const { buffer } = module.memory;
  const { quantize, dequantize } = module.functions;
  return {
    module,
    capacity,
    floats: new Float32Array(buffer, 0, capacity),
    codes: new Int8Array(buffer, codes, capacity),
    scales: new Float32Array(buffer, scales, capacity / 16),
    quantize: (rows, stride) => quantize!(rows, 4 * stride, codes, scales),
    dequantize: (rows, stride) => dequantize!(rows, 4 * stride, codes, scales),
  };
}

function createModule(): WasmModule {
  const kernel = (code: Code) => ({ parameterCount: 4, code });
  return startModule({ quantize: kernel(quantizeCode()), dequantize: kernel(dequantizeCode()) }, 1);
}

type Elements = Float32Array | Int8Array;

function copyRows(
  source: Elements,
  sourceStride: number,
  target: Elements,
  targetStride: number,
  columns: number,
  rows: number,
): void {
  if (sourceStride === targetStride) {
    target.set(source.subarray(0, rows * sourceStride));
    return;
  }
  for (let row = 0; row < rows; row++) {
    target.set(source.subarray(row * sourceStride, row * sourceStride + columns), row * targetStride);
  }
}

/** 1.5 · 2^23 and its bits. Added to a small number, it leaves the number rounded, ties to even, in the last bits. */
const INTEGERS = 1.5 * 2 ** 23;
const INTEGERS_BITS = 0x4b400000;

function quantizeCode(): Code {
  const f = new FunctionWriter(4);
  const [rows, rowBytes, codes, scales] = f.parameters as [Local, Local, Local, Local];
  const vector = (value: Code): Local => f.variable("v128", value);
  const overall = vector(splat.i32(0));
  const from = f.variable("i32", i32.const(0));
  f.loop(() => {
    const end = f.variable("i32", i32.add(get(from), get(rowBytes)));
    const largest = writeLargestMagnitude(f, from, end);
    f.set(overall, i32x4.maxU(get(overall), get(largest)));
    const scale = vector(toFloat16(get(largest)));
    f.add(store.low32(get(scales), get(scale)));
    // The inverse of 0 is taken as 0, so that rows of zeros have codes 0.
    const inverse = vector(v128.andNot(f32x4.div(splat.f32(127), get(scale)), i32x4.eq(get(scale), splat.i32(0))));
    f.loop(() => {
      const rounded = [0, 16, 32, 48].map((offset) => {
        const weight = vector(load.v128(get(from), offset));
        const scaled = f32x4.mul(toFloat16(get(weight)), get(inverse));
        return i32x4.sub(f32x4.add(scaled, splat.f32(INTEGERS)), splat.i32(INTEGERS_BITS));
      });
      f.add(store.v128(get(codes), narrowToBytes(rounded)));
      f.set(codes, i32.add(get(codes), i32.const(16)));
      f.set(from, i32.add(get(from), i32.const(64)));
      return i32.ltU(get(from), get(end));
    });
    f.set(scales, i32.add(get(scales), i32.const(4)));
    f.set(rows, i32.sub(get(rows), i32.const(1)));
    return get(rows);
  });
  return f.encode(i32x4.first(get(overall)));
}

/** Rounds four float32, read from `bits`, to float16, ties to even. */
function toFloat16(bits: Code): Code {
  // Drops 13 bits. Half a unit of the last bit kept is added, a little less if that bit is even already.
  const odd = v128.and(i32x4.shiftRight(bits, 13), splat.i32(1));
  const normal = v128.and(i32x4.add(i32x4.add(bits, splat.i32(0xfff)), odd), splat.i32(~0x1fff));
  // Below 2^-14, float16 has the multiples of 2^-24, and so has float32 from 0.5 to 1.
  const subnormal = f32x4.sub(f32x4.add(bits, splat.f32(0.75)), splat.f32(0.75));
  const isSubnormal = i32x4.ltS(v128.and(bits, splat.i32(0x7fffffff)), splat.i32(0x38800000));
  return v128.select(subnormal, normal, isSubnormal);
}

function dequantizeCode(): Code {
  const f = new FunctionWriter(4);
  const [rows, rowBytes, codes, scales] = f.parameters as [Local, Local, Local, Local];
  const to = f.variable("i32", i32.const(0));
  f.loop(() => {
    const end = f.variable("i32", i32.add(get(to), get(rowBytes)));
    const scale = f.variable("v128", load.splat32(get(scales)));
    f.loop(() => {
      const bytes = f.variable("v128", load.v128(get(codes)));
      const pairs = [i16x8.extendLow(get(bytes)), i16x8.extendHigh(get(bytes))];
      const integers = pairs.flatMap((pair) => [i32x4.extendLow(pair), i32x4.extendHigh(pair)]);
      for (const [i, integer] of integers.entries()) {
        const scaled = f32x4.mul(f32x4.fromInt(integer), get(scale));
        f.add(store.v128(get(to), f32x4.mul(scaled, splat.f32(INT8_UNIT)), 16 * i));
      }
      f.set(codes, i32.add(get(codes), i32.const(16)));
      f.set(to, i32.add(get(to), i32.const(64)));
      return i32.ltU(get(to), get(end));
    });
    f.set(scales, i32.add(get(scales), i32.const(4)));
    f.set(rows, i32.sub(get(rows), i32.const(1)));
    return get(rows);
  });
  return f.encode(i32.const(0));
}
