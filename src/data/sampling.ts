import { fileSize, openForReading } from "#platform";
import { DataError } from "../base/errors.js";
import { LINE_FEED } from "../base/utf8.js";

/** Parts of a file that are read, spread over it. */
const CHUNKS = 8;

/** The share of the files that is read, and that has been. */
export class Sampling {
  /** Share of each file to read, from above 0 to 1. */
  readonly share: number;
  #read = 0;
  #total = 0;

  constructor(share = 1) {
    this.share = share;
  }

  /** Notes that this part of a file of so many bytes has been read. */
  note(bytes: number, part: number): void {
    this.#total += bytes;
    this.#read += bytes * part;
  }

  /** Share of all bytes that has been read. */
  get done(): number {
    return this.#total === 0 ? 1 : this.#read / this.#total;
  }
}

/**
 * Where a text may be cut: between any characters, between lines, or only at its end, where nothing but the beginning
 * tells where records begin.
 */
export type Cuts = "characters" | "lines" | "end";

/**
 * Reads a share of a text, from several places or from its beginning.
 * @throws DataError if it is no UTF-8, or its lines are so long that hardly any is whole in what is read.
 */
export async function readSample(path: string, sampling: Sampling, cuts: Cuts): Promise<string> {
  const size = await fileSize(path);
  const chunks = cuts === "end" ? 1 : CHUNKS;
  const length = Math.max(1, Math.floor((size * sampling.share) / chunks));
  const file = await openForReading(path);
  let text = "";
  let read = 0;
  try {
    for (let chunk = 0; chunk < chunks; chunk++) {
      const bytes = await file.read(Math.floor((chunk * (size - length)) / Math.max(1, chunks - 1)), length);
      const isText = cuts === "characters";
      const first = isText ? bytes.findIndex(beginsCharacter) : bytes.indexOf(LINE_FEED) + 1;
      const start = chunk === 0 ? 0 : first;
      const end = isText ? bytes.findLastIndex(beginsCharacter) : bytes.lastIndexOf(LINE_FEED) + 1;
      if (end <= start) continue;
      if (isText && chunk > 0) text += "\n\n";
      text += new TextDecoder("utf-8", { fatal: true, ignoreBOM: chunk > 0 }).decode(bytes.subarray(start, end));
      read += end - start;
    }
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError(`${path} is not UTF-8 text`, { cause });
  } finally {
    await file.close();
  }
  if (read < (length * chunks) / 4) throw new DataError(`${path}: has lines too long for a sample`);
  sampling.note(size, read / size);
  return text;
}

function beginsCharacter(byte: number): boolean {
  return (byte & 0xc0) !== 0x80;
}
