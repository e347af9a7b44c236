import { baseName, sha256, sha256File } from "#platform";
import { weightFiles } from "./model-folder.js";

/**
 * SHA-256 of a model folder's weights, to recognize it later. It is the hash of one line per weight file, in the order
 * of their names, each with the SHA-256 of the content and the name. `sha256sum *.safetensors | sha256sum` prints the
 * same if the folder holds no other such files.
 * @param known SHA-256 of files that were read already, by name.
 * @throws CheckpointError if the folder holds no readable weights.
 */
export async function hashModelFolder(folder: string, known: ReadonlyMap<string, string> = new Map()): Promise<string> {
  const lines: string[] = [];
  for (const path of [...(await weightFiles(folder)).keys()].sort()) {
    const name = baseName(path);
    lines.push(`${known.get(name) ?? (await sha256File(path))}  ${name}\n`);
  }
  return sha256(new TextEncoder().encode(lines.join("")));
}

/** SHA-256 of a GGUF file, whatever its name; of one in parts, of a line for each with its SHA-256. */
export async function hashGgufFile(path: string): Promise<string> {
  const hashes: string[] = [];
  for (const part of (await weightFiles(path)).keys()) hashes.push(await sha256File(part));
  return hashes.length === 1
    ? hashes[0]!
    : sha256(new TextEncoder().encode(hashes.map((hash) => `${hash}\n`).join("")));
}
