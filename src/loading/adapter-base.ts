import { absolutePath, exists, folderOf, isDirectory, joinPath, realPath } from "#platform";
import { hashGgufFile, hashModelFolder } from "../formats/base-hash.js";
import type { ReadPeftAdapter } from "../formats/peft.js";
import { isGgufName } from "../gguf/open-gguf.js";
import { parseHubName } from "../hub/hub-name.js";

/** Parts of a path, and folders around an adapter, that are looked through. */
const MOST_PARTS = 16;

/**
 * The base that an adapter names: a path, or a name of the hub with the revision, where it has one. A path that leads
 * nowhere, or to other weights than the adapter was trained on, may have been moved together with the adapter: then it
 * is looked for around the adapter, by the end of its path. Null where the adapter names none.
 */
export async function baseOfAdapter(
  folder: string,
  { baseModel, baseRevision, base }: Pick<ReadPeftAdapter, "baseModel" | "baseRevision" | "base">,
  onNotice: (text: string) => void = () => {},
): Promise<string | null> {
  if (baseModel === null) return null;
  const isThere = await exists(baseModel);
  if (!isThere && baseRevision !== null) return `${baseModel}@${baseRevision}`;
  const found = await withWeights([...(isThere ? [baseModel] : []), ...(await movedBases(folder, baseModel))], base);
  if (found === undefined) return baseModel;
  const isBeside = absolutePath(found) === joinPath(folderOf(absolutePath(folder)), "base");
  if (found !== baseModel && !isBeside) {
    onNotice(
      `${folder}: names ${baseModel} as its base, which ${isThere ? "holds other weights" : "is not there"}; ` +
        `${found} takes its place`,
    );
  }
  return found;
}

/** The first of several models with the weights that an adapter was trained on; the first of all if none has them. */
async function withWeights(models: readonly string[], trainedOn: ReadPeftAdapter["base"]): Promise<string | undefined> {
  if (models.length > 1 && trainedOn !== null) {
    const { sha256, gguf } = trainedOn;
    for (const model of models) {
      const hash = await (isGgufName(model) ? hashGgufFile(model) : hashModelFolder(model));
      if (hash === sha256 || hash === gguf) return model;
    }
  }
  return models[0];
}

/** Models in the folders around an adapter that lie there as the path of its base ends; the longest end first. */
async function movedBases(folder: string, baseModel: string): Promise<string[]> {
  const parts = baseModel.split(/[/\\]+/).filter((part) => part !== "");
  // The end of a name of the hub is no path.
  const shortest = parseHubName(baseModel) === undefined ? 1 : parts.length;
  const found = new Map<string, string>();
  const own = (await exists(baseModel)) ? await realPath(baseModel) : undefined;
  for (let length = Math.min(parts.length, MOST_PARTS); length >= shortest; length--) {
    const end = parts.slice(-length).join("/");
    for (const around of foldersAround(folder)) {
      const place = joinPath(around, end);
      if (!(await isModel(place))) continue;
      const real = await realPath(place);
      if (real !== own && !found.has(real)) found.set(real, place);
    }
  }
  return [...found.values()];
}

function foldersAround(folder: string): string[] {
  const folders: string[] = [];
  for (let at = absolutePath(folder); folders.length < MOST_PARTS; at = folderOf(at)) {
    folders.push(at);
    if (at === folderOf(at)) break;
  }
  return folders;
}

async function isModel(place: string): Promise<boolean> {
  if (isGgufName(place)) return (await exists(place)) && !(await isDirectory(place));
  return exists(joinPath(place, "config.json"));
}
