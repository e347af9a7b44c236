import { CheckpointError } from "../base/errors.js";
import { FileSpan } from "../files/file-span.js";
import type { LazyTensor } from "../files/lazy-tensor.js";
import type { HalfArray } from "../tensor/half-array.js";
import { sizeOf } from "../tensor/shape.js";
import type { GgufEntry } from "./header.js";
import type { GgufType } from "./types.js";
import { WIDENED } from "./widening.js";

/** A tensor in a GGUF file, read as float32. Its file is open only while it is read. */
export class GgufTensor implements LazyTensor {
  readonly dtype = "float32" as const;
  readonly shape: readonly number[];
  /** The element type in the file. */
  readonly type: GgufType;
  readonly #span: FileSpan;

  /** @param fileBytes length of the file when its header was checked. */
  constructor(path: string, fileBytes: number, entry: GgufEntry) {
    this.shape = entry.shape;
    this.type = entry.type;
    this.#span = new FileSpan(path, fileBytes, entry);
  }

  get byteLength(): number {
    return this.#span.byteLength;
  }

  /** Where the tensor lies, for messages: file and name. */
  get where(): string {
    return this.#span.where;
  }

  /** @throws CheckpointError for a type that cannot be read, and if the file or the memory is missing. */
  read(): Promise<Float32Array> {
    return this.#widened(0, sizeOf(this.shape), this.shape);
  }

  /**
   * Reads so many rows, the last axis being a row, from the given one on.
   * @throws CheckpointError as `read`.
   */
  readRows(first: number, count: number): Promise<Float32Array> {
    const columns = this.shape.at(-1) ?? 1;
    return this.#widened(first * columns, (first + count) * columns, [count, columns]);
  }

  /**
   * Reads the bits of 16-bit floats; undefined for other types.
   * @throws CheckpointError if the file or the memory is missing.
   */
  async readHalf(): Promise<Pick<HalfArray, "format" | "bits"> | undefined> {
    const { name } = this.type;
    if (name !== "F16" && name !== "BF16") return undefined;
    const bytes = this.#span.allocate("uint8", this.shape, this.byteLength) as Uint8Array;
    await this.#span.readInto(bytes);
    return { format: name === "F16" ? "float16" : "bfloat16", bits: new Uint16Array(bytes.buffer) };
  }

  /** Reads the bytes as stored in the file, in pieces. @throws CheckpointError if the file is missing. */
  chunks(): AsyncGenerator<Uint8Array, void> {
    return this.#span.chunks();
  }

  /** Elements from `from` to `to`, which begin and end blocks. */
  async #widened(from: number, to: number, shape: readonly number[]): Promise<Float32Array> {
    const { name, blockElements, blockBytes } = this.type;
    const widen = WIDENED[name];
    if (widen === undefined) {
      throw new CheckpointError(
        `${this.where} is of type ${name}, which cannot be read; types that can are ${Object.keys(WIDENED).join(", ")}`,
      );
    }
    const data = this.#span.allocate("float32", shape, to - from) as Float32Array;
    const elements = (bytes: number): number => (bytes / blockBytes) * blockElements;
    const range = { start: (from / blockElements) * blockBytes, end: (to / blockElements) * blockBytes };
    await this.#span.readPieces(
      blockBytes,
      (piece, done) => widen(piece, data.subarray(elements(done), elements(done + piece.length))),
      range,
    );
    return data;
  }
}
