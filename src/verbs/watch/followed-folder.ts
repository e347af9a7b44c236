import { absolutePath, baseName, isDirectory, joinPath, listFolder, realPath } from "#platform";
import { HighrankError } from "../../base/errors.js";
import { readJsonObject } from "../../files/json-file.js";
import { checkpointPath } from "../../files/open-file.js";
import { isRunFolder } from "../../runs/run-folder.js";
import { FollowedRun } from "./followed-run.js";

/** Runs that are followed at most: the newest. */
const MAX_RUNS = 100;
/** Folders between the one that is named and a run: those of a study are in `runs/ARM/SEED`. */
const MAX_DEPTH = 4;
/** Folders that are looked into at most. */
const MAX_FOLDERS = 2000;

/** The runs in a folder, the newest first. New ones are found, and those that have gone are forgotten. */
export class FollowedFolder {
  readonly #folder: string;
  /** By id, the newest first. */
  #runs = new Map<string, { readonly run: FollowedRun; readonly started: string }>();
  #found = 0;
  #hasFound = false;
  #looking: Promise<void> | undefined;

  /** @param folder of runs, or of one run. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  get runs(): readonly FollowedRun[] {
    return [...this.#runs.values()].map(({ run }) => run);
  }

  /** What is to be said beside the runs; empty if nothing is. */
  get note(): string {
    if (this.#found === 0) {
      return this.#hasFound
        ? `The runs in ${this.#folder} are gone; others appear here when they begin.`
        : `There are no runs in ${this.#folder} yet; they appear here when they begin.`;
    }
    return this.#found > MAX_RUNS ? `The newest ${MAX_RUNS} of ${this.#found} runs.` : "";
  }

  /** Looks for runs. Calls at one time are one look. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    const paths = await runFolders(this.#folder);
    const found: { run: FollowedRun; started: string }[] = [];
    for (const path of paths) {
      const folder = path === "" ? this.#folder : joinPath(this.#folder, path);
      const id = path === "" ? baseName(absolutePath(folder)) : path;
      found.push(this.#runs.get(id) ?? { run: new FollowedRun(id, folder), started: await startOf(folder) });
    }
    found.sort((a, b) => order(b.started, a.started) || order(b.run.id, a.run.id));
    this.#found = paths.length;
    this.#hasFound ||= paths.length > 0;
    this.#runs = new Map(found.slice(0, MAX_RUNS).map((each) => [each.run.id, each]));
  }
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Folders of runs by their paths in a folder; an empty one if it is a run itself. */
async function runFolders(root: string): Promise<string[]> {
  if (await isRunFolder(root)) return [""];
  const found: string[] = [];
  let level = [""];
  // By their real paths: links may lead round in circles.
  const looked = new Set<string>();
  for (let depth = 0; depth < MAX_DEPTH && level.length > 0; depth++) {
    const next: string[] = [];
    for (const folder of level) {
      if (looked.size >= MAX_FOLDERS) return found;
      const real = await realPath(joinPath(root, folder));
      if (looked.has(real)) continue;
      looked.add(real);
      const names = await namesIn(joinPath(root, folder));
      const inside = names.map((name) => (folder === "" ? name : `${folder}/${name}`));
      for (const each of inside) (await isRunFolder(joinPath(root, each))) ? found.push(each) : next.push(each);
    }
    level = next;
  }
  return found;
}

/** Folders in a folder, other than hidden ones; none where it cannot be read, as when it has just gone. */
async function namesIn(folder: string): Promise<string[]> {
  const folders: string[] = [];
  try {
    if (!(await isDirectory(folder))) return [];
    for (const name of await listFolder(folder)) {
      if (!name.startsWith(".") && (await isDirectory(joinPath(folder, name)))) folders.push(name);
    }
  } catch (error) {
    if (!(error instanceof HighrankError)) throw error;
  }
  return folders;
}

/** When a run was begun, in ISO format; empty where that cannot be read. */
async function startOf(folder: string): Promise<string> {
  try {
    const { started } = await readJsonObject(await checkpointPath(folder, "env.json"));
    return typeof started === "string" ? started : "";
  } catch (error) {
    if (!(error instanceof HighrankError)) throw error;
    return "";
  }
}
