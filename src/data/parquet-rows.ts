import {
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
  snappyUncompress,
} from "hyparquet";
import { decompress } from "#platform";
import { DataError } from "../base/errors.js";
import { shortened, shownValue } from "../base/json.js";
import { optionName } from "../base/naming.js";
import { unlz4, unlz4Framed } from "./lz4.js";
import { type ParquetFile, pagesOf, type RowGroupSizes, rowGroups } from "./parquet-pages.js";
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

/** Bytes of values, as the file counts them, that are read at once where they can be told from others. */
const PART_BYTES = 2 ** 23;

/** Most rows of a file, as a number of its bytes: without a limit, rows of nulls take no bytes and go on and on. */
const MAX_ROWS = { least: 2 ** 20, each: 16 } as const;

/** What a file says of its rows. */
export interface ParquetShape {
  readonly columns: readonly ParquetColumn[];
  /** Names of columns that are not read. */
  readonly unread: readonly string[];
  /** Share of the file's rows that are read. */
  readonly share: number;
  /** Number of the rows that are read. */
  readonly count: number;
}

export interface ParquetReading {
  /** Columns to read beside those that data may have. */
  readonly asked?: readonly string[];
  /** Share of the rows to read, from the first on. Default 1. */
  readonly share?: number;
  /** Bytes of values in a part. Default 8 MiB. */
  readonly partBytes?: number | undefined;
}

/** Rows as the library gives them. */
export type ParquetRows = readonly Record<string, unknown>[];

/** A Parquet file, whose rows are read in parts. */
export interface ParquetTable extends ParquetShape {
  /** The rows in order. @throws DataError if the file does not hold what it says. */
  parts(): AsyncGenerator<ParquetRows, void>;
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
 * Opens a Parquet file, to read only the columns that data may have. The file may claim any sizes, so `openParquet`
 * reads untrusted files.
 * @throws DataError if it is not such a file.
 */
export async function openParquetRows(
  file: ParquetFile,
  { asked = [], share = 1, partBytes = PART_BYTES }: ParquetReading = {},
): Promise<ParquetTable> {
  const wanted = new Set([...DATA_COLUMNS, ...asked]);
  const metadata = await orFault(() => parquetMetadataAsync(file, { geoparquet: false }));
  const present = await orFault(() => columnsOf(metadata));
  const columns = present.filter(({ element }) => wanted.has(element.name));
  const names = present.map(({ element }) => element.name);
  if (columns.length === 0) {
    throw new DataError(
      `it has none of the columns ${KIND_COLUMNS.join(", ")}; ` +
        `its columns are ${shortened(names.join(", ")) || "none"}; say which is which with ${optionName("columns")}`,
    );
  }
  const groups = await orFault(() => rowGroups(metadata, new Set(columns.map(({ element }) => element.name))));
  requireOwnSizes(groups, file.byteLength);
  const total = groups.reduce((sum, { rows }) => sum + rows, 0);
  const count = Math.ceil(total * share);
  const options = {
    file,
    columns: columns.map(({ element }) => element.name),
    geoparquet: false,
    compressors: boundedDecompressors(),
    parsers: {
      jsonFromBytes: (text: Uint8Array) => text && new TextDecoder().decode(text),
      stringFromBytes: (bytes: Uint8Array) => bytes && textOf(bytes),
    },
  };
  return {
    columns,
    unread: names.filter((name) => !wanted.has(name)),
    share: count < total ? count / total : 1,
    count,
    async *parts() {
      let left = count;
      for (const group of groups) {
        const end = Math.min(group.rows, left);
        left -= end;
        const alone = { ...metadata, row_groups: [group.content] };
        const pages = group.bytes > partBytes && end > 0 ? await orFault(() => pagesOf(file, group)) : null;
        // Without places of pages, each part would decode the whole group anew.
        const atOnce = pages === null ? end : Math.ceil((group.rows * partBytes) / group.bytes);
        const selected = { ...options, metadata: alone, ...(pages !== null && { pageLocationsByGroup: [pages] }) };
        for (let start = 0; start < end; start += atOnce) {
          const rowEnd = Math.min(start + atOnce, end);
          yield await orFault(() => parquetReadObjects({ ...selected, rowStart: start, rowEnd }));
        }
      }
    },
  };
}

function columnsOf(metadata: FileMetaData): readonly ParquetColumn[] {
  const width = metadata.schema.length - 1;
  if (width <= MAX_COLUMNS) return parquetSchema(metadata).children;
  throw new DataError(
    `it has ${width} columns, more than ${MAX_COLUMNS}; write those that are wanted to a file of their own`,
  );
}

/** @throws DataError where groups have more bytes or rows than a file of that size can have. */
export function requireOwnSizes(groups: readonly RowGroupSizes[], fileBytes: number): void {
  let [bytes, rows] = [0, 0];
  for (const group of groups) {
    bytes += group.compressedBytes;
    rows += group.rows;
    if (!(group.compressedBytes >= 0 && bytes <= fileBytes)) {
      throw new DataError(`its columns are said to have ${bytes} bytes, but it has ${fileBytes}; write it anew`);
    }
    if (!(group.rows >= 0 && rows <= MAX_ROWS.least + MAX_ROWS.each * fileBytes)) {
      throw new DataError(`it is said to have ${rows} rows, which its ${fileBytes} bytes cannot hold; write it anew`);
    }
  }
}

/** The result of `work`. @throws DataError for any fault, since the library's errors come of what the file holds. */
async function orFault<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
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
