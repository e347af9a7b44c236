import { open, readdir } from "node:fs/promises";
import path from "node:path";

/** Writes the file's content to the disk, so that it survives a power cut; its name may need `syncFolder`. */
export async function syncContent(file: string): Promise<void> {
  // Windows syncs only files open for writing; elsewhere a file may be read-only.
  await sync(file, process.platform === "win32" ? "r+" : "r");
}

/** Writes the folder's names to the disk: everything created, renamed or removed in it. */
export async function syncFolder(folder: string): Promise<void> {
  // Windows does this by itself and cannot open a folder.
  if (process.platform === "win32") return;
  try {
    await sync(folder, "r");
  } catch (error) {
    // Some network file systems cannot sync a folder; they keep the order of the calls themselves.
    if (!["EINVAL", "ENOTSUP"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}

/** Syncs the folder with all files and folders below it. */
export async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const inner = path.join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(inner);
    else if (entry.isFile()) await syncContent(inner);
  }
  await syncFolder(folder);
}

async function sync(target: string, flags: string): Promise<void> {
  const handle = await open(target, flags);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
