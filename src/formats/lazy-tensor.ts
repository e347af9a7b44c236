import type { DType, HostTensor, TypedArray } from "../tensor/dtype.js";
import type { HalfArray } from "../tensor/half-array.js";
import type { SafetensorsDType } from "./safetensors-header.js";

/** A tensor that is read, or computed, when it is asked for. Each call does so anew: what it gave is not kept. */
export interface LazyTensor {
  /** Of the elements in memory. */
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** The elements in row-major order. */
  read(): Promise<TypedArray>;
  /** The bits of the elements where a file holds them as F16 or BF16; undefined, or absent, for other tensors. */
  readHalf?(): Promise<Pick<HalfArray, "format" | "bits"> | undefined>;
}

/** A tensor for a file. */
export type TensorToWrite = (HostTensor | LazyTensor) & {
  /**
   * The element type in the file. float32 can be written as F32, which it is by default, BF16 or F16; every other
   * dtype, and a tensor of an open file, as what it is.
   */
  readonly fileType?: SafetensorsDType;
};

/** The tensor with its elements in memory. */
export async function readHostTensor(tensor: HostTensor | LazyTensor): Promise<HostTensor> {
  if ("data" in tensor) return tensor;
  const { dtype, shape } = tensor;
  return { dtype, shape, data: await tensor.read() };
}

/** The tensor, to be written with elements of this type: `storeAs(tensor, "BF16")`. */
export function storeAs(tensor: HostTensor | LazyTensor, fileType: SafetensorsDType): TensorToWrite {
  const { dtype, shape } = tensor;
  return "data" in tensor
    ? { dtype, shape, data: tensor.data, fileType }
    : { dtype, shape, read: () => tensor.read(), fileType };
}
