import { readBytes, workerPort } from "#platform";
import { HighrankError } from "../base/errors.js";
import type { ParquetAnswer, ParquetWork } from "./parquet-format.js";
import { parquetRows } from "./parquet-rows.js";

// The process that reads a Parquet file, so that it can be stopped.

/** Rows per message. */
const ROWS = 1000;

const port = workerPort();
const post = (answer: ParquetAnswer): void => port.post(answer);
port.onMessage(async (work) => {
  try {
    const { path, asked, share } = work as ParquetWork;
    const { rows, ...shape } = await parquetRows(await readBytes(path), asked, share);
    post({ shape });
    for (let start = 0; start < rows.length; start += ROWS) {
      post({ rows: rows.slice(start, start + ROWS) });
      await new Promise((resolve) => setImmediate(resolve));
    }
  } catch (error) {
    if (!(error instanceof HighrankError)) throw error;
    post({ fault: error.text });
  }
  port.close();
});
