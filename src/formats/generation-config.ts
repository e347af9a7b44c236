import { exists, joinPath } from "#platform";
import { CheckpointError } from "../base/errors.js";
import { shownValue } from "../base/json.js";
import { readJsonObject } from "./json-file.js";
import { checkpointPath } from "./open-file.js";

/** Files of a model folder with generation settings, in order of precedence. */
const FILES = ["generation_config.json", "config.json"];

/**
 * Reads the tokens that end a generated text: `eos_token_id`, one or several, of generation_config.json or else of
 * config.json; none if both lack it.
 * @throws CheckpointError if it is anything else.
 */
export async function readEndIds(folder: string): Promise<readonly number[]> {
  for (const name of FILES) {
    if (!(await exists(joinPath(folder, name)))) continue;
    const path = await checkpointPath(folder, name);
    const { eos_token_id: given } = await readJsonObject(path);
    if (given === undefined || given === null) continue;
    const ids: readonly unknown[] = Array.isArray(given) ? given : [given];
    if (ids.every((id): id is number => Number.isSafeInteger(id) && (id as number) >= 0)) return ids;
    throw new CheckpointError(
      `${path}: eos_token_id must be a token's number or a list of them, got ${shownValue(given)}`,
    );
  }
  return [];
}
