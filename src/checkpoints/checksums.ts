import { exists, isDirectory, joinPath, listFolder, sha256File, writeFileAtomic } from "#platform";
import { DataError } from "../tensor/errors.js";
import { readJsonObject, toJsonText } from "./json-file.js";

const CHECKSUMS = "checksums.json";

/** Writes checksums.json into the folder: the SHA-256 of every other file in it and below, by path with forward slashes. */
export async function writeChecksums(folder: string): Promise<void> {
  const checksums: Record<string, string> = {};
  for (const file of await checkedFiles(folder)) checksums[file] = await sha256File(joinPath(folder, file));
  await writeFileAtomic(joinPath(folder, CHECKSUMS), toJsonText(checksums, CHECKSUMS));
}

/**
 * Compares every file of the folder with its checksum. Returns what is wrong, in words: files that are missing, differ, cannot be
 * read, or are not in checksums.json; and that it is missing itself. @throws CheckpointError if it holds no JSON object.
 */
export async function checksumFaults(folder: string): Promise<string[]> {
  if (!(await exists(joinPath(folder, CHECKSUMS)))) return [`${CHECKSUMS} is missing`];
  const checksums = await readJsonObject(joinPath(folder, CHECKSUMS));
  const present = await checkedFiles(folder);
  const faults = Object.keys(checksums)
    .filter((file) => !present.includes(file))
    .map((file) => `${file} is missing`);
  for (const file of present) {
    if (checksums[file] === undefined) faults.push(`${file} has no checksum`);
    else faults.push(...(await fileFaults(folder, file, checksums[file])));
  }
  return faults;
}

async function fileFaults(folder: string, file: string, checksum: unknown): Promise<string[]> {
  try {
    return (await sha256File(joinPath(folder, file))) === checksum ? [] : [`${file} differs from its checksum`];
  } catch (error) {
    if (error instanceof DataError) return [error.message];
    throw error;
  }
}

async function checkedFiles(folder: string): Promise<string[]> {
  return (await filesIn(folder)).filter((file) => file !== CHECKSUMS);
}

/** Paths of all files below the folder, relative to it, with forward slashes. */
async function filesIn(folder: string, below = ""): Promise<string[]> {
  const files: string[] = [];
  for (const name of await listFolder(joinPath(folder, below))) {
    const path = below === "" ? name : `${below}/${name}`;
    if (await isDirectory(joinPath(folder, path))) files.push(...(await filesIn(folder, path)));
    else files.push(path);
  }
  return files;
}
