import type { DType, TypedArray } from "../tensor/dtype.js";
import { transposedElements } from "../tensor/transposed.js";
import { type LazyTensor, readHostTensor, type TensorToWrite } from "./lazy-tensor.js";
import type { SafetensorsDType } from "./safetensors-header.js";

/** The same tensor with its two axes swapped when it is read. */
export function transposed<T extends TensorToWrite>(tensor: T): T | TransposedTensor {
  // Transposed twice, a tensor of a file passes through with its bytes.
  return tensor instanceof TransposedTensor ? (tensor.source as T) : new TransposedTensor(tensor);
}

export class TransposedTensor implements LazyTensor {
  readonly source: TensorToWrite;
  readonly dtype: DType;
  readonly shape: readonly number[];
  declare readonly fileType?: SafetensorsDType;

  constructor(source: TensorToWrite) {
    this.source = source;
    this.dtype = source.dtype;
    this.shape = [source.shape[1]!, source.shape[0]!];
    if (source.fileType !== undefined) this.fileType = source.fileType;
  }

  async read(): Promise<TypedArray> {
    return this.#turn((await readHostTensor(this.source)).data);
  }

  async readHalf(): ReturnType<NonNullable<LazyTensor["readHalf"]>> {
    const half = "readHalf" in this.source ? await this.source.readHalf?.() : undefined;
    return half && { ...half, bits: this.#turn(half.bits) };
  }

  /** The elements of the source in this tensor's order. */
  #turn<T extends TypedArray | Uint16Array>(elements: T): T {
    const [columns, rows] = this.shape as [number, number];
    return transposedElements(elements, rows, columns);
  }
}
