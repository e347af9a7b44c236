import { allocate, type DType, type TypedArray } from "../tensor/dtype.js";
import { bfloat16ToFloat32, float16ToFloat32 } from "../tensor/half-precision.js";
import type { SafetensorsDType } from "./safetensors-header.js";

/** Conversion of one element type in files to one in memory. Files and machines are little-endian. */
export interface Conversion {
  readonly dtype: DType;
  /** Bytes per element in the file. */
  readonly bytes: number;
  /** Writes the elements of `source` to `target`; returns a value that does not fit, if any. */
  readonly convert: (source: ArrayBufferLike, target: TypedArray) => number | bigint | undefined;
}

/** File types that are read unconverted. */
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
      float16ToFloat32(new Uint16Array(source), target as Float32Array);
      return undefined;
    },
  },
  BF16: {
    dtype: "float32",
    bytes: 2,
    convert: (source, target) => {
      bfloat16ToFloat32(new Uint16Array(source), target as Float32Array);
      return undefined;
    },
  },
  F64: {
    dtype: "float32",
    bytes: 8,
    convert: (source, target) => {
      const values = new Float64Array(source);
      for (let i = 0; i < target.length; i++) {
        const value = values[i]!;
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
      const words = new Int32Array(source);
      for (let i = 0; i < target.length; i++) {
        const low = words[2 * i]!;
        // The high word only repeats the sign if the low word holds the whole number.
        if (words[2 * i + 1] !== low >> 31) return new BigInt64Array(source)[i];
        target[i] = low;
      }
      return undefined;
    },
  },
};

/** Dtype in memory of a file type; undefined if it cannot be read. */
export function hostDType(fileType: SafetensorsDType): DType | undefined {
  return NATIVE[fileType] ?? CONVERSIONS[fileType]?.dtype;
}

/** An array for `length` elements, or undefined if there is not enough memory. */
export function tryAllocate(dtype: DType, length: number): TypedArray | undefined {
  try {
    return allocate(dtype, length);
  } catch {
    return undefined;
  }
}
