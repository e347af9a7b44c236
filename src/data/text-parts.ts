import { decompress, extension, type FileReader, fileSize, openForReading, readBytes, readText } from "#platform";
import { DataError } from "../base/errors.js";
import { LINE_FEED, lineOfBadUtf8 } from "../base/utf8.js";
import { type Cuts, readSample, type Sampling } from "./sampling.js";
import { unzstd } from "./zstandard.js";

/** Bytes of a part. */
const PART = 2 ** 22;

/** Most bytes of a text that was compressed: about the longest string, and what its file can account for. */
const MAX_TEXT_BYTES = { ever: 2 ** 29 - 24, least: 2 ** 26, each: 256 } as const;

const COMPRESSIONS: readonly string[] = [".gz", ".zst"];

/** Longest stretch of a text that must be in memory whole, such as a line, in UTF-16 units. */
const MAX_STRETCH = 2 ** 28;

/** The way in which a text is read. */
export interface TextReading {
  readonly sampling: Sampling;
  /** Called with the number of bytes that have been gone through, for a file that is not in memory. */
  readonly onBytes?: (done: number) => void;
}

/** The text of a file, in parts that are in memory one at a time. */
export interface TextParts {
  /** @throws DataError if it is no UTF-8 text. */
  parts(): AsyncIterable<string>;
  includes(text: string): Promise<boolean>;
}

/** True for a file whose content is compressed. */
export function isCompressed(path: string): boolean {
  return COMPRESSIONS.includes(extension(path));
}

/** The name without the end that says that the file is compressed. */
export function withoutCompression(path: string): string {
  return isCompressed(path) ? path.slice(0, -extension(path).length) : path;
}

/**
 * Opens a text. A file that is compressed is in memory whole, and so is a sample.
 * @param cuts where it may be cut for a sample; null for one that is read whole.
 * @throws DataError if it cannot be read, or a text in memory is none.
 */
export async function openText(
  path: string,
  { sampling, onBytes = () => {} }: TextReading,
  cuts: Cuts | null,
): Promise<TextParts> {
  const size = await fileSize(path);
  const isSample = sampling.share < 1 && cuts !== null && !isCompressed(path);
  if (isSample) return inMemory(path, await readSample(path, sampling, cuts));
  sampling.note(size, 1);
  if (isCompressed(path)) return inMemory(path, await decompressedText(path));
  if (size <= PART) return inMemory(path, await readText(path));
  return {
    parts: () => decoded(path, onBytes),
    includes: async (text) => {
      let before = "";
      for await (const part of decoded(path, () => {})) {
        if ((before + part).includes(text)) return true;
        before = part.slice(1 - text.length);
      }
      return false;
    },
  };
}

/** The whole text of a file. @throws DataError as `openText`, and for one that is too long. */
export async function wholeText(path: string, reading: TextReading, cuts: Cuts | null): Promise<string> {
  const { parts } = await openText(path, reading, cuts);
  let text = "";
  for await (const part of parts()) {
    requireShort(path, text.length + part.length);
    text += part;
  }
  return text;
}

/** @throws DataError for a stretch of a text that is too long to be in memory whole. */
export function requireShort(where: string, length: number): void {
  if (length <= MAX_STRETCH) return;
  throw new DataError(
    `${where}: has more than ${MAX_STRETCH} characters in one piece; break it into lines, documents or files`,
  );
}

function inMemory(path: string, text: string): TextParts {
  requireText(path, text);
  return {
    parts: async function* () {
      if (text !== "") yield text;
    },
    includes: async (sought) => text.includes(sought),
  };
}

async function* decoded(path: string, onBytes: (done: number) => void): AsyncGenerator<string, void> {
  const file = await openForReading(path);
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    for (let offset = 0; offset < file.size; offset += PART) {
      const length = Math.min(PART, file.size - offset);
      const bytes = await file.read(offset, length);
      let text: string;
      try {
        text = decoder.decode(bytes, { stream: offset + length < file.size });
      } catch (cause) {
        const where = `line ${(await lineFeedsBefore(file, offset)) + lineOfBadUtf8(bytes)}`;
        throw new DataError(`${path} is not UTF-8 text (${where}); convert it, or name another file`, { cause });
      }
      requireText(path, text);
      yield text;
      onBytes(offset + length);
    }
  } finally {
    await file.close();
  }
}

async function lineFeedsBefore(file: FileReader, end: number): Promise<number> {
  let count = 0;
  for (let offset = 0; offset < end; offset += PART) {
    for (const byte of await file.read(offset, Math.min(PART, end - offset))) if (byte === LINE_FEED) count++;
  }
  return count;
}

function requireText(path: string, text: string): void {
  if (text.includes("\0")) throw new DataError(`${path}: holds zero bytes, so it is not text; name a text file`);
}

async function decompressedText(path: string): Promise<string> {
  const bytes = await readBytes(path);
  const { ever, least, each } = MAX_TEXT_BYTES;
  const most = Math.min(ever, least + each * bytes.length);
  try {
    const content = extension(path) === ".gz" ? decompress(bytes, "gzip", most) : unzstd(bytes, most);
    return new TextDecoder("utf-8", { fatal: true }).decode(content);
  } catch (cause) {
    const reason = cause instanceof DataError ? cause.text : "it does not hold UTF-8 text";
    throw new DataError(`${path}: ${reason}; decompress it, or name another file`, { cause });
  }
}
