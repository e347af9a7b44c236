import { type FileReader, openForReading, pathInside } from "#platform";
import { CheckpointError, DataError } from "../base/errors.js";

/** Opens the file while `use` runs. @throws CheckpointError if it cannot be read. */
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

/** The path of a file or folder inside `folder`, for reading. @throws CheckpointError if it leads out of the folder. */
export function checkpointPath(folder: string, name: string): Promise<string> {
  return orCheckpointError(pathInside(folder, name));
}

/** Turns the platform's DataError for an unreadable file into a CheckpointError. */
export async function orCheckpointError<T>(reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    throw error instanceof DataError ? new CheckpointError(error.text, { cause: error }) : error;
  }
}
