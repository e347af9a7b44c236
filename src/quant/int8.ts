import { ShapeError } from "../base/errors.js";
import type { Rng } from "../tensor/random.js";
import { roundRows, unpackRows } from "./int8-kernels.js";
import { bitsOf, largestMagnitude, requireFinite, requireFloat16 } from "./magnitude.js";
import type { Rounding } from "./rounding.js";

/** A matrix in 8 bits per element with a scale per row (LLM.int8, Dettmers et al. 2022, arXiv:2208.07339). */
export interface Int8Rows {
  /** rows · columns, row-major, from −127 to 127. */
  readonly codes: Int8Array;
  /** The largest magnitude of each row, which is the value of code 127; SCB in bitsandbytes. */
  readonly scales: Float32Array;
}

export interface MatrixShape {
  readonly rows: number;
  readonly columns: number;
}

/**
 * Quantizes each row by its largest magnitude. Nearest rounding is that of bitsandbytes: weights are rounded to float16
 * first, and ties go to the even number. Stochastic rounding starts from the unrounded weights and is unbiased for
 * them; rounding to float16 would lose small changes. A row of zeros gets the scale 0 and codes 0.
 * @param options.into written in place.
 * @throws ShapeError if sizes do not fit together.
 * @throws NumericError for NaN, Infinity and values too large for float16; `into` may be partly written by then.
 */
export function quantizeInt8(
  values: Float32Array,
  shape: MatrixShape,
  options: { readonly rounding?: Rounding; readonly into?: Int8Rows } = {},
): Int8Rows {
  const { rounding = "nearest", into = allocate(shape) } = options;
  checkSizes("quantizeInt8", into, shape, { values });
  if (rounding === "nearest") roundRows(values, shape, into);
  else roundStochastic(values, shape, into, rounding.stochastic);
  return into;
}

/**
 * Dequantizes: code · scale / 127, rounded to float32 after each of two multiplications.
 * @param into written in place.
 * @throws ShapeError if sizes do not fit together.
 */
export function dequantizeInt8(
  quantized: Int8Rows,
  shape: MatrixShape,
  into: Float32Array = new Float32Array(shape.rows * shape.columns),
): Float32Array {
  checkSizes("dequantizeInt8", quantized, shape, { into });
  unpackRows(quantized, shape, into);
  return into;
}

function allocate({ rows, columns }: MatrixShape): Int8Rows {
  return { codes: new Int8Array(rows * columns), scales: new Float32Array(rows) };
}

function checkSizes(
  where: string,
  { codes, scales }: Int8Rows,
  { rows, columns }: MatrixShape,
  matrices: Readonly<Record<string, Float32Array>>,
): void {
  const sizes = { ...matrices, codes, scales };
  const faults = Object.entries(sizes).flatMap(([name, { length }]) => {
    const expected = name === "scales" ? rows : rows * columns;
    return length === expected ? [] : [`${name} must have ${expected} elements, got ${length}`];
  });
  if (faults.length > 0) throw new ShapeError(`${where}: for a (${rows}, ${columns}) matrix ${faults.join("; ")}`);
}

function roundStochastic(
  values: Float32Array,
  { rows, columns }: MatrixShape,
  { codes, scales }: Int8Rows,
  rng: Rng,
): void {
  const bits = bitsOf(values);
  const scaleBits = bitsOf(scales);
  for (let row = 0, start = 0; row < rows; row++, start += columns) {
    const largest = largestMagnitude(bits, start, start + columns);
    requireFinite(largest, values, "quantizeInt8");
    requireFloat16(largest, values, "quantizeInt8");
    scaleBits[row] = largest;
    const divisor = largest === 0 ? 1 : scales[row]!;
    for (let i = start; i < start + columns; i++) {
      const x = (values[i]! * 127) / divisor;
      const lower = Math.floor(x);
      codes[i] = rng.uniform() < x - lower ? lower + 1 : lower;
    }
  }
}
