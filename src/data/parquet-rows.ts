import { parquetMetadata, parquetReadObjects, parquetSchema, snappyUncompress } from "hyparquet";
import { DataError } from "../base/errors.js";
import { shortened, shownValue } from "../base/json.js";

/** Snappy makes at most 64 bytes from three. */
const MAX_SNAPPY_RATIO = 32;

/** Columns that some kind of data has; others are not read. */
export const DATA_COLUMNS: readonly string[] = [
  ...["text", "prompt", "completion", "messages", "tools", "instruction", "input", "output", "input_ids", "labels"],
];

type Row = Record<string, unknown>;

/**
 * Reads the rows of a Parquet file, uncompressed or compressed with Snappy, only the columns that data may have. A null
 * value is left out of its row, and of the objects in it. The file may claim any sizes, so `readParquet` reads
 * untrusted files.
 * @throws DataError if it is not such a file.
 */
export async function parquetRows(bytes: Uint8Array): Promise<Row[]> {
  const file = copyOf(bytes);
  try {
    const metadata = parquetMetadata(file);
    const present = parquetSchema(metadata).children.map(({ element }) => element.name);
    const columns = present.filter((name) => DATA_COLUMNS.includes(name));
    if (columns.length === 0) {
      throw new DataError(
        `it has none of the columns ${DATA_COLUMNS.join(", ")}; ` +
          `its columns are ${shortened(present.join(", ")) || "none"}`,
      );
    }
    const rows = await parquetReadObjects({
      file: { byteLength: file.byteLength, slice: (start, end) => file.slice(start, end) },
      metadata,
      columns,
      geoparquet: false,
      compressors: { SNAPPY: uncompress },
    });
    return rows.map((row) => plainObject(row));
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DataError(
      `it is not a Parquet file that can be read here: ${reason}; write it anew, uncompressed or with Snappy`,
      { cause },
    );
  }
}

/** The library wants its own buffer. */
function copyOf({ buffer, byteOffset, byteLength }: Uint8Array): ArrayBuffer {
  return (buffer as ArrayBuffer).slice(byteOffset, byteOffset + byteLength);
}

function uncompress(input: Uint8Array, length: number): Uint8Array {
  if (!(length >= 0 && length <= MAX_SNAPPY_RATIO * input.length + 64)) {
    throw new DataError(`${input.length} compressed bytes cannot hold ${shownValue(length)}`);
  }
  const output = new Uint8Array(length);
  snappyUncompress(input, output);
  return output;
}

function plainObject(object: object): Row {
  const present = Object.entries(object).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(present.map(([key, value]) => [key, plainValue(value)]));
}

/** Converts to values that JSON can hold: 64-bit integers to numbers, typed arrays to arrays. */
function plainValue(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(plainValue);
  if (ArrayBuffer.isView(value)) return Array.from(value as Uint8Array, plainValue);
  if (typeof value === "object" && value !== null && !(value instanceof Date)) return plainObject(value);
  return value ?? null;
}
