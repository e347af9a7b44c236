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

/** Keys of numbers that Hugging Face's configs accept only as floats. */
const FLOATS = [
  ...["initializer_range", "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "attn_logit_softcapping"],
  ...["final_logit_softcapping", "llm_int8_threshold"],
] as const;
/** A line with such a number that is whole: in Python an integer is no float. */
const INTEGER_FOR_FLOAT = new RegExp(`^( *"(?:${FLOATS.join("|")})": -?\\d+)(?=,?$)`, "gm");

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
