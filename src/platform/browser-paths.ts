/** Joins parts into one path and resolves `.` and `..`. */
export function joinPath(...parts: string[]): string {
  const whole = parts.filter((part) => part !== "").join("/");
  const isAbsolute = whole.startsWith("/");
  const names: string[] = [];
  for (const name of whole.split("/")) {
    if (name === "" || name === ".") continue;
    if (name !== "..") names.push(name);
    else if (names.length > 0 && names.at(-1) !== "..") names.pop();
    else if (!isAbsolute) names.push(name);
  }
  return (isAbsolute ? "/" : "") + names.join("/") || ".";
}

/** Path from the root of the site's files, where relative paths start. */
export function absolutePath(from: string): string {
  return joinPath("/", from);
}

/** The last part of a path: `a/b.txt` gives `b.txt`. */
export function baseName(of: string): string {
  return /([^/]*)\/*$/.exec(of)![1]!;
}

/** The folder that holds the path: `a/b.txt` gives `a`. */
export function folderOf(of: string): string {
  const [, folder = ""] = /^(.*?)\/*[^/]*\/*$/s.exec(of) ?? [];
  return folder || (of.startsWith("/") ? "/" : ".");
}

/** Last extension in lower case, with its dot: `a/B.TXT` gives `.txt`; empty if there is none. */
export function extension(of: string): string {
  return (/[^/](\.[^./]*)\/*$/.exec(of)?.[1] ?? "").toLowerCase();
}

/** True if `inner` is `folder` or lies in it; both are absolute paths. */
export function isWithin(folder: string, inner: string): boolean {
  return inner === folder || inner.startsWith(folder.endsWith("/") ? folder : `${folder}/`);
}

/** The absolute path: there are no links. */
export async function realPath(of: string): Promise<string> {
  return absolutePath(of);
}

/** Never: there are no mounts. */
export async function isMountPoint(): Promise<boolean> {
  return false;
}
