import { type FileReader, openForReading, pathInside } from "#platform";
import { CheckpointError, DataError } from "../base/errors.js";

/** Opens the file for as long as `use` takes. @throws CheckpointError where it cannot be read. */
export function withOpenFile<T>(path: string, use: (reader: FileReader) => Promise<T>): Promise<T> {
  const run = async (): Promise<T> => {
    const reader = await openForReading(path);
    try {
      return await use(reader);
    } finally {
      await reader.close();
    }
  };
  return orCheckpointError(run());
}

/** The path of a file or folder of a checkpoint, to be read. @throws CheckpointError if it leads out of the folder. */
export function checkpointPath(folder: string, name: string): Promise<string> {
  return orCheckpointError(pathInside(folder, name));
}

/** What cannot be read is a CheckpointError here, and not a DataError as to the platform. */
export async function orCheckpointError<T>(reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    throw error instanceof DataError ? new CheckpointError(error.message, { cause: error }) : error;
  }
}
