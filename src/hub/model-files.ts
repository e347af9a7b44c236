import { isPickleName, pickleError } from "../checkpoints/pickle.js";
import { CheckpointError } from "../tensor/errors.js";

/** A file of a model on the hub. */
export interface HubFile {
  readonly path: string;
  readonly size: number;
  /** Of its content: SHA-256 for large files, which git does not hold itself, or git's own hash. */
  readonly hash: string;
}

const WEIGHTS = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const ADAPTER_CONFIG = "adapter_config.json";
const ADAPTER_WEIGHTS = "adapter_model.safetensors";

/** What is read beside the weights, or goes with a model that is written from this one. */
const BESIDE: readonly RegExp[] = [
  /^(config|generation_config|special_tokens_map|added_tokens|vocab|chat_template)\.json$/,
  /^tokenizer[\w-]*\.(json|model)$/,
  /^(merges\.txt|chat_template\.jinja)$/,
];

/** What to download of a model: files, and the index that names the others, where its weights are in several. */
export interface Selection {
  readonly files: readonly HubFile[];
  readonly index: HubFile | undefined;
}

/** Of a model or an adapter what highrank reads. @throws CheckpointError where there are no weights that it reads. */
export function selectFiles(name: string, listed: readonly HubFile[]): Selection {
  const at = (path: string): HubFile | undefined => listed.find((file) => file.path === path);
  const beside = listed.filter(({ path }) => BESIDE.some((pattern) => pattern.test(path)));
  const [weights, index] = [at(WEIGHTS), at(INDEX)];
  if (weights !== undefined) return { files: [...beside, weights], index: undefined };
  if (index !== undefined) return { files: beside, index };
  const [adapterConfig, adapter] = [at(ADAPTER_CONFIG), at(ADAPTER_WEIGHTS)];
  if (adapterConfig !== undefined && adapter !== undefined) {
    return { files: [...beside, adapterConfig, adapter], index: undefined };
  }
  const names = listed.map(({ path }) => path);
  const pickles = names.filter(isPickleName);
  if (pickles.length > 0) throw pickleError(name, pickles);
  throw new CheckpointError(
    `${name}: must hold ${WEIGHTS} or ${INDEX}; it holds ${names.join(", ") || "nothing"}; choose a model with safetensors files`,
  );
}

/** The files that an index says the weights are in. @throws CheckpointError for those that the model does not have. */
export function shardFiles(name: string, index: unknown, listed: readonly HubFile[]): HubFile[] {
  const map = (index as { readonly weight_map?: unknown } | null)?.weight_map;
  const shards = [...new Set(Object.values(typeof map === "object" && map !== null ? map : {}))];
  const found = listed.filter(({ path }) => path.endsWith(".safetensors") && shards.includes(path));
  if (shards.length > 0 && found.length === shards.length) return found;
  const missing = shards.filter((shard) => !found.some(({ path }) => path === shard));
  throw new CheckpointError(
    `${name}: ${INDEX} must name the files of the weights, each of them there; ` +
      `${missing.length === 0 ? "it names none" : `missing are ${missing.slice(0, 5).map(String).join(", ")}`}; ` +
      "choose another revision or model",
  );
}
