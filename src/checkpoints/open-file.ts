import { type FileReader, openForReading } from "#platform";
import { CheckpointError, DataError } from "../tensor/errors.js";

/** Opens the file for as long as `use` takes. @throws CheckpointError where it cannot be read. */
export async function withOpenFile<T>(path: string, use: (reader: FileReader) => Promise<T>): Promise<T> {
  try {
    const reader = await openForReading(path);
    try {
      return await use(reader);
    } finally {
      await reader.close();
    }
  } catch (error) {
    throw error instanceof DataError ? new CheckpointError(error.message, { cause: error }) : error;
  }
}
