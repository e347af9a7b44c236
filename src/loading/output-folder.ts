import {
  absolutePath,
  exists,
  folderOf,
  isDirectory,
  isMountPoint,
  isWithin,
  joinPath,
  listFolder,
  realPath,
  requireRoom,
} from "#platform";
import { ConfigError } from "../base/errors.js";
import { optionName, RUN_SETTINGS } from "../base/naming.js";
import type { OpenSettings } from "../config/derive.js";

/** The thing that is written. */
interface Output {
  /** True if it is the folder of a run, which may take the place of one. */
  readonly isRun?: boolean;
  /** Inputs of which the folders of runs in them are no part, as of data: a run may lie there. */
  readonly exceptRuns?: readonly string[];
  readonly kind?: "folder" | "file";
}

/**
 * Refuses a folder or file to write that is no path, mixes with what is read, or lies in a run.
 * @param inputs paths that are read; names of anything else do not matter.
 * @throws ConfigError; CheckpointError for a path that no folder can have.
 */
export async function requireApart(
  out: string,
  inputs: readonly (string | null)[],
  { isRun = false, exceptRuns = [], kind = "folder" }: Output = {},
): Promise<void> {
  requirePath(out, kind);
  const place = await realPath(out);
  for (const input of new Set(inputs)) {
    if (input === null || input === "" || !(await exists(input))) continue;
    const read = await realPath(input);
    const way = `name a ${kind} elsewhere`;
    if (kind === "file" && read === place) throw refuse(`${out} is read; ${way}`);
    const isApart = isRun && read !== place && exceptRuns.includes(input);
    if (!isApart && isWithin(read, place) && (await isDirectory(input)))
      throw refuse(`${out} is inside of ${input}, which is read; ${way}`);
    if (isRun && read !== place && isWithin(place, read)) throw refuse(`${out} holds ${input}, which is read; ${way}`);
  }
  for (let at = isRun ? folderOf(place) : place; at !== folderOf(at); at = folderOf(at)) {
    if (await exists(joinPath(at, RUN_SETTINGS))) {
      throw refuse(`${out} is inside of ${at}, the folder of a run; name a ${kind} elsewhere`);
    }
  }
}

function refuse(fault: string): ConfigError {
  return new ConfigError(`${optionName("out")}: ${fault}`);
}

function requirePath(out: string, kind: "folder" | "file"): void {
  if (out === "" || out.includes("\0")) throw refuse(`must be the path of a ${kind}, got ${JSON.stringify(out)}`);
}

/** Settings that name what is read. */
const INPUTS = ["model", "adapterFrom", "tokenizer", "data", "validData"] as const;

/** Paths and names of what a run reads. */
export function inputsOf(settings: Partial<Pick<OpenSettings, (typeof INPUTS)[number]>>): string[] {
  const named = INPUTS.flatMap((key) => settings[key] ?? []);
  // One data set of a folder with several is PATH:CONFIG.
  return [...named, ...named.map((name) => name.replace(/:[^:/\\@]+$/, ""))];
}

/**
 * Refuses a folder that cannot be written anew. @param inputs paths and names of what is read.
 * @throws ConfigError if there is something that a new folder would replace, and as `requireApart`; CheckpointError if
 * no folder can be made there.
 */
export async function requireNewFolder(out: string, inputs: readonly (string | null)[]): Promise<void> {
  requirePath(out, "folder");
  if (await exists(out)) {
    if (!(await isDirectory(out))) throw refuse(`${out} is a file; name a folder`);
    if ((await listFolder(out)).length > 0)
      throw refuse(`${out} is not empty, and nothing in it is replaced; name another folder`);
    if (await isMountPoint(await realPath(out)))
      throw refuse(
        `${out} is the root of a mounted file system; name a folder in it, such as ${joinPath(out, "model")}`,
      );
  }
  await requireApart(out, inputs);
  // The folder is written beside its place, to which a link may lead.
  await requireRoom(folderOf(await realPath(out)));
}

/**
 * Refuses a file that cannot be written anew. @param inputs paths and names of what is read.
 * @throws ConfigError if it exists, and as `requireApart`; CheckpointError if no file can be made there.
 */
export async function requireNewFile(out: string, inputs: readonly (string | null)[]): Promise<void> {
  requirePath(out, "file");
  if (await exists(out)) throw refuse(`${out} exists; name a new file, or remove it`);
  await requireApart(out, inputs, { kind: "file" });
  await requireRoom(folderOf(absolutePath(out)));
}
