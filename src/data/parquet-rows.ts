import { parquetMetadata, parquetReadObjects, parquetSchema, snappyUncompress } from "hyparquet";
import { decompress } from "#platform";
import { DataError } from "../base/errors.js";
import { shortened, shownValue } from "../base/json.js";
import { optionName } from "../base/naming.js";
import { unlz4, unlz4Framed } from "./lz4.js";
import type { ParquetColumn } from "./parquet-values.js";
import { DATA_COLUMNS, KIND_COLUMNS } from "./records.js";
import { unzstd } from "./zstandard.js";

/** Most bytes of a page that may come from one compressed byte; more only in pages of up to `SMALL_PAGE` bytes. */
const MAX_RATIOS = { SNAPPY: 32, LZ4: 256, LZ4_RAW: 256, GZIP: 1100, BROTLI: 1100, ZSTD: 1100 } as const;

/** Writers put at most about a million bytes into a page, which may be the same text over and over. */
const SMALL_PAGE = 2 ** 22;

/** Bytes that all small pages together may have beyond their ratio. */
const MAX_EXCESS = 2 ** 28;

/** Most columns and parts of columns of a file: the library goes through all of them for each group of rows. */
const MAX_COLUMNS = 20_000;

type Codec = keyof typeof MAX_RATIOS;
type Decompressor = (input: Uint8Array, length: number) => Uint8Array;

/** Rows as the library gives them, and the columns that they are read from. */
export interface ParquetTable {
  readonly columns: readonly ParquetColumn[];
  /** Names of columns that are not read. */
  readonly unread: readonly string[];
  /** Share of the file's rows that are read. */
  readonly share: number;
  readonly rows: readonly Record<string, unknown>[];
}

const DECOMPRESSORS: Readonly<Record<Codec, Decompressor>> = {
  SNAPPY: (input, length) => {
    const output = new Uint8Array(length);
    snappyUncompress(input, output);
    return output;
  },
  GZIP: (input, length) => decompress(input, "gzip", length),
  BROTLI: (input, length) => decompress(input, "brotli", length),
  ZSTD: unzstd,
  LZ4: unlz4Framed,
  LZ4_RAW: unlz4,
};

/**
 * Reads the rows of a Parquet file, only the columns that data may have. The file may claim any sizes, so `readParquet`
 * reads untrusted files.
 * @throws DataError if it is not such a file.
 */
export async function parquetRows(bytes: Uint8Array, asked: readonly string[] = [], share = 1): Promise<ParquetTable> {
  const file = copyOf(bytes);
  const wanted = new Set([...DATA_COLUMNS, ...asked]);
  try {
    const metadata = parquetMetadata(file);
    const width = metadata.schema.length - 1;
    if (width > MAX_COLUMNS) {
      throw new DataError(
        `it has ${width} columns, more than ${MAX_COLUMNS}; write those that are wanted to a file of their own`,
      );
    }
    const present = parquetSchema(metadata).children;
    const columns = present.filter(({ element }) => wanted.has(element.name));
    const names = present.map(({ element }) => element.name);
    if (columns.length === 0) {
      throw new DataError(
        `it has none of the columns ${KIND_COLUMNS.join(", ")}; ` +
          `its columns are ${shortened(names.join(", ")) || "none"}; say which is which with ${optionName("columns")}`,
      );
    }
    const count = Number(metadata.num_rows);
    const rowEnd = Math.ceil(count * share);
    const rows = await parquetReadObjects({
      file: { byteLength: file.byteLength, slice: (start, end) => file.slice(start, end) },
      metadata,
      columns: columns.map(({ element }) => element.name),
      ...(rowEnd < count && { rowEnd }),
      geoparquet: false,
      compressors: boundedDecompressors(),
      parsers: {
        jsonFromBytes: (text) => text && new TextDecoder().decode(text),
        stringFromBytes: (bytes) => bytes && textOf(bytes),
      },
    });
    return {
      columns,
      unread: names.filter((name) => !wanted.has(name)),
      rows,
      share: rowEnd < count ? rowEnd / count : 1,
    };
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DataError(
      `it is not a Parquet file that can be read here: ${reason}; write it anew, with Zstandard or Snappy`,
      { cause },
    );
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A value as it stands there: the library drops a byte order mark, and takes bytes for text that are none. */
function textOf(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new DataError("it holds a text that is not UTF-8; write it anew from text that is", { cause });
  }
}

/** The library wants its own buffer. */
function copyOf({ buffer, byteOffset, byteLength }: Uint8Array): ArrayBuffer {
  return (buffer as ArrayBuffer).slice(byteOffset, byteOffset + byteLength);
}

/** Decompressors of one file, which refuse lengths that its bytes cannot account for. */
function boundedDecompressors(): Record<Codec, Decompressor> {
  let excess = 0;
  const bounded = ([codec, work]: [string, Decompressor]): [string, Decompressor] => [
    codec,
    (input, length) => {
      const expected = MAX_RATIOS[codec as Codec] * input.length + 64;
      if (length > expected) excess += length - expected;
      if (!(length >= 0) || (length > expected && (length > SMALL_PAGE || excess > MAX_EXCESS))) {
        throw new DataError(`${input.length} compressed bytes cannot hold ${shownValue(length)}`);
      }
      return work(input, length);
    },
  ];
  return Object.fromEntries(Object.entries(DECOMPRESSORS).map(bounded)) as Record<Codec, Decompressor>;
}
