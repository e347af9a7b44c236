import { exists, readText } from "#platform";
import { CheckpointError } from "../base/errors.js";
import { MAX_JSON_BYTES, parseJsonObject } from "../base/json.js";
import { orCheckpointError } from "./open-file.js";

/**
 * Reads the object in a JSON file.
 * @throws CheckpointError if it is missing, not UTF-8, not JSON, not an object, or above 100 MB.
 */
export async function readJsonObject(path: string): Promise<Record<string, unknown>> {
  if (!(await exists(path))) throw new CheckpointError(`${path} is missing; check the path or copy the folder whole`);
  const text = await orCheckpointError(readText(path, { maxBytes: MAX_JSON_BYTES }));
  return parseJsonObject(text, path);
}

/** A line with a number that Hugging Face accepts only as a float, which an integer is not in Python. */
const INTEGER_FOR_FLOAT = /^( *"llm_int8_threshold": -?\d+)(?=,?$)/gm;

/**
 * Formats JSON like Hugging Face: two spaces, a newline at the end.
 * @throws CheckpointError for numbers that JSON cannot hold.
 */
export function toJsonText(value: unknown, where: string): string {
  const checked = JSON.stringify(
    value,
    (key, entry: unknown) => {
      if (typeof entry === "number" && !Number.isFinite(entry)) {
        throw new CheckpointError(`${where}: "${key}" is ${entry}, which JSON cannot hold; store null or leave it out`);
      }
      return entry;
    },
    2,
  );
  return `${checked.replace(INTEGER_FOR_FLOAT, "$1.0")}\n`;
}
