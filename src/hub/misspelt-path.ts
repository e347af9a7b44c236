import { exists, isDirectory, joinPath, listFolder } from "#platform";
import { suggest } from "../base/suggest.js";

/** Ends of names of files that are named as models. */
const MODEL_FILE = /\.(gguf|safetensors|onnx|bin|pth?|json)$/i;

/**
 * The fault of a name of the hub, `organisation/name`, that is probably the misspelt path of something here: it ends as
 * files do, its first part is a folder, or it is almost the name of a folder that has the second. Null for others.
 */
export async function misspeltPath(text: string): Promise<string | null> {
  const [folder, name] = text.split("/") as [string, string];
  if (await isDirectory(folder)) return `there is no such file or folder in ${folder}; check the path`;
  if (MODEL_FILE.test(name)) return "there is no such file; check the path";
  const near = suggest(folder, await listFolder("."));
  const meant = near === undefined ? undefined : joinPath(near, name);
  if (meant === undefined || !(await exists(meant))) return null;
  return `there is no such file or folder; did you mean ${meant}`;
}
