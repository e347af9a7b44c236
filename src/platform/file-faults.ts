import { CheckpointError, ConfigError, DataError } from "../base/errors.js";

/** Fault and way out, by the operating system's error code. */
const FAULTS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full; free some space or choose another folder",
  EDQUOT: "the disk quota is used up; free some space or choose another folder",
  EFBIG: "the file is larger than this file system or the limit of this shell allows; choose another folder",
  EROFS: "the file system is read-only; choose another folder",
  EACCES: "permission denied; change the permissions or choose another path",
  EPERM: "permission denied; change the permissions or choose another path",
  ENOENT: "there is no such file or folder; check the path",
  ENOTDIR: "a part of the path is a file where a folder must be; check the path",
  EISDIR: "it is a folder where a file must be; name a file",
  ENAMETOOLONG: "a name in it is longer than this file system allows; choose a shorter one",
  EEXIST: "it exists already; choose another path",
  ENOTEMPTY: "the folder is not empty; choose another path",
  EBUSY: "it is in use, as the root of a mounted file system is; name a folder in it",
  EMFILE: "too many files are open; raise the limit (ulimit -n)",
  EIO: "the disk failed to transfer the data; check the disk",
};

/** A DataError for a path that cannot be read; errors that are not the operating system's pass unchanged. */
export function readFault(path: string, error: unknown): unknown {
  const reason = reasonOf(error);
  return reason === undefined ? error : new DataError(`cannot read ${path}: ${reason}`, { cause: error });
}

/** A CheckpointError for a path that cannot be written; errors that are not the operating system's pass unchanged. */
export function writeFault(path: string, error: unknown): unknown {
  const reason = reasonOf(error);
  return reason === undefined ? error : new CheckpointError(`cannot write ${path}: ${reason}`, { cause: error });
}

export const NOT_EMPTY = "the folder is not empty";

/** For a place that somebody has and that is not to be replaced. */
export function taken(target: string, fault: string): ConfigError {
  return new ConfigError(`cannot write ${target}: ${fault}, and nothing in its place is replaced; choose another`);
}

/** True if the operating system says that the path leads nowhere, or that no file can have it. */
export function isNowhere(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR", "ENAMETOOLONG"].includes((error as NodeJS.ErrnoException).code ?? "");
}

function reasonOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return undefined;
  return FAULTS[error.code] ?? error.message;
}
