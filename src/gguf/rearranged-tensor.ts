import { type LazyTensor, readHostTensor, type TensorToWrite } from "../files/lazy-tensor.js";
import type { SafetensorsDType } from "../files/safetensors-header.js";
import type { TypedArray } from "../tensor/dtype.js";
import { sizeOf } from "../tensor/shape.js";

/** Order of the rows of a tensor: that of row r is the row `orderOf(rows)[r]` of another. */
export type RowOrder = (rows: number) => Uint32Array;

/** Sizes of the axes of rows, two of which are swapped: (…, first, second, inner) to (…, second, first, inner). */
export interface SwappedAxes {
  readonly first: number;
  readonly second: number;
  readonly inner: number;
}

/** The order of rows in which two of their axes are swapped. */
export function swappedRows({ first, second, inner }: SwappedAxes): RowOrder {
  return (rows) =>
    Uint32Array.from({ length: rows }, (_, row) => {
      const i = row % inner;
      const b = Math.floor(row / inner) % first;
      const a = Math.floor(row / (inner * first)) % second;
      return row - (row % (inner * first * second)) + (b * second + a) * inner + i;
    });
}

/** A tensor with its rows in another order. A vector has rows of one element. */
export class ReorderedTensor implements LazyTensor {
  readonly dtype = "float32" as const;
  readonly shape: readonly number[];
  declare readonly fileType?: SafetensorsDType;
  readonly #source: TensorToWrite;
  readonly #orderOf: RowOrder;

  constructor(source: TensorToWrite, orderOf: RowOrder) {
    this.shape = source.shape;
    if (source.fileType !== undefined) this.fileType = source.fileType;
    this.#source = source;
    this.#orderOf = orderOf;
  }

  async read(): Promise<TypedArray> {
    return this.#ordered((await readHostTensor(this.#source)).data);
  }

  async readHalf(): ReturnType<NonNullable<LazyTensor["readHalf"]>> {
    const half = "readHalf" in this.#source ? await this.#source.readHalf?.() : undefined;
    return half && { ...half, bits: this.#ordered(half.bits) };
  }

  #ordered<T extends TypedArray | Uint16Array>(elements: T): T {
    const order = this.#orderOf(this.shape[0]!);
    const columns = sizeOf(this.shape.slice(1));
    const ordered = elements.slice() as T;
    for (const [row, from] of order.entries()) {
      ordered.set(elements.subarray(from * columns, (from + 1) * columns), row * columns);
    }
    return ordered;
  }
}

/** A tensor with a number added to each element, in float32. */
export function shifted(source: TensorToWrite, by: number): LazyTensor {
  const read = async (): Promise<Float32Array> =>
    Float32Array.from((await readHostTensor(source)).data, (value) => value + by);
  return { dtype: "float32", shape: source.shape, read };
}
