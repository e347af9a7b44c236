import { allocate, type DType, type TypedArray } from "../tensor/dtype.js";
import type { SafetensorsDType } from "./safetensors-header.js";

/** How elements of one file type become elements of ours. Files and machines are little-endian. */
interface Conversion {
  readonly dtype: DType;
  /** Bytes per element in the file. */
  readonly bytes: number;
  /** Writes the elements of `source` to `target`; returns a value that does not fit, if there is one. */
  readonly convert: (source: DataView, target: TypedArray) => number | bigint | undefined;
}

/** File types that are read as they are. */
export const NATIVE: Readonly<Partial<Record<SafetensorsDType, DType>>> = {
  F32: "float32",
  I32: "int32",
  I8: "int8",
  U8: "uint8",
  BOOL: "bool",
};

/** File types that are converted: floats to float32, integers to int32. */
export const CONVERSIONS: Readonly<Partial<Record<SafetensorsDType, Conversion>>> = {
  F16: {
    dtype: "float32",
    bytes: 2,
    convert: (source, target) => {
      const bits = new Uint32Array(target.buffer, target.byteOffset, target.length);
      for (let i = 0; i < bits.length; i++) bits[i] = float32BitsOfHalf(source.getUint16(2 * i, true));
      return undefined;
    },
  },
  BF16: {
    dtype: "float32",
    bytes: 2,
    convert: (source, target) => {
      // bfloat16 is the upper half of a float32.
      const bits = new Uint32Array(target.buffer, target.byteOffset, target.length);
      for (let i = 0; i < bits.length; i++) bits[i] = source.getUint16(2 * i, true) << 16;
      return undefined;
    },
  },
  F64: {
    dtype: "float32",
    bytes: 8,
    convert: (source, target) => {
      for (let i = 0; i < target.length; i++) {
        const value = source.getFloat64(8 * i, true);
        target[i] = value;
        if (Number.isFinite(value) && !Number.isFinite(target[i])) return value;
      }
      return undefined;
    },
  },
  I64: {
    dtype: "int32",
    bytes: 8,
    convert: (source, target) => {
      for (let i = 0; i < target.length; i++) {
        const low = source.getInt32(8 * i, true);
        // The high word only repeats the sign where the low word says it all.
        if (source.getInt32(8 * i + 4, true) !== low >> 31) return source.getBigInt64(8 * i, true);
        target[i] = low;
      }
      return undefined;
    },
  },
};

/** The float32 bit pattern of a float16 one; exact for every value, subnormals, infinities and NaN included. */
function float32BitsOfHalf(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13);
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  // Subnormal: shift the leading bit out of the fraction and lower the exponent by as much.
  const shift = Math.clz32(fraction) - 21;
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}

/** The dtype that elements of a file type become in memory; undefined where they cannot be read. */
export function hostDType(fileType: SafetensorsDType): DType | undefined {
  return NATIVE[fileType] ?? CONVERSIONS[fileType]?.dtype;
}

/** An array for `length` elements, or undefined where the memory is not there. */
export function tryAllocate(dtype: DType, length: number): TypedArray | undefined {
  try {
    return allocate(dtype, length);
  } catch {
    return undefined;
  }
}
