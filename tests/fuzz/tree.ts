import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";

/** What may lie in a folder. A FIFO is the file that a reader waits for without end. */
export type Entry =
  | { readonly kind: "file"; readonly bytes: Uint8Array }
  | { readonly kind: "folder" }
  | { readonly kind: "link"; readonly to: string }
  | { readonly kind: "fifo" };

/** A folder in memory: entries by path with forward slashes; the folders above them are understood. */
export type Tree = Map<string, Entry>;

export async function readTree(folder: string, below = ""): Promise<Tree> {
  const tree: Tree = new Map();
  for (const entry of await readdir(path.join(folder, below), { withFileTypes: true })) {
    const name = below === "" ? entry.name : `${below}/${entry.name}`;
    const at = path.join(folder, name);
    if (entry.isDirectory()) {
      tree.set(name, { kind: "folder" });
      for (const [inner, held] of await readTree(folder, name)) tree.set(inner, held);
    } else if (entry.isSymbolicLink()) {
      tree.set(name, { kind: "link", to: await readlink(at) });
    } else {
      tree.set(name, { kind: "file", bytes: new Uint8Array(await readFile(at)) });
    }
  }
  return tree;
}

/** Writes the tree as `folder`, in place of what was there. Names that this file system does not take are left out. */
export async function writeTree(folder: string, tree: Tree): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const [name, entry] of tree) {
    const at = path.join(folder, name);
    if (!at.startsWith(`${folder}/`) || name.includes("\0") || name.split("/").some((part) => part.length > 80))
      continue;
    try {
      await mkdir(path.dirname(at), { recursive: true });
      if (entry.kind === "file") await writeFile(at, entry.bytes);
      else if (entry.kind === "folder") await mkdir(at, { recursive: true });
      else if (entry.kind === "link") await symlink(entry.to, at);
      else if (!existsSync(at)) execFileSync("mkfifo", [at]);
    } catch (error) {
      // A mutation may want a file where another wants a folder.
      if (!["EEXIST", "ENOTDIR", "EISDIR", "ENOENT", "EINVAL"].includes((error as NodeJS.ErrnoException).code ?? ""))
        throw error;
    }
  }
}

export function bytesOf(tree: Tree): number {
  let bytes = 0;
  for (const entry of tree.values()) if (entry.kind === "file") bytes += entry.bytes.length;
  return bytes;
}
