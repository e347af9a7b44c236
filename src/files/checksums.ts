import { exists, filesBelow, joinPath, sha256File, writeFileAtomic, writeFolderAtomic } from "#platform";
import { CheckpointError, DataError } from "../base/errors.js";
import { append } from "../base/lists.js";
import { checkpointFault } from "./faults.js";
import { readJsonObject, toJsonText } from "./json-file.js";
import { checkpointPath, orCheckpointError } from "./open-file.js";
import { CARD, isOwnCard, readCard } from "./own-card.js";

const CHECKSUMS = "checksums.json";

/** Files that readers use. Other files, such as a model card, may be added. */
const READ = /\.(safetensors|json)$/;

/** Options for writing a folder. */
export interface FolderOptions {
  /** True if existing files in the folder may be replaced. */
  readonly replace?: boolean;
  /** True if a checksums.json is written. */
  readonly checksums?: boolean;
}

/**
 * Writes a folder that appears whole or not at all; `fill` writes its files.
 * @throws ConfigError, CheckpointError as `writeFolderAtomic`; CheckpointError, with checksums, for files in the present
 * folder that its checksums do not list.
 */
export function writeFolder(
  target: string,
  fill: (folder: string) => Promise<void>,
  { replace = false, checksums = false }: FolderOptions,
): Promise<void> {
  return writeFolderAtomic(
    target,
    async (folder) => {
      await fill(folder);
      if (!checksums) return;
      await writeChecksums(folder);
      const others = (await exists(target)) ? await unlistedFiles(target) : [];
      if (others.length === 0) return;
      throw new CheckpointError(
        `cannot write ${target}: it holds ${others.join(", ")}, which others put there; move it elsewhere, then try ` +
          "again or resume the run",
      );
    },
    { replace },
  );
}

/**
 * Writes checksums.json into the folder: the SHA-256 of every other file in it and below, by path with forward slashes.
 */
export async function writeChecksums(folder: string): Promise<void> {
  const checksums: Record<string, string> = {};
  for (const file of await checkedFiles(folder)) checksums[file] = await sha256File(joinPath(folder, file));
  await writeFileAtomic(joinPath(folder, CHECKSUMS), toJsonText(checksums, CHECKSUMS));
}

/**
 * Compares every file of the folder with its checksum. Returns the faults in words: files that are missing, differ,
 * cannot be read, or came later and would be read; and a missing checksums.json.
 * @throws CheckpointError if checksums.json is not a JSON object.
 */
export async function checksumFaults(folder: string): Promise<string[]> {
  const path = await checkpointPath(folder, CHECKSUMS);
  if (!(await exists(path))) return [`${CHECKSUMS} is missing`];
  const checksums = new Map(Object.entries(await readJsonObject(path)));
  const present = new Set(await checkedFiles(folder));
  // People may edit a card, and no program depends on it.
  checksums.delete(CARD);
  present.delete(CARD);
  const faults = [...checksums.keys()].filter((file) => !present.has(file)).map((file) => `${file} is missing`);
  for (const file of present) {
    if (checksums.has(file)) append(faults, await fileFaults(folder, file, checksums.get(file)));
    else if (READ.test(file)) faults.push(`${file} has no checksum`);
  }
  return faults;
}

/** Checksums in checksums.json by path; empty without the file, as in folders of earlier versions. */
export async function readChecksums(folder: string): Promise<Map<string, string>> {
  const path = await checkpointPath(folder, CHECKSUMS);
  if (!(await exists(path))) return new Map();
  return new Map(Object.entries(await readJsonObject(path)).map(([file, checksum]) => [file, String(checksum)]));
}

/**
 * Files in the folder and below that its checksums.json does not list, so that others put them there: all of them where
 * it is missing or invalid. A card that highrank wrote and nobody changed is none of theirs.
 */
export async function unlistedFiles(folder: string): Promise<string[]> {
  const checksums = await readChecksums(folder).catch((error: unknown) => {
    if (error instanceof CheckpointError) return new Map<string, string>();
    throw error;
  });
  const files = await (checksums.size === 0 ? orCheckpointError(filesBelow(folder)) : checkedFiles(folder));
  const unlisted = files.filter((file) => !checksums.has(file));
  if (checksums.size === 0 || !unlisted.includes(CARD)) return unlisted;
  const isOwn = isOwnCard((await readCard(folder)) ?? "");
  return unlisted.filter((file) => file !== CARD || !isOwn);
}

/**
 * Like `checksumFaults`, but an invalid checksums.json counts as a fault; null without one, as in folders of earlier
 * versions.
 */
export async function damageOf(folder: string): Promise<string[] | null> {
  try {
    return (await readChecksums(folder)).size === 0 ? null : await checksumFaults(folder);
  } catch (error) {
    if (error instanceof CheckpointError) return [error.text];
    throw error;
  }
}

/**
 * Compares every file of the folder with its checksum, if there are any, and returns the checksums.
 * @throws CheckpointError naming each file that is missing or differs, and the way out.
 */
export async function requireWhole(folder: string, wayOut: string): Promise<ReadonlyMap<string, string>> {
  const checksums = await readChecksums(folder);
  const faults = checksums.size === 0 ? [] : await checksumFaults(folder);
  if (faults.length > 0) throw checkpointFault(`${folder} is damaged (${wayOut})`, faults);
  return checksums;
}

async function fileFaults(folder: string, file: string, checksum: unknown): Promise<string[]> {
  try {
    return (await sha256File(joinPath(folder, file))) === checksum ? [] : [`${file} differs from its checksum`];
  } catch (error) {
    if (error instanceof DataError) return [error.text];
    throw error;
  }
}

async function checkedFiles(folder: string): Promise<string[]> {
  return (await orCheckpointError(filesBelow(folder))).filter((file) => file !== CHECKSUMS);
}
