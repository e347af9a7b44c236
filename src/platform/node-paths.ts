import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { DataError } from "../base/errors.js";

/** Joins parts into one path and resolves `.` and `..`. */
export function joinPath(...parts: string[]): string {
  return path.join(...parts);
}

/** Path from the root of the file system; relative paths start at the working folder. */
export function absolutePath(from: string): string {
  return path.resolve(from);
}

/** The path as an address: `/a b` gives `file:///a%20b`. */
export function fileUrl(of: string): URL {
  return pathToFileURL(of);
}

/** The last part of a path: `a/b.txt` gives `b.txt`. */
export function baseName(of: string): string {
  return path.basename(of);
}

/** The folder that holds the path: `a/b.txt` gives `a`. */
export function folderOf(of: string): string {
  return path.dirname(of);
}

/** Last extension in lower case, with its dot: `a/B.TXT` gives `.txt`; empty if there is none. */
export function extension(of: string): string {
  return path.extname(of).toLowerCase();
}

/**
 * Path of a file inside an installed dependency, whatever its `exports` allow.
 * @throws DataError if the package or the file is not installed.
 */
export function packageFile(packageName: string, relativePath: string): string {
  const folders = createRequire(import.meta.url).resolve.paths(packageName) ?? [];
  for (const folder of folders) {
    const candidate = path.join(folder, packageName, relativePath);
    if (existsSync(candidate)) return candidate;
  }
  throw new DataError(`packageFile: ${packageName}/${relativePath} is not installed; run npm install ${packageName}`);
}
