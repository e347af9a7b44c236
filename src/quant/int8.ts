import { INT8_UNIT } from "../ops/quantized.js";
import { NumericError, ShapeError } from "../tensor/errors.js";
import type { Rng } from "../tensor/random.js";
import { bitsOf, largestMagnitude, requireFinite } from "./magnitude.js";
import type { Rounding } from "./rounding.js";

/** A matrix in 8 bits an element with a scale for each row (LLM.int8, Dettmers et al. 2022, arXiv:2208.07339). */
export interface Int8Rows {
  /** rows · columns, row-major, from −127 to 127. */
  readonly codes: Int8Array;
  /** The largest magnitude of each row, for which the code 127 stands; bitsandbytes' SCB. */
  readonly scales: Float32Array;
}

export interface MatrixShape {
  readonly rows: number;
  readonly columns: number;
}

/**
 * Quantizes each row by its largest magnitude. Nearest rounding is that of bitsandbytes: weights are rounded to float16
 * first, and ties go to the even number. Stochastic rounding starts from the weights as they are, for which it is unbiased;
 * rounding to float16 would lose small changes. A row of zeros gets the scale 0 and codes 0.
 * @param options.into written in place. @throws ShapeError if sizes do not fit together.
 * @throws NumericError for NaN, Infinity and what is too large for float16, when `into` has been written up to that row.
 */
export function quantizeInt8(
  values: Float32Array,
  shape: MatrixShape,
  options: { readonly rounding?: Rounding; readonly into?: Int8Rows } = {},
): Int8Rows {
  const { rows, columns } = shape;
  const { rounding = "nearest", into = allocate(shape) } = options;
  checkSizes("quantizeInt8", into, shape, { values });
  const { codes, scales } = into;
  const bits = bitsOf(values);
  const scaleBits = bitsOf(scales);
  for (let row = 0; row < rows; row++) {
    const start = row * columns;
    const end = start + columns;
    const largest = largestMagnitude(bits, start, end);
    requireFinite(largest, values, start, "quantizeInt8");
    scaleBits[row] = largest;
    const half = toFloat16(scales[row]!);
    if (half > LARGEST_FLOAT16) throw outOfRange(values, start);
    if (rounding === "nearest") {
      scales[row] = half;
      roundNearest(values, start, end, half, codes);
    } else {
      roundStochastic(values, start, end, scales[row]!, codes, rounding.stochastic);
    }
  }
  return into;
}

/**
 * The values: code · scale / 127, in float32 after each of two multiplications.
 * @param into written in place. @throws ShapeError if sizes do not fit together.
 */
export function dequantizeInt8(
  quantized: Int8Rows,
  shape: MatrixShape,
  into: Float32Array = new Float32Array(shape.rows * shape.columns),
): Float32Array {
  checkSizes("dequantizeInt8", quantized, shape, { into });
  const { codes, scales } = quantized;
  for (let row = 0; row < shape.rows; row++) {
    unpackRow(codes, row * shape.columns, (row + 1) * shape.columns, scales[row]!, into);
  }
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

const LARGEST_FLOAT16 = 65504;

function outOfRange(values: Float32Array, start: number): NumericError {
  let index = start;
  while (Math.abs(toFloat16(values[index]!)) <= LARGEST_FLOAT16) index++;
  return new NumericError(
    `quantizeInt8: weights must fit in float16, up to ${LARGEST_FLOAT16}, got ${values[index]} at index ${index}; ` +
      "use nf4 or fp4 for this weight",
  );
}

/** The smallest float16 with all of its 11 bits. */
const SMALLEST_NORMAL = 2 ** -14;

/**
 * A float32 rounded to float16, ties to even; what is too large for float16 keeps 11 bits all the same.
 * Next to a number 2^42 times as large, float64 keeps 11 bits of x; next to 1.5 · 2^28, multiples of 2^-24.
 */
function toFloat16(x: number): number {
  const shift = Math.abs(x) < SMALLEST_NORMAL ? 1.5 * 2 ** 28 : x * 2 ** 42;
  return x + shift - shift;
}

/** In a sum with this, float64 keeps integers, ties to even. */
const INTEGERS = 1.5 * 2 ** 52;

function roundNearest(values: Float32Array, start: number, end: number, scale: number, codes: Int8Array): void {
  const inverse = scale === 0 ? 0 : Math.fround(127 / scale);
  for (let i = start; i < end; i++) {
    codes[i] = Math.fround(toFloat16(values[i]!) * inverse) + INTEGERS - INTEGERS;
  }
}

function roundStochastic(
  values: Float32Array,
  start: number,
  end: number,
  scale: number,
  codes: Int8Array,
  rng: Rng,
): void {
  const divisor = scale === 0 ? 1 : scale;
  for (let i = start; i < end; i++) {
    const x = (values[i]! * 127) / divisor;
    const lower = Math.floor(x);
    codes[i] = rng.uniform() < x - lower ? lower + 1 : lower;
  }
}

function unpackRow(codes: Int8Array, start: number, end: number, scale: number, into: Float32Array): void {
  for (let i = start; i < end; i++) into[i] = Math.fround(codes[i]! * scale) * INT8_UNIT;
}
