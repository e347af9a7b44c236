import type { DType, HostTensor, TypedArray } from "../tensor/dtype.js";
import type { HalfArray } from "../tensor/half-array.js";
import type { SafetensorsDType } from "./safetensors-header.js";

/** A tensor that is read or computed on request. Each call does so anew: the result is not kept. */
export interface LazyTensor {
  /** Dtype of the elements in memory. */
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Reads the elements in row-major order. */
  read(): Promise<TypedArray>;
  /** Reads the bits of elements that a file holds as F16 or BF16; undefined, or absent, for other tensors. */
  readHalf?(): Promise<Pick<HalfArray, "format" | "bits"> | undefined>;
}

/** A tensor to write to a file. */
export type TensorToWrite = (HostTensor | LazyTensor) & {
  /**
   * Element type in the file. float32 can be written as F32 (the default), BF16 or F16. Every other dtype, and a tensor
   * of an open file, keeps its own type.
   */
  readonly fileType?: SafetensorsDType;
};

/** The tensor with its elements in memory. */
export async function readHostTensor(tensor: HostTensor | LazyTensor): Promise<HostTensor> {
  if ("data" in tensor) return tensor;
  const { dtype, shape } = tensor;
  return { dtype, shape, data: await tensor.read() };
}

/** The tensor, to be written with this element type: `storeAs(tensor, "BF16")`. */
export function storeAs(tensor: HostTensor | LazyTensor, fileType: SafetensorsDType): TensorToWrite {
  const { dtype, shape } = tensor;
  return "data" in tensor
    ? { dtype, shape, data: tensor.data, fileType }
    : { dtype, shape, read: () => tensor.read(), fileType };
}
