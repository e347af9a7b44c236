import { fileSize, type LimitedProcess, openLimited, Worker } from "#platform";
import { DataError } from "../base/errors.js";
import type { ParquetRows, ParquetShape } from "./parquet-rows.js";
import { parquetFields } from "./parquet-values.js";

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
  | { readonly shape: ParquetShape }
  | { readonly rows: ParquetRows }
  | { readonly fault: string };

/** Content of a `.parquet` file. */
export interface ParquetContent {
  /** Names of the columns that are not read. */
  readonly unread: readonly string[];
  /** Share of the rows that are read, and their number. */
  readonly share: number;
  readonly count: number;
  /** The fields of each row, some rows at a time, only of columns that data may have or that are asked for. */
  parts(): AsyncGenerator<readonly Readonly<Record<string, unknown>>[], void>;
  /** Must be called in the end. */
  close(): void;
}

/**
 * Opens a `.parquet` file in a process that is stopped if it takes more than a file of that size can need. It goes
 * through its rows once.
 * @param asked columns to read beside those whose names say what they are.
 * @param share of the rows to read, from the first on.
 * @throws DataError naming the file.
 */
export async function openParquet(path: string, asked: readonly string[] = [], share = 1): Promise<ParquetContent> {
  const mebibytes = (await fileSize(path)) / 2 ** 20;
  const limits = {
    seconds: Math.ceil(LIMITS.seconds + LIMITS.each.seconds * mebibytes),
    heapMegabytes: Math.ceil(LIMITS.heapMegabytes + LIMITS.each.heapMegabytes * mebibytes),
  };
  const module = new Worker(new URL("./parquet-worker.js", import.meta.url), { type: "module" });
  const reader = openLimited(module, limits);
  try {
    const work: ParquetWork = { path, asked, share };
    const answer = await ask(reader, path, work);
    if (answer === undefined || !("shape" in answer)) throw new Error("a Parquet file must be answered with its shape");
    const { columns, ...shape } = answer.shape;
    return {
      ...shape,
      async *parts() {
        for (;;) {
          const next = await ask(reader, path, null);
          if (next === undefined || !("rows" in next)) return;
          yield next.rows.map((row) => parquetFields(row, columns));
        }
      },
      close: reader.stop,
    };
  } catch (error) {
    reader.stop();
    throw error;
  }
}

/** The answer to a message; undefined if there are no more rows. @throws DataError naming the file. */
async function ask(
  reader: LimitedProcess,
  path: string,
  message: ParquetWork | null,
): Promise<ParquetAnswer | undefined> {
  let answer: ParquetAnswer | undefined;
  try {
    answer = (await reader.ask(message)) as ParquetAnswer | undefined;
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new DataError(`${path}: reading it was stopped: ${cause.message}; its sizes are not those of its data`, {
      cause,
    });
  }
  if (answer === undefined || !("fault" in answer)) return answer;
  throw new DataError(answer.fault.startsWith("cannot read") ? answer.fault : `${path}: ${answer.fault}`);
}
