import { exists, isDirectory, listFolder, readBytes } from "#platform";
import { checkpointPath } from "../checkpoints/open-file.js";
import { ConfigError } from "../tensor/errors.js";

/** @throws ConfigError if there is something at the path that a new folder would replace. */
export async function requireNewFolder(out: string): Promise<void> {
  if (!(await exists(out))) return;
  if (!(await isDirectory(out))) throw new ConfigError(`out: ${out} is a file; name a folder`);
  if ((await listFolder(out)).length > 0) {
    throw new ConfigError(`out: ${out} is not empty, and nothing in it is replaced; name another folder`);
  }
}

/** What transformers and others write beside the weights for a model's tokenizer and its way of generating. */
const COMPANIONS = [
  ...["tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json"],
  ...["vocab.json", "merges.txt", "chat_template.jinja", "chat_template.json", "generation_config.json"],
];

/** The files of a model folder that go with any copy of the model, byte for byte. */
export async function companionFiles(folder: string): Promise<Map<string, Uint8Array>> {
  const present = new Set(await listFolder(folder));
  const files = new Map<string, Uint8Array>();
  for (const name of COMPANIONS)
    if (present.has(name)) files.set(name, await readBytes(await checkpointPath(folder, name)));
  return files;
}
