import { existsSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { DataError } from "../base/errors.js";

/** A path with `..` in it, which only the file system can resolve: behind a link, it leads to where the target lies. */
const WITH_PARENT = /(?:^|[\\/])\.\.(?:[\\/]|$)/;

/** Joins parts into one path. `.` and `..` are resolved, but for a `..` in the first part. */
export function joinPath(first: string, ...parts: string[]): string {
  return WITH_PARENT.test(first) ? `${first}${path.sep}${path.join(...parts)}` : path.join(first, ...parts);
}

/** Path from the root of the file system, without `..`; relative paths start at the working folder. */
export function absolutePath(from: string): string {
  if (process.platform === "win32" || !WITH_PARENT.test(from)) return path.resolve(from);
  let at = path.isAbsolute(from) ? "/" : process.cwd();
  for (const part of from.split("/")) {
    // What is not there is behind no link. `realpathSync` itself takes `..` for what it looks like.
    if (part === "..") at = path.dirname(existsSync(at) ? realpathSync.native(at) : at);
    else at = path.join(at, part);
  }
  return at;
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
