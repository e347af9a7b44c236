import { closeSync, openSync, readlinkSync } from "node:fs";

/** A folder that is found again when it gets another name. */
export interface FollowedFolder {
  /** The path that it was opened by, as long as that is its own; an absolute one after it was moved. */
  readonly path: string;
  close(): void;
}

/** Follows a folder that exists. Only Linux says where an open folder is; elsewhere the path stays the same. */
export function followFolder(path: string): FollowedFolder {
  const still = { path, close: () => {} };
  if (process.platform !== "linux") return still;
  try {
    const file = openSync(path, "r");
    const link = `/proc/self/fd/${file}`;
    const before = readlinkSync(link);
    return {
      get path() {
        const now = readlinkSync(link);
        // What the kernel says of a removed folder is no path.
        return now === before || now.endsWith(" (deleted)") ? path : now;
      },
      close: () => closeSync(file),
    };
  } catch {
    return still;
  }
}
