/** Element types of tensors in a graph. `bool` is stored one byte an element, 0 or 1. */
export type DType = "float32" | "int32" | "int8" | "uint8" | "bool";

/** The typed array that holds a tensor's elements in row-major order. */
export type TypedArray = Float32Array | Int32Array | Int8Array | Uint8Array;

/** A tensor in memory, as read from a file or returned by a run. */
export interface HostTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TypedArray;
}

const BYTES: Readonly<Record<DType, number>> = { float32: 4, int32: 4, int8: 1, uint8: 1, bool: 1 };

export function bytesPerElement(dtype: DType): number {
  return BYTES[dtype];
}

/** A zero-filled array for `length` elements of `dtype`. */
export function allocate(dtype: DType, length: number): TypedArray {
  if (dtype === "float32") return new Float32Array(length);
  if (dtype === "int32") return new Int32Array(length);
  if (dtype === "int8") return new Int8Array(length);
  return new Uint8Array(length);
}
