import { exists, joinPath } from "#platform";
import { CheckpointError } from "../base/errors.js";
import { shownValue } from "../base/json.js";
import { readJsonObject } from "../files/json-file.js";
import { checkpointPath } from "../files/open-file.js";
import { openGgufModel } from "../gguf/gguf-model.js";
import { isGgufName } from "../gguf/open-gguf.js";

export const GENERATION_CONFIG = "generation_config.json";

/** Files of a model folder with generation settings, in order of precedence. */
const FILES = [GENERATION_CONFIG, "config.json"];

/**
 * Reads the tokens that end a generated text: `eos_token_id`, one or several, of generation_config.json or else of
 * config.json; none if both lack it.
 * @throws CheckpointError if it is anything else.
 */
export async function readEndIds(folder: string): Promise<readonly number[]> {
  return (await readIds(folder, "eos_token_id")) ?? [];
}

/**
 * Reads the token that begins a generated text: `bos_token_id` of the same files; undefined if both lack it.
 * @throws CheckpointError if it is anything else.
 */
export async function readBeginId(folder: string): Promise<number | undefined> {
  return (await readIds(folder, "bos_token_id"))?.[0];
}

/** Settings of generation_config.json by which transformers chooses other tokens, and the values that choose none. */
const CHOICES: Readonly<Record<string, unknown>> = {
  repetition_penalty: 1,
  encoder_repetition_penalty: 1,
  no_repeat_ngram_size: 0,
  num_beams: 1,
  min_length: 0,
  guidance_scale: 1,
  bad_words_ids: null,
  sequence_bias: null,
  suppress_tokens: null,
  begin_suppress_tokens: null,
  forced_bos_token_id: null,
  forced_eos_token_id: null,
  exponential_decay_length_penalty: null,
};

/** Settings of generation_config.json that are not applied here, as `name value`; sampling has its own options. */
export async function unusedChoices(folder: string): Promise<readonly string[]> {
  if (isGgufName(folder) || !(await exists(joinPath(folder, GENERATION_CONFIG)))) return [];
  const config = await readJsonObject(await checkpointPath(folder, GENERATION_CONFIG));
  return Object.entries(CHOICES).flatMap(([name, neutral]) => {
    const value = config[name];
    const isNone = value == null || value === neutral || (Array.isArray(value) && value.length === 0);
    return isNone ? [] : [`${name} ${shownValue(value)}`];
  });
}

async function readIds(folder: string, key: string): Promise<readonly number[] | undefined> {
  if (isGgufName(folder)) return idsIn((await openGgufModel(folder)).config, key, folder);
  for (const name of FILES) {
    if (!(await exists(joinPath(folder, name)))) continue;
    const path = await checkpointPath(folder, name);
    const given = idsIn(await readJsonObject(path), key, path);
    if (given !== undefined) return given;
  }
  return undefined;
}

function idsIn(config: Readonly<Record<string, unknown>>, key: string, path: string): readonly number[] | undefined {
  const given = config[key];
  if (given === undefined || given === null) return undefined;
  const ids: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (ids.every((id): id is number => Number.isSafeInteger(id) && (id as number) >= 0)) return ids;
  throw new CheckpointError(`${path}: ${key} must be a token's number or a list of them, got ${shownValue(given)}`);
}

/**
 * The content of a generation_config.json in which these tokens end a text too, before those that did.
 * @throws CheckpointError if its `eos_token_id` is no token.
 */
export function withEndIds(
  config: Readonly<Record<string, unknown>>,
  endIds: readonly number[],
): Readonly<Record<string, unknown>> {
  const present = idsIn(config, "eos_token_id", GENERATION_CONFIG) ?? [];
  const missing = endIds.filter((id) => !present.includes(id));
  if (missing.length === 0) return config;
  const ids = [...missing, ...present];
  return { ...config, eos_token_id: ids.length === 1 ? ids[0] : ids };
}
