import { exists, joinPath } from "#platform";
import { CheckpointError } from "../base/errors.js";
import { isObject } from "../base/json.js";
import { readJsonObject } from "../files/json-file.js";
import { isPickleName, pickleError } from "../files/pickle.js";

/** A file of a model on the hub. */
export interface HubFile {
  /** A name, behind that of the folder for a chat template. */
  readonly path: string;
  readonly size: number;
  /** Hash of the content: SHA-256 for large files, which git does not hold itself, or git's own hash. */
  readonly hash: string;
}

/** Parts of a model to download: everything that highrank reads, or only its tokenizer and chat template. */
export type WantedParts = "model" | "tokenizer";

const WEIGHTS = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const ADAPTER_CONFIG = "adapter_config.json";
const ADAPTER_WEIGHTS = "adapter_model.safetensors";
const TOKENIZER = "tokenizer.json";

/** Files that are read beside the weights, or copied along with a model made from this one. */
const BESIDE: readonly RegExp[] = [
  /^(config|generation_config|special_tokens_map|added_tokens|vocab|chat_template)\.json$/,
  /^tokenizer[\w-]*\.(json|model)$/,
  // The card states the licence.
  /^(README\.md|merges\.txt|chat_template\.jinja|additional_chat_templates\/[^/]+\.jinja)$/,
];

/** Files to download, and the index that names more if the weights are in several files. */
export interface Selection {
  readonly files: readonly HubFile[];
  readonly index: HubFile | undefined;
}

/**
 * Selects the files that highrank reads of a model or an adapter, the weights last.
 * @throws CheckpointError if there are no readable weights, or no tokenizer although one is wanted.
 */
export function selectFiles(name: string, listed: readonly HubFile[], wanted: WantedParts): Selection {
  const at = (path: string): HubFile | undefined => listed.find((file) => file.path === path);
  const names = listed.map(({ path }) => path);
  const beside = listed.filter(({ path }) => BESIDE.some((pattern) => pattern.test(path)));
  if (wanted === "tokenizer") {
    if (at(TOKENIZER) !== undefined) return { files: beside, index: undefined };
    throw unfit(name, TOKENIZER, names, "that");
  }
  const [weights, index] = [at(WEIGHTS), at(INDEX)];
  if (weights !== undefined) return { files: [...beside, weights], index: undefined };
  if (index !== undefined) return { files: beside, index };
  const [adapterConfig, adapter] = [at(ADAPTER_CONFIG), at(ADAPTER_WEIGHTS)];
  if (adapterConfig !== undefined && adapter !== undefined) {
    return { files: [...beside, adapterConfig, adapter], index: undefined };
  }
  const pickles = names.filter(isPickleName);
  if (pickles.length > 0) throw pickleError(name, pickles);
  throw unfit(name, `${WEIGHTS} or ${INDEX}`, names, "safetensors files");
}

function unfit(name: string, needed: string, names: readonly string[], what: string): CheckpointError {
  return new CheckpointError(
    `${name}: must hold ${needed}; it holds ${names.join(", ") || "nothing"}; choose a model with ${what}`,
  );
}

/** The weight files that an index names. @throws CheckpointError for files that the model does not have. */
export function shardFiles(name: string, index: unknown, listed: readonly HubFile[]): HubFile[] {
  const shards = shardNames(index);
  const found = listed.filter(({ path }) => path.endsWith(".safetensors") && shards.includes(path));
  if (shards.length > 0 && found.length === shards.length) return found;
  const missing = shards.filter((shard) => !found.some(({ path }) => path === shard));
  throw new CheckpointError(
    `${name}: ${INDEX} must name the files of the weights, each of them a .safetensors file of the model; ` +
      `${missing.length === 0 ? "it names none" : `these are not: ${missing.slice(0, 5).join(", ")}`}; ` +
      "choose another revision or model",
  );
}

/** True if the folder has these parts, judging by the names of its files: a file is never there in part. */
export async function hasParts(folder: string, wanted: WantedParts): Promise<boolean> {
  const has = (name: string): Promise<boolean> => exists(joinPath(folder, name));
  if (wanted === "tokenizer") return has(TOKENIZER);
  if ((await has(WEIGHTS)) || (await has(ADAPTER_WEIGHTS))) return true;
  if (!(await has(INDEX))) return false;
  for (const shard of shardNames(await readJsonObject(joinPath(folder, INDEX)))) if (!(await has(shard))) return false;
  return true;
}

function shardNames(index: unknown): string[] {
  const map = isObject(index) && isObject(index.weight_map) ? index.weight_map : {};
  return [...new Set(Object.values(map).map(String))];
}
