import { type Kernels, kernels } from "../kernels/kernels.js";
import { INT8_UNIT } from "../ops/quantized.js";
import type { Int8Rows, MatrixShape } from "./int8.js";
import { requireFinite, requireFloat16 } from "./magnitude.js";

/** Elements computed at once, unless a row is longer, so that they stay in the cache. */
const CHUNK = 4096;

/**
 * Quantizes rows to the nearest codes.
 * @throws NumericError for NaN, Infinity and values too large for float16, named with their index.
 */
export function roundRows(values: Float32Array, { rows, columns }: MatrixShape, into: Int8Rows): void {
  if (columns === 0) into.scales.fill(0);
  forEachChunk(rows, columns, (chunk, row, count) => {
    const { floats, codes, scales, stride, quantizeInt8 } = chunk;
    copyRows(values.subarray(row * columns), columns, floats, stride, columns, count);
    const largest = quantizeInt8(0, 4 * count * stride, 4 * stride, codes.byteOffset, scales.byteOffset);
    requireFinite(largest, values, "quantizeInt8");
    requireFloat16(largest, values, "quantizeInt8");
    copyRows(codes, stride, into.codes.subarray(row * columns), columns, columns, count);
    into.scales.set(scales.subarray(0, count), row);
  });
}

/** Writes the values of the codes to `into`. */
export function unpackRows(quantized: Int8Rows, { rows, columns }: MatrixShape, into: Float32Array): void {
  forEachChunk(rows, columns, (chunk, row, count) => {
    const { floats, codes, scales, stride, dequantizeInt8 } = chunk;
    copyRows(quantized.codes.subarray(row * columns), columns, codes, stride, columns, count);
    scales.set(quantized.scales.subarray(row, row + count));
    dequantizeInt8(0, 4 * count * stride, 4 * stride, codes.byteOffset, scales.byteOffset, INT8_UNIT);
    copyRows(floats, stride, into.subarray(row * columns), columns, columns, count);
  });
}

/** The kernels and the arrays in their memory: rows as float32, their codes and their scales. */
interface Chunk extends Pick<Kernels, "quantizeInt8" | "dequantizeInt8"> {
  readonly floats: Float32Array;
  readonly codes: Int8Array;
  readonly scales: Float32Array;
  /** Elements of a row here: a multiple of 16, filled up with zeros, which change no scale. */
  readonly stride: number;
}

/** Calls `work` for as many rows at a time as fit. */
function forEachChunk(rows: number, columns: number, work: (chunk: Chunk, row: number, count: number) => void): void {
  if (columns === 0) return;
  const stride = 16 * Math.ceil(columns / 16);
  const most = Math.max(1, Math.floor(CHUNK / stride));
  const elements = most * stride;
  const { memory, ...functions } = kernels(5 * elements + 4 * most);
  const floats = new Float32Array(memory.buffer, 0, elements).fill(0);
  const codes = new Int8Array(memory.buffer, 4 * elements, elements);
  const scales = new Float32Array(memory.buffer, 5 * elements, most);
  const chunk = { ...functions, floats, codes, scales, stride };
  for (let row = 0; row < rows; row += most) work(chunk, row, Math.min(most, rows - row));
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
