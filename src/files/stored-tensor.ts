import { CheckpointError } from "../base/errors.js";
import type { DType, TypedArray } from "../tensor/dtype.js";
import type { HalfArray } from "../tensor/half-array.js";
import { sizeOf } from "../tensor/shape.js";
import { CONVERSIONS, type Conversion, hostDType } from "./element-conversion.js";
import { FileSpan } from "./file-span.js";
import type { LazyTensor } from "./lazy-tensor.js";
import type { SafetensorsDType, SafetensorsEntry } from "./safetensors-header.js";

/** File types of 16-bit floats. */
const HALF_FORMATS = new Map<SafetensorsDType, HalfArray["format"]>([
  ["BF16", "bfloat16"],
  ["F16", "float16"],
]);

/** A tensor in a safetensors file. Its file is open only while it is read. */
export class StoredTensor implements LazyTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** The element type in the file. */
  readonly fileType: SafetensorsDType;
  readonly #span: FileSpan;

  /** @param fileBytes length of the file when its header was checked. */
  constructor(path: string, fileBytes: number, entry: SafetensorsEntry) {
    this.dtype = hostDType(entry.dtype)!;
    this.shape = entry.shape;
    this.fileType = entry.dtype;
    this.#span = new FileSpan(path, fileBytes, entry);
  }

  /** @throws CheckpointError for values that `dtype` cannot hold, and if the file or the memory is missing. */
  async read(): Promise<TypedArray> {
    const data = this.#span.allocate(this.dtype, this.shape, sizeOf(this.shape));
    // A header has room for very many tensors without elements.
    if (data.length === 0) return data;
    const conversion = CONVERSIONS[this.fileType];
    if (conversion === undefined) await this.#span.readInto(new Uint8Array(data.buffer));
    else await this.#convert(data, conversion);
    if (this.dtype === "bool" && data.some((byte) => byte > 1)) {
      throw new CheckpointError(
        `${this.#span.where} is BOOL but holds bytes other than 0 and 1; save it again, or as U8`,
      );
    }
    return data;
  }

  /** Reads the bytes as stored in the file. @throws CheckpointError if the file or the memory is missing. */
  async readBytes(): Promise<Uint8Array> {
    const bytes = this.#span.allocate("uint8", this.shape, this.#span.byteLength) as Uint8Array;
    await this.#span.readInto(bytes);
    return bytes;
  }

  /**
   * Reads the bits of 16-bit floats; undefined for other types.
   * @throws CheckpointError if the file or the memory is missing.
   */
  async readHalf(): Promise<Pick<HalfArray, "format" | "bits"> | undefined> {
    const format = HALF_FORMATS.get(this.fileType);
    if (format === undefined) return undefined;
    const { buffer } = await this.readBytes();
    return { format, bits: new Uint16Array(buffer) };
  }

  /** Reads the bytes as stored in the file, in pieces. @throws CheckpointError if the file is missing. */
  chunks(): AsyncGenerator<Uint8Array, void> {
    return this.#span.chunks();
  }

  #convert(data: TypedArray, { bytes, convert }: Conversion): Promise<void> {
    return this.#span.readPieces(bytes, (piece, done) => {
      // The elements of a conversion are views of a whole buffer.
      const { buffer } = piece.length < piece.buffer.byteLength ? piece.slice() : piece;
      const misfit = convert(buffer, data.subarray(done / bytes, (done + piece.length) / bytes));
      if (misfit === undefined) return;
      throw new CheckpointError(
        `${this.#span.where} is of type ${this.fileType} and holds ${misfit}, which ${this.dtype} cannot hold`,
      );
    });
  }
}
