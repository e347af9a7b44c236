import { inWorker, openForReading } from "#platform";
import { HighrankError } from "../base/errors.js";
import type { ParquetAnswer, ParquetWork } from "./parquet-format.js";
import type { ParquetFile } from "./parquet-pages.js";
import { openParquetRows, type ParquetRows } from "./parquet-rows.js";

// The process that reads a Parquet file, so that it can be stopped. It answers the file to read with its shape, and
// each further message with the next rows, until there are no more.

/** Rows per message. */
const ROWS = 1000;

async function* answers({ path, ...reading }: ParquetWork): AsyncGenerator<ParquetAnswer, void> {
  try {
    const { parts, ...shape } = await openParquetRows(await openFile(path), reading);
    yield { shape };
    for await (const rows of parts()) yield* messages(rows);
  } catch (error) {
    if (!(error instanceof HighrankError)) throw error;
    yield { fault: error.text };
  }
}

function* messages(rows: ParquetRows): Generator<ParquetAnswer, void> {
  for (let start = 0; start < rows.length; start += ROWS) yield { rows: rows.slice(start, start + ROWS) };
}

/** A file with the meaning of `ArrayBuffer.slice`. */
async function openFile(path: string): Promise<ParquetFile> {
  const { size, read } = await openForReading(path);
  return {
    byteLength: size,
    slice: async (start, end = size) => {
      const [from, to] = [start, end].map((at) => Math.min(Math.max(at < 0 ? at + size : at, 0), size));
      return (await read(from!, Math.max(0, to! - from!))).buffer as ArrayBuffer;
    },
  };
}

inWorker((port) => {
  let going: AsyncGenerator<ParquetAnswer, void> | undefined;
  port.onMessage(async (message) => {
    going ??= answers(message as ParquetWork);
    const { value, done } = await going.next();
    if (done) port.close();
    else port.post(value);
  });
});
