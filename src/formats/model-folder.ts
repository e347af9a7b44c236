import {
  baseName,
  copyFile,
  exists,
  folderOf,
  isDirectory,
  joinPath,
  listFolder,
  makeFolder,
  readText,
  writeFileAtomic,
} from "#platform";
import { CheckpointError } from "../base/errors.js";
import { isObject, kindOf, shortened, shownValue } from "../base/json.js";
import { type FolderOptions, writeFolder } from "../files/checksums.js";
import { checkpointFault } from "../files/faults.js";
import { readJsonObject, toJsonText } from "../files/json-file.js";
import { type LazyTensor, readHostTensor, type TensorToWrite } from "../files/lazy-tensor.js";
import { checkpointPath, orCheckpointError } from "../files/open-file.js";
import { isPickleName, pickleError } from "../files/pickle.js";
import { openSafetensors, storedBytes, writeSafetensors } from "../files/safetensors.js";
import { readSafetensorsHeader, type SafetensorsDType } from "../files/safetensors-header.js";
import { openGgufModel } from "../gguf/gguf-model.js";
import { isGgufName, openGguf } from "../gguf/open-gguf.js";
import type { HostTensor } from "../tensor/dtype.js";

const CONFIG = "config.json";
const WEIGHTS = "model.safetensors";
const INDEX = "model.safetensors.index.json";

/** Content of a Hugging Face model folder, without its weights. */
interface ModelFolderTexts {
  /** Content of config.json. */
  readonly config: Record<string, unknown>;
  /** Text of tokenizer.json, if present. */
  readonly tokenizerJson?: string;
  /** Text of tokenizer_config.json, if present. */
  readonly tokenizerConfig?: string;
}

/** A plain Hugging Face model folder; names are as on disk. */
export interface ModelFolder extends ModelFolderTexts {
  readonly tensors: ReadonlyMap<string, HostTensor>;
}

/** A Hugging Face model folder whose weights are read on request; names are as on disk. */
export interface OpenModelFolder extends ModelFolderTexts {
  /** In the order of the files, and of the bytes in each. */
  readonly tensors: ReadonlyMap<string, LazyTensor & { readonly fileType?: SafetensorsDType }>;
}

/** Content to write to a model folder. */
export interface ModelFolderContent {
  readonly config: Readonly<Record<string, unknown>>;
  /** In memory or lazy, each with its type in the file; those of an open folder pass through unchanged. */
  readonly tensors: ReadonlyMap<string, TensorToWrite>;
  /**
   * Weights of more bytes than this are split into several files with an index. No file is larger unless a single
   * tensor is. Default: one file.
   */
  readonly shardBytes?: number;
  /** More files by name: tokenizer.json, tokenizer_config.json, generation_config.json. Text is written as UTF-8. */
  readonly files?: ReadonlyMap<string, string | Uint8Array>;
}

/**
 * Writes config.json, the weights and the given files; the folder appears whole or not at all. Lazy tensors are read
 * and written one after another.
 * @throws ConfigError if the folder holds files already and `replace` is not set; CheckpointError for weights that are
 * not finite.
 */
export async function writeModelFolder(
  folder: string,
  { config, tensors, shardBytes = Number.POSITIVE_INFINITY, files = new Map() }: ModelFolderContent,
  options: FolderOptions = {},
): Promise<void> {
  await writeFolder(
    folder,
    async (partial) => {
      await writeTexts(partial, config, files);
      const shards = fillShards(tensors, shardBytes);
      if (shards.length === 1)
        await writeSafetensors(joinPath(partial, WEIGHTS), tensors, undefined, { isModel: true });
      else await writeShards(partial, shards);
    },
    options,
  );
}

/**
 * Writes a model folder with the weight files of another one, byte for byte and under their names.
 * @throws CheckpointError as `writeModelFolder`, and for invalid weight files.
 */
export async function copyModelFolder(
  folder: string,
  from: string,
  { config, files = new Map() }: Omit<ModelFolderContent, "tensors" | "shardBytes">,
  options: FolderOptions = {},
): Promise<void> {
  const weights = [...(await weightFiles(from)).keys()];
  const index = await checkpointPath(from, INDEX);
  const isSharded = !weights.some((path) => baseName(path) === WEIGHTS);
  await writeFolder(
    folder,
    async (partial) => {
      await writeTexts(partial, config, files);
      for (const path of isSharded ? [...weights, index] : weights) {
        await copyFile(path, joinPath(partial, baseName(path)));
      }
    },
    options,
  );
}

async function writeTexts(
  folder: string,
  config: ModelFolderContent["config"],
  files: NonNullable<ModelFolderContent["files"]>,
): Promise<void> {
  await writeFileAtomic(joinPath(folder, CONFIG), toJsonText(config, CONFIG));
  await writeFiles(folder, files);
}

/** Writes files by name, which may begin with that of a folder. */
export async function writeFiles(folder: string, files: NonNullable<ModelFolderContent["files"]>): Promise<void> {
  for (const [name, content] of files) {
    const path = joinPath(folder, name);
    await makeFolder(folderOf(path));
    await writeFileAtomic(path, content);
  }
}

/** Splits the tensors, in their order, into parts of at most so many bytes or of one tensor. */
function fillShards(tensors: ReadonlyMap<string, TensorToWrite>, shardBytes: number): Map<string, TensorToWrite>[] {
  const shards = [new Map<string, TensorToWrite>()];
  let filled = 0;
  for (const [name, tensor] of tensors) {
    const bytes = storedBytes(tensor);
    if (filled > 0 && filled + bytes > shardBytes) {
      shards.push(new Map());
      filled = 0;
    }
    shards.at(-1)!.set(name, tensor);
    filled += bytes;
  }
  return shards;
}

async function writeShards(folder: string, shards: readonly Map<string, TensorToWrite>[]): Promise<void> {
  const number = (shard: number): string => String(shard).padStart(5, "0");
  const weightMap: [string, string][] = [];
  let totalSize = 0;
  for (const [index, shard] of shards.entries()) {
    const file = `model-${number(index + 1)}-of-${number(shards.length)}.safetensors`;
    await writeSafetensors(joinPath(folder, file), shard, undefined, { isModel: true });
    for (const [name, tensor] of shard) {
      weightMap.push([name, file]);
      totalSize += storedBytes(tensor);
    }
  }
  const index = { metadata: { total_size: totalSize }, weight_map: Object.fromEntries(weightMap.sort()) };
  await writeFileAtomic(joinPath(folder, INDEX), toJsonText(index, INDEX));
}

/**
 * Checks a model folder, with its weights in one file or in shards, so that its tensors can be read one by one. Nothing
 * stays open. A GGUF file stands for a folder of its model, without the texts of a tokenizer.
 * @throws CheckpointError listing everything that is missing or wrong; pickle files are refused. As `openGgufModel`.
 */
export async function openModelFolder(folder: string): Promise<OpenModelFolder> {
  if (isGgufName(folder) && !(await isDirectory(folder))) return openGgufModel(folder);
  const files = await weightFiles(folder);
  const config = await readJsonObject(await checkpointPath(folder, CONFIG));
  const tensors = new Map<string, LazyTensor>();
  for (const [path, names] of files) {
    for (const [name, tensor] of (await openSafetensors(path, { names })).tensors) tensors.set(name, tensor);
  }
  const tokenizerJson = await textIfPresent(await checkpointPath(folder, "tokenizer.json"));
  const tokenizerConfig = await textIfPresent(await checkpointPath(folder, "tokenizer_config.json"));
  return {
    config,
    tensors,
    ...(tokenizerJson !== undefined && { tokenizerJson }),
    ...(tokenizerConfig !== undefined && { tokenizerConfig }),
  };
}

/** Reads a whole model folder. @throws CheckpointError as `openModelFolder` and the reading of tensors. */
export async function readModelFolder(folder: string): Promise<ModelFolder> {
  const { tensors: stored, ...texts } = await openModelFolder(folder);
  const tensors = new Map<string, HostTensor>();
  for (const [name, tensor] of stored) tensors.set(name, await readHostTensor(tensor));
  return { ...texts, tensors };
}

/**
 * Finds the files with a model folder's weights, and the names to read from each. Headers are checked, no weight is
 * read.
 * @throws CheckpointError if the folder has no weights, or a header or the index is invalid.
 */
export async function weightFiles(folder: string): Promise<Map<string, readonly string[]>> {
  if (!(await isDirectory(folder))) {
    if (isGgufName(folder)) return new Map((await openGguf(folder)).parts);
    if (isPickleName(folder) && (await exists(folder))) throw pickleError(folder, [folder]);
    throw new CheckpointError(`${folder} must be a model folder with ${CONFIG} and ${WEIGHTS}, but is no folder`);
  }
  const present = await listFolder(folder);
  if (present.includes(WEIGHTS)) {
    const path = await checkpointPath(folder, WEIGHTS);
    const { entries } = await readSafetensorsHeader(path);
    return new Map([[path, entries.map(({ name }) => name)]]);
  }
  if (present.includes(INDEX)) return shards(folder, present);
  const pickles = present.filter(isPickleName);
  if (pickles.length > 0) throw pickleError(folder, pickles);
  const [packed] = present.filter(isGgufName);
  if (packed !== undefined)
    throw new CheckpointError(`${folder} holds its model in a GGUF file; name that, as ${joinPath(folder, packed)}`);
  throw new CheckpointError(
    `${folder} must hold ${WEIGHTS} or ${INDEX}; it holds ${present.join(", ") || "nothing"}; check the path`,
  );
}

/** Reads the index of a sharded model: `weight_map` names the file of every tensor. */
async function shards(folder: string, present: readonly string[]): Promise<Map<string, readonly string[]>> {
  const indexPath = await checkpointPath(folder, INDEX);
  const files = new Set(present);
  const { weight_map: weightMap } = await readJsonObject(indexPath);
  if (!isObject(weightMap))
    throw new CheckpointError(`${indexPath}: weight_map must be an object, not ${kindOf(weightMap)}`);
  const namesByFile = new Map<string, string[]>();
  const faults = new Set<string>();
  for (const [name, file] of Object.entries(weightMap)) {
    if (typeof file !== "string" || /[/\\]/.test(file) || !file.endsWith(".safetensors")) {
      faults.add(`"${shortened(name)}" must lie in a .safetensors file of this folder, not in ${shownValue(file)}`);
    } else if (!files.has(file)) {
      faults.add(`${shortened(file)} is missing`);
    } else {
      if (!namesByFile.has(file)) namesByFile.set(file, []);
      namesByFile.get(file)!.push(name);
    }
  }
  const paths = new Map<string, readonly string[]>();
  for (const [file, names] of namesByFile) {
    const path = await checkpointPath(folder, file);
    paths.set(path, names);
    const { entries } = await readSafetensorsHeader(path);
    const held = new Set(entries.map((entry) => entry.name));
    for (const name of names) if (!held.has(name)) faults.add(`${file} does not hold "${shortened(name)}"`);
  }
  if (faults.size > 0) throw checkpointFault(indexPath, [...faults]);
  return paths;
}

async function textIfPresent(path: string): Promise<string | undefined> {
  return (await exists(path)) ? orCheckpointError(readText(path)) : undefined;
}
