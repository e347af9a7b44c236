import { CheckpointError } from "../base/errors.js";
import type { TensorToWrite } from "../files/lazy-tensor.js";
import { type TransposedTensor, transposed } from "../files/transposed-tensor.js";
import type { WeightStorage } from "../models/weight-storage.js";
import { quantizedWeightNames } from "./bitsandbytes.js";

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
