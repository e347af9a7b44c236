import { baseName, sha256, sha256File } from "#platform";
import { weightFiles } from "./model-folder.js";

/**
 * SHA-256 of the weights of a model folder, to know it again: over a line for each weight file, in the order of their
 * names, of the SHA-256 of its content and its name. `sha256sum *.safetensors | sha256sum` prints the same where the
 * folder holds no other such files.
 * @param known SHA-256 of files that were read already, by name.
 * @throws CheckpointError where the folder holds no weights that can be read.
 */
export async function hashModelFolder(folder: string, known: ReadonlyMap<string, string> = new Map()): Promise<string> {
  const lines: string[] = [];
  for (const path of [...(await weightFiles(folder)).keys()].sort()) {
    const name = baseName(path);
    lines.push(`${known.get(name) ?? (await sha256File(path))}  ${name}\n`);
  }
  return sha256(new TextEncoder().encode(lines.join("")));
}
