import type { FileReader } from "#platform";
import { CheckpointError } from "../base/errors.js";
import type { DType, TypedArray } from "../tensor/dtype.js";
import type { HalfArray } from "../tensor/half-array.js";
import { sizeOf } from "../tensor/shape.js";
import { CONVERSIONS, type Conversion, hostDType, tryAllocate } from "./element-conversion.js";
import type { LazyTensor } from "./lazy-tensor.js";
import { withOpenFile } from "./open-file.js";
import type { SafetensorsDType, SafetensorsEntry } from "./safetensors-header.js";

/** File types of 16-bit floats. */
const HALF_FORMATS = new Map<SafetensorsDType, HalfArray["format"]>([
  ["BF16", "bfloat16"],
  ["F16", "float16"],
]);

/** Bytes per piece of data that is not read straight into its final array. */
const PIECE_BYTES = 2 ** 22;

/** A tensor in a safetensors file. Its file is open only while it is read. */
export class StoredTensor implements LazyTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** The element type in the file. */
  readonly fileType: SafetensorsDType;
  readonly #path: string;
  readonly #fileBytes: number;
  readonly #entry: SafetensorsEntry;

  /** @param fileBytes length of the file when its header was checked. */
  constructor(path: string, fileBytes: number, entry: SafetensorsEntry) {
    this.dtype = hostDType(entry.dtype)!;
    this.shape = entry.shape;
    this.fileType = entry.dtype;
    this.#path = path;
    this.#fileBytes = fileBytes;
    this.#entry = entry;
  }

  /** @throws CheckpointError for values that `dtype` cannot hold, and if the file or the memory is missing. */
  async read(): Promise<TypedArray> {
    const data = this.#allocate(this.dtype, sizeOf(this.shape));
    // A header has room for very many tensors without elements.
    if (data.length === 0) return data;
    const conversion = CONVERSIONS[this.fileType];
    if (conversion === undefined) await this.#readInto(new Uint8Array(data.buffer));
    else await this.#withFile((reader) => this.#convert(reader, data, conversion));
    if (this.dtype === "bool" && data.some((byte) => byte > 1)) {
      throw new CheckpointError(`${this.#where} is BOOL but holds bytes other than 0 and 1; save it again, or as U8`);
    }
    return data;
  }

  /** Reads the bytes as stored in the file. @throws CheckpointError if the file or the memory is missing. */
  async readBytes(): Promise<Uint8Array> {
    const bytes = this.#allocate("uint8", this.#entry.byteLength) as Uint8Array;
    await this.#readInto(bytes);
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
  async *chunks(): AsyncGenerator<Uint8Array, void> {
    const { offset, byteLength } = this.#entry;
    for (let done = 0; done < byteLength; done += PIECE_BYTES) {
      const piece = new Uint8Array(Math.min(PIECE_BYTES, byteLength - done));
      await this.#withFile((reader) => reader.readInto(piece, offset + done));
      yield piece;
    }
  }

  #readInto(bytes: Uint8Array): Promise<void> {
    return this.#withFile((reader) => reader.readInto(bytes, this.#entry.offset));
  }

  async #convert(reader: FileReader, data: TypedArray, { bytes, convert }: Conversion): Promise<void> {
    const { offset, byteLength } = this.#entry;
    for (let done = 0; done < byteLength; done += PIECE_BYTES) {
      const source = await reader.read(offset + done, Math.min(PIECE_BYTES, byteLength - done));
      const misfit = convert(source.buffer, data.subarray(done / bytes, (done + source.length) / bytes));
      if (misfit === undefined) continue;
      throw new CheckpointError(
        `${this.#where} is of type ${this.fileType} and holds ${misfit}, which ${this.dtype} cannot hold`,
      );
    }
  }

  #withFile(use: (reader: FileReader) => Promise<void>): Promise<void> {
    return withOpenFile(this.#path, (reader) => {
      if (reader.size === this.#fileBytes) return use(reader);
      throw new CheckpointError(
        `${this.#where}: the file changed from ${this.#fileBytes} to ${reader.size} bytes; start again`,
      );
    });
  }

  #allocate(dtype: DType, length: number): TypedArray {
    const data = tryAllocate(dtype, length);
    if (data !== undefined) return data;
    throw new CheckpointError(
      `${this.#where} of shape [${this.shape.join(", ")}] does not fit into memory; free some memory`,
    );
  }

  get #where(): string {
    return `${this.#path}: tensor "${this.#entry.name}"`;
  }
}
