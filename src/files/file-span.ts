import type { FileReader } from "#platform";
import { CheckpointError } from "../base/errors.js";
import type { DType, TypedArray } from "../tensor/dtype.js";
import { tryAllocate } from "./element-conversion.js";
import { withOpenFile } from "./open-file.js";

/** Bytes per piece of data that is not read straight into its final array. */
export const PIECE_BYTES: number = 2 ** 22;

/** The bytes of one tensor in a file whose header was checked. The file is open only while it is read. */
export class FileSpan {
  readonly byteLength: number;
  /** File and tensor, for messages. */
  readonly where: string;
  readonly #path: string;
  readonly #fileBytes: number;
  readonly #offset: number;

  /** @param fileBytes length of the file when its header was checked. */
  constructor(
    path: string,
    fileBytes: number,
    { name, offset, byteLength }: { readonly name: string; readonly offset: number; readonly byteLength: number },
  ) {
    this.byteLength = byteLength;
    this.where = `${path}: tensor "${name}"`;
    this.#path = path;
    this.#fileBytes = fileBytes;
    this.#offset = offset;
  }

  /** Fills `target` with the bytes from `start` of the span. @throws CheckpointError if the file is missing. */
  readInto(target: Uint8Array, start = 0): Promise<void> {
    return this.#withFile((reader) => reader.readInto(target, this.#offset + start));
  }

  /** Reads the span in new pieces of at most 4 MiB. */
  async *chunks(): AsyncGenerator<Uint8Array, void> {
    for (let done = 0; done < this.byteLength; done += PIECE_BYTES) {
      const piece = new Uint8Array(Math.min(PIECE_BYTES, this.byteLength - done));
      await this.readInto(piece, done);
      yield piece;
    }
  }

  /**
   * Hands the bytes from `start` to `end` to `use`, in pieces of whole units, with the number of bytes before each. The
   * memory of a piece is used again for the next one.
   * @param unit bytes that are not split.
   */
  readPieces(
    unit: number,
    use: (piece: Uint8Array<ArrayBuffer>, done: number) => void,
    { start = 0, end = this.byteLength }: { readonly start?: number; readonly end?: number } = {},
  ): Promise<void> {
    const pieceBytes = unit * Math.max(1, Math.floor(PIECE_BYTES / unit));
    return this.#withFile(async (reader) => {
      const piece = new Uint8Array(Math.min(pieceBytes, end - start));
      for (let at = start; at < end; at += pieceBytes) {
        const part = piece.subarray(0, Math.min(pieceBytes, end - at));
        await reader.readInto(part, this.#offset + at);
        use(part, at - start);
      }
    });
  }

  /** @throws CheckpointError if there is not enough memory. */
  allocate(dtype: DType, shape: readonly number[], length: number): TypedArray {
    const data = tryAllocate(dtype, length);
    if (data !== undefined) return data;
    throw new CheckpointError(
      `${this.where} of shape [${shape.join(", ")}] does not fit into memory; free some memory`,
    );
  }

  #withFile(use: (reader: FileReader) => Promise<void>): Promise<void> {
    return withOpenFile(this.#path, (reader) => {
      if (reader.size === this.#fileBytes) return use(reader);
      throw new CheckpointError(
        `${this.where}: the file changed from ${this.#fileBytes} to ${reader.size} bytes; start again`,
      );
    });
  }
}
