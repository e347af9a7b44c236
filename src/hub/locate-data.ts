import { exists, isDirectory, joinPath, readText } from "#platform";
import { DataError } from "../base/errors.js";
import { chooseFiles, dataFilesIn, isDataFile } from "../data/dataset.js";
import { readDatasetCard } from "../data/dataset-card.js";
import { NEWEST_RULES } from "../data/records.js";
import type { SplitFiles } from "../data/split-files.js";
import { downloadRepository, type HubOptions, type WantedFiles } from "./hub-download.js";
import { type HubRepository, parseHubName, shownModel } from "./hub-name.js";
import { misspeltPath } from "./misspelt-path.js";
import type { HubFile } from "./model-files.js";

/** Where data are. */
export interface LocatedData {
  /** A path or a built-in source, for `loadDataset`. */
  readonly source: string;
  /** The data set to take of a folder with several; null for its default. */
  readonly config: string | null;
  /** Permanent name: as given, or with the commit for a data set of the hub. */
  readonly name: string;
  /** The source in words: `built-in text`, `file`, `folder`, or `data set of the hub`. */
  readonly origin: string;
}

/** A data set on the hub, or a part of one. */
interface HubData extends HubRepository {
  readonly config: string | null;
  /** A file or folder in it; empty for all of it. */
  readonly path: string;
}

const SCHEME = "hf://datasets/";
const CARD = "README.md";
/** Files that belong together: `train-00001-of-00004.parquet`. */
const SHARD = /^(.*-)\d{5}(-of-(\d{5}).*)$/s;

/**
 * Finds data by a path or by the name of a data set on the hub: `organisation/name`, `organisation/name:CONFIG`, with
 * `@revision` behind, or `hf://datasets/organisation/name/path`. Its files for training and validation are downloaded
 * unless they are in the cache. A path takes precedence; `PATH:CONFIG` is one of several data sets of a folder.
 * @throws DataError for a name that is probably a misspelt path; CheckpointError as `downloadRepository`.
 */
export async function locateData(text: string, options: HubOptions = {}): Promise<LocatedData> {
  const at = async (source: string, config: string | null = null): Promise<LocatedData> => {
    const origin = source.startsWith("builtin:") ? "built-in text" : (await isDirectory(source)) ? "folder" : "file";
    return { source, config, name: text, origin };
  };
  if (text.startsWith("builtin:") || (await exists(text))) return at(text);
  const [, folderName = "", own] = /^(.+):([^:/\\@]+)$/.exec(text) ?? [];
  if (own !== undefined && (await isDirectory(folderName))) return at(folderName, own);
  const found = hubDataOf(text);
  if (found === undefined) return at(text);
  const { name, config, path } = found;
  if (!text.startsWith(SCHEME)) await requireNoMisspeltPath(text, name);
  const { folder, commit } = await downloadRepository(found, dataFiles(found), options);
  const origin = "data set of the hub";
  const permanent = path === "" ? nameOf(name, config, commit) : `${SCHEME}${name}@${commit}/${path}`;
  return { source: path === "" ? folder : joinPath(folder, path), config, name: permanent, origin };
}

/** The data to show: what they are where the name alone does not say it. */
export function shownData({ name, origin }: LocatedData): string {
  return `${origin === "file" || origin === "built-in text" ? "" : `${origin} `}${shownModel(name)}`;
}

function nameOf(name: string, config: string | null, commit: string): string {
  return `${name}${config === null ? "" : `:${config}`}@${commit}`;
}

/** Parses the name of a data set; undefined if it cannot be one. @throws DataError for the address of a page. */
function hubDataOf(text: string): HubData | undefined {
  const page = /^https?:\/\/[^/]+\/datasets\/([^/?#]+\/[^/?#]+)/.exec(text)?.[1];
  if (page !== undefined) throw new DataError(`${text}: data of the hub have names; write ${page}`);
  if (text.startsWith(SCHEME)) {
    const [owner = "", name = "", ...path] = text.slice(SCHEME.length).split("/");
    const repository = parseHubName(`${owner}/${name}`);
    const isPlain = path.every((part) => part !== "" && part !== "." && part !== "..");
    if (repository !== undefined && isPlain) return { ...repository, config: null, path: path.join("/") };
    throw new DataError(`${text}: must be ${SCHEME}organisation/name, with a path in it or without`);
  }
  const [, name, config = null, revision = ""] = /^([^:@]+)(?::([^:@/]+))?(@.+)?$/.exec(text) ?? [];
  const repository = name === undefined ? undefined : parseHubName(`${name}${revision}`);
  return repository && { ...repository, config, path: "" };
}

/** @throws DataError for a path that leads nowhere, although it looks like one. */
async function requireNoMisspeltPath(text: string, name: string): Promise<void> {
  if (text.includes("@")) return;
  if (isDataFile(name)) throw new DataError(`${text}: there is no such file; check the path`);
  const fault = await misspeltPath(name);
  if (fault === null) return;
  throw new DataError(`${text}: ${fault}, or for the data set of the hub write ${text}@main`);
}

/** The files of a data set for training and validation, and its card. */
function dataFiles({ name, config, path }: HubData): WantedFiles {
  return {
    kind: "dataset",
    areIn: (folder) => hasAll(joinPath(folder, path), config),
    // What lies there does not say what else there is to be.
    isWhole: async () => false,
    download: async (listed, fetch, folder) => {
      const cards = path === "" ? listed.filter((file) => file.path === CARD) : [];
      await fetch(cards, false);
      const card = cards.length === 0 ? "" : await readText(joinPath(folder, CARD));
      const wanted = chosenFiles(name, listed, path, (files) =>
        chooseFiles(name, files, readDatasetCard(card, config)),
      );
      await fetch(listed.filter((file) => wanted.has(file.path)));
    },
  };
}

/** The chosen ones of the files at a path, by their paths in the repository. */
function chosenFiles(
  name: string,
  listed: readonly HubFile[],
  path: string,
  choose: (files: readonly string[]) => SplitFiles,
): ReadonlySet<string> {
  if (listed.some((file) => file.path === path)) return new Set([path]);
  const before = path === "" ? "" : `${path}/`;
  const inside = listed.filter((file) => file.path.startsWith(before)).map((file) => file.path.slice(before.length));
  if (inside.length === 0) throw new DataError(`${name}: the data set has no ${path}; check the path`);
  try {
    const { train, validation } = choose(inside);
    return new Set([...train, ...validation].map((file) => before + file));
  } catch (error) {
    if (!(error instanceof DataError) || error.message.startsWith(name)) throw error;
    throw new DataError(`${name}: ${error.text}`, { cause: error });
  }
}

/** True if the files to train on are there, and of those that are numbered all. */
async function hasAll(source: string, config: string | null): Promise<boolean> {
  if (!(await exists(source))) return false;
  if (!(await isDirectory(source))) return true;
  try {
    const { train, validation } = await dataFilesIn(source, NEWEST_RULES, config);
    const files = new Set([...train, ...validation]);
    return [...files].every((file) => {
      const [, before, after, count = ""] = SHARD.exec(file) ?? [];
      const numbers = [...new Array(Number(count)).keys()].map((number) => String(number).padStart(5, "0"));
      return numbers.every((number) => files.has(`${before}${number}${after}`));
    });
  } catch (error) {
    if (error instanceof DataError) return false;
    throw error;
  }
}
