import { DataError } from "../base/errors.js";
import { lineOfBadUtf8 } from "../base/utf8.js";

// Rules for files of any platform, on top of its own calls.

/** @throws DataError for a file that is too long to be one text. */
export function requireTextSize(path: string, size: number, maxBytes: number): void {
  if (size <= maxBytes) return;
  throw new DataError(`cannot read ${path} as one text: it has ${size} bytes, more than ${maxBytes}; split it`);
}

/** The content of a file as text, without a byte order mark. @throws DataError if it is not UTF-8. */
export function decodeText(path: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    const where = `line ${lineOfBadUtf8(bytes)}`;
    throw new DataError(`${path} is not UTF-8 text (${where}); convert it, or name another file`, { cause: error });
  }
}

/** A folder whose files are listed; paths are relative to it, the folder itself is "". */
export interface ListedFolder {
  namesIn(below: string): Promise<readonly string[]>;
  /** `passed by` for a folder that is reached another way. */
  kindOf(path: string): Promise<"file" | "folder" | "passed by">;
}

/**
 * Paths of all files below the folder, relative to it, with forward slashes, folder by folder in the order of names.
 * @param isLeftOut true for names of files and folders to skip.
 * @param isClosed true for the names in a folder below that is skipped whole.
 */
export async function listBelow(
  { namesIn, kindOf }: ListedFolder,
  isLeftOut: (name: string) => boolean,
  isClosed: (names: readonly string[]) => boolean,
): Promise<string[]> {
  const files: string[] = [];
  const visit = async (below: string): Promise<void> => {
    const names = await namesIn(below);
    if (below !== "" && isClosed(names)) return;
    for (const name of names) {
      if (isLeftOut(name)) continue;
      const path = below === "" ? name : `${below}/${name}`;
      const kind = await kindOf(path);
      if (kind === "file") files.push(path);
      else if (kind === "folder") await visit(path);
    }
  };
  await visit("");
  return files;
}
