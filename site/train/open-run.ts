import { formatBytes } from "../../dist/base/numbers.js";
import { isAgreed } from "./page.ts";
import { DATA, exists, fileName, joinPath, RUNS, removeTree, store } from "./storage.ts";
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
  await removeTree(folder);
  const dataTop = `${DATA.slice(1)}/`;
  // What makes it a run comes last: half of one is none.
  const own = files.filter((each) => each.name.startsWith(top) && each !== mark && !each.name.startsWith(dataTop));
  for (const each of [...own, mark]) await put(each, joinPath(folder, inside(each.name.slice(top.length))));
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
