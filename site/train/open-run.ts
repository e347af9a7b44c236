import { formatBytes } from "../../dist/base/numbers.js";
import { isAgreed } from "./page.ts";
import { acquireLock, DATA, exists, fileName, joinPath, RUNS, store, writeFolderAtomic } from "./storage.ts";
import { filesIn, type ZippedFile } from "./zip-reader.ts";

/** The file by which a folder is known for a run. */
const MARK = "config.resolved.json";

/**
 * Takes a run out of a zip file, with the data that lie beside it; asks before it replaces one.
 * @returns its name; null if the visitor would rather not.
 * @throws Error in words for the visitor.
 */
export async function openRun(file: File): Promise<string | null> {
  const files = await filesIn(file);
  const mark = files.find(({ name }) => name === MARK || name.endsWith(`/${MARK}`));
  if (mark === undefined) throw new Error(`${file.name}: holds no run, which has a ${MARK}.`);
  const top = mark.name.slice(0, -MARK.length);
  const name = fileName(top.split("/").at(-2) ?? file.name.replace(/\.zip$/i, "")) || "run";
  const folder = joinPath(RUNS, name);
  if (await exists(joinPath(folder, MARK))) {
    const size = formatBytes(file.size);
    const text = `There is a run ${name} in this browser already. It goes, and that of the file, ${size}, takes its place.`;
    if (!(await isAgreed("Replace the run?", text, "Replace"))) return null;
  }
  const lock = await acquireLock(joinPath(folder, "lock")).catch(() => {
    throw new Error(`The run ${name} trains just now, here or in another tab: stop it first, or rename the file.`);
  });
  const dataTop = `${DATA.slice(1)}/`;
  const own = files.filter((each) => each.name.startsWith(top) && !each.name.startsWith(dataTop));
  const fill = async (beside: string): Promise<void> => {
    for (const each of own) await put(each, joinPath(beside, inside(each.name.slice(top.length))));
  };
  try {
    // A run that is there stays until all of the other has been read.
    await writeFolderAtomic(folder, fill, { replace: true });
  } finally {
    await lock.release();
  }
  for (const each of files.filter((one) => one.name.startsWith(dataTop))) {
    const path = joinPath(DATA, inside(each.name.slice(dataTop.length)));
    if (!(await exists(path))) await put(each, path);
  }
  return name;
}

/** A path that stays where it is put. @throws Error for one that leads out. */
function inside(path: string): string {
  if (path.split(/[/\\]/).includes("..") || path.startsWith("/")) throw new Error(`${path}: leads out of its folder.`);
  return path;
}

async function put(file: ZippedFile, path: string): Promise<void> {
  await store(path, file.pieces());
}
