import { fileSize, runLimited } from "#platform";
import { DataError } from "../base/errors.js";
import type { ParquetTable } from "./parquet-rows.js";
import { parquetFields } from "./parquet-values.js";

/** Largest file that is read, in bytes, because it is held in memory whole. */
const MAX_FILE_BYTES = 2 ** 30;

/** Limits of reading, which grow by `each` for every MiB of the file. */
const LIMITS = { seconds: 20, heapMegabytes: 256, each: { seconds: 0.5, heapMegabytes: 48 } } as const;

/** A file to read, and columns that are wanted beside those that data may have. */
export interface ParquetWork {
  readonly path: string;
  readonly asked: readonly string[];
  /** Share of its rows to read. */
  readonly share: number;
}

export type ParquetAnswer =
  | { readonly shape: Omit<ParquetTable, "rows"> }
  | { readonly rows: ParquetTable["rows"] }
  | { readonly fault: string };

/** Content of a `.parquet` file. */
export interface ParquetContent {
  /** The fields of each row, only of columns that data may have or that are asked for. */
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  /** Names of the other columns. */
  readonly unread: readonly string[];
  /** Share of the rows that these are. */
  readonly share: number;
}

/**
 * Reads a `.parquet` file in a process that is stopped if it takes more than a file of that size can need.
 * @param asked columns to read beside those whose names say what they are.
 * @param share of the rows to read, from the first on.
 * @throws DataError naming the file.
 */
export async function readParquet(path: string, asked: readonly string[] = [], share = 1): Promise<ParquetContent> {
  const bytes = await fileSize(path);
  if (bytes > MAX_FILE_BYTES) {
    throw new DataError(`cannot read ${path}: it has ${bytes} bytes, more than ${MAX_FILE_BYTES}; split it`);
  }
  let shape: Omit<ParquetTable, "rows"> = { columns: [], unread: [], share: 1 };
  const rows: Readonly<Record<string, unknown>>[] = [];
  let fault: string | undefined;
  const mebibytes = bytes / 2 ** 20;
  const limits = {
    seconds: Math.ceil(LIMITS.seconds + LIMITS.each.seconds * mebibytes),
    heapMegabytes: Math.ceil(LIMITS.heapMegabytes + LIMITS.each.heapMegabytes * mebibytes),
  };
  try {
    await runLimited(new URL("./parquet-worker.js", import.meta.url), { path, asked, share }, limits, (message) => {
      const answer = message as ParquetAnswer;
      if ("fault" in answer) fault = answer.fault;
      else if ("shape" in answer) shape = answer.shape;
      else for (const row of answer.rows) rows.push(row);
    });
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new DataError(`${path}: reading it was stopped: ${cause.message}; its sizes are not those of its data`, {
      cause,
    });
  }
  if (fault !== undefined) throw new DataError(fault.startsWith("cannot read") ? fault : `${path}: ${fault}`);
  return { rows: rows.map((row) => parquetFields(row, shape.columns)), unread: shape.unread, share: shape.share };
}
