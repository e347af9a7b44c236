import { CheckpointError } from "../base/errors.js";
import type { WeightStorage } from "../models/weight-storage.js";
import type { DType, TypedArray } from "../tensor/dtype.js";
import { transposedElements } from "../tensor/transposed.js";
import { quantizedWeightNames } from "./bitsandbytes.js";
import { type LazyTensor, readHostTensor, type TensorToWrite } from "./lazy-tensor.js";
import type { SafetensorsDType } from "./safetensors-header.js";

/** Tensors with the names and shapes of the model. */
export interface ModelTensors<T extends TensorToWrite> {
  readonly tensors: ReadonlyMap<string, T | TransposedTensor>;
  /** The weights among them that are quantized on disk, each with the names of all its parts. */
  readonly quantized: ReadonlyMap<string, readonly string[]>;
}

/**
 * Names and shapes the tensors of a model's files as the model does. Nothing is read.
 * @throws CheckpointError if two tensors are the same weight.
 */
export function fromStorage<T extends TensorToWrite>(
  tensors: ReadonlyMap<string, T>,
  storage: WeightStorage,
): ModelTensors<T> {
  const named = new Map<string, T>();
  for (const [stored, tensor] of tensors) {
    const name = storage.nameOf(stored);
    if (name === undefined) continue;
    if (named.has(name))
      throw new CheckpointError(`"${stored}": "${name}" is also stored under another name; keep one`);
    named.set(name, tensor);
  }
  const quantized = quantizedWeightNames(named.keys());
  return { tensors: turned(named, storage, quantized), quantized };
}

/** Shapes the tensors of a model as its files do. */
export function toStorage(
  tensors: ReadonlyMap<string, TensorToWrite>,
  storage: WeightStorage,
): Map<string, TensorToWrite> {
  return turned(tensors, storage, quantizedWeightNames(tensors.keys()));
}

function turned<T extends TensorToWrite>(
  tensors: ReadonlyMap<string, T>,
  storage: WeightStorage,
  quantized: ReadonlyMap<string, unknown>,
): Map<string, T | TransposedTensor> {
  const isTransposed = (name: string, { shape }: T): boolean =>
    shape.length === 2 && storage.isTransposed(name) && !quantized.has(name);
  return new Map(
    [...tensors].map(([name, tensor]) => [name, isTransposed(name, tensor) ? transposed(tensor) : tensor] as const),
  );
}

/** The same tensor with its two axes swapped when it is read. */
export function transposed<T extends TensorToWrite>(tensor: T): T | TransposedTensor {
  // Transposed twice, a tensor of a file passes through with its bytes.
  return tensor instanceof TransposedTensor ? (tensor.source as T) : new TransposedTensor(tensor);
}

class TransposedTensor implements LazyTensor {
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
