import { exists, isDirectory, joinPath, listFolder, writeFileAtomic } from "#platform";
import { patternValues, selectModules } from "../adapters/target-modules.js";
import { FILLED_TEXT, requireEach } from "../base/arguments.js";
import { CheckpointError, ConfigError } from "../base/errors.js";
import { shortened, shownValue } from "../base/json.js";
import { append } from "../base/lists.js";
import { type FolderOptions, writeFolder } from "../files/checksums.js";
import { checkpointFault } from "../files/faults.js";
import { readJsonObject } from "../files/json-file.js";
import { readHostTensor } from "../files/lazy-tensor.js";
import { checkpointPath } from "../files/open-file.js";
import { isPickleName, pickleError } from "../files/pickle.js";
import { openSafetensors, writeSafetensors } from "../files/safetensors.js";
import type { StoredTensor } from "../files/stored-tensor.js";
import type { HostTensor } from "../tensor/dtype.js";
import { formatShape, sameShape } from "../tensor/shape.js";
import { asPeftTensor, MLX_WEIGHTS, mlxFields } from "./mlx-adapter.js";
import { writeFiles } from "./model-folder.js";
import { formatPeftConfig, type PeftConfig, type PeftSettings, parsePeftConfig } from "./peft-config.js";
import {
  type LoraPair,
  moduleOf,
  type PeftTensor,
  type PeftTensors,
  peftTensors,
  sortTensors,
} from "./peft-tensors.js";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";

/** Identity of the weights that an adapter was trained on. PEFT ignores it. */
export interface PeftBase {
  /** SHA-256 of the model folder by `hashModelFolder`, 64 hexadecimal digits; null if its name and revision suffice. */
  readonly sha256: string | null;
  /** Description of the base's quantizer in training; null for float32. */
  readonly quantizer: string | null;
  /** Type of the numbers in the base's files, such as `bfloat16`. Absent: what the quantizer says, or float32. */
  readonly storage?: string | undefined;
  /** SHA-256 of the GGUF file that the base was made of, 64 hexadecimal digits; absent if there is none. */
  readonly gguf?: string | undefined;
}

/** A LoRA adapter as PEFT stores it. */
export interface PeftAdapter
  extends PeftSettings,
    Pick<PeftTensors, "layers" | "modulesToSave">,
    Partial<Omit<PeftTensors, "layers" | "modulesToSave">> {
  /** Null if unknown. */
  readonly base: PeftBase | null;
  /** Names that adapted modules equal or end with after a dot, a Python regular expression, or `all-linear`. */
  readonly targetModules: readonly string[] | string;
}

/** Options of {@link writePeftAdapter}. */
export interface AdapterFolderOptions extends FolderOptions {
  /** Contents of the files beside the adapter, such as those of its tokenizer, by name. */
  readonly files?: ReadonlyMap<string, string | Uint8Array>;
}

/** An adapter as read, with all of its parts. */
export type ReadPeftAdapter = Required<PeftAdapter>;

/**
 * Writes a folder that PEFT loads; it appears whole or not at all.
 * @throws CheckpointError if shapes do not fit the rank; ConfigError if the folder holds files and `replace` is not set.
 */
export async function writePeftAdapter(
  folder: string,
  adapter: Omit<PeftAdapter, "base"> & Partial<Pick<PeftAdapter, "base">>,
  { files = new Map(), ...options }: AdapterFolderOptions = {},
): Promise<void> {
  const faults = layerFaults(adapter, adapter);
  for (const name of adapter.modulesToSave.keys()) {
    if (!name.includes("."))
      faults.push(`modulesToSave: "${name}" must be a parameter inside a module, as lm_head.weight`);
  }
  const base = adapter.base ?? null;
  if (base?.sha256 != null && !SHA256.test(base.sha256)) faults.push(baseFault(base.sha256));
  if (faults.length > 0) throw checkpointFault(`cannot write the adapter ${folder}`, faults);
  const modulesToSave = new Set(savedInFull(adapter).map(moduleOf));
  const config = formatPeftConfig({ ...adapter, modulesToSave: [...modulesToSave].sort() });
  const tensors = peftTensors(adapter);
  await writeFolder(
    folder,
    async (partial) => {
      await writeFileAtomic(joinPath(partial, CONFIG), config);
      const metadata = { format: "pt", ...baseMetadata(base) };
      await writeSafetensors(joinPath(partial, WEIGHTS), tensors, metadata, { isModel: true });
      await writeFiles(partial, files);
    },
    options,
  );
}

/** Parameters that an adapter holds in place of the base's, without the weights of the base under its LoRA tensors. */
export function savedInFull({ layers, embeddings, modulesToSave }: Omit<PeftAdapter, "base">): string[] {
  return [...modulesToSave.keys()].filter((name) => !layers.has(moduleOf(name)) && !embeddings?.has(moduleOf(name)));
}

/**
 * Reads a folder written by PEFT, `writePeftAdapter` or mlx-lm. If the file names no targets, they are the modules that
 * have tensors.
 * @throws CheckpointError listing every fault and every option that would silently change numbers.
 */
export async function readPeftAdapter(folder: string): Promise<ReadPeftAdapter> {
  requireEach("readPeftAdapter", FILLED_TEXT, { folder });
  const own = await checkpointPath(folder, WEIGHTS);
  const ofMlx = await checkpointPath(folder, MLX_WEIGHTS);
  const isOfMlx = !(await exists(own)) && (await exists(ofMlx));
  const path = isOfMlx ? ofMlx : own;
  if (!(await exists(path))) throw await missingWeights(folder, path);
  const faults: string[] = [];
  const fields = await readJsonObject(await checkpointPath(folder, CONFIG));
  const config = parsePeftConfig(isOfMlx ? mlxFields(fields, faults) : fields, faults);
  if (faults.length > 0) throw checkpointFault(`the adapter ${folder} cannot be used`, faults);
  const { tensors: stored, metadata } = await openSafetensors(path);
  const tensors = new Map<string, PeftTensor>();
  for (const [name, tensor] of stored) {
    const read = await readPeftTensor(tensor);
    tensors.set(...(isOfMlx ? asPeftTensor(name, read) : ([name, read] as const)));
  }
  const sorted = sortTensors(tensors, config, faults);
  const base = readBase(metadata, faults);
  append(
    faults,
    faultsOf(() => layerFaults(sorted, config)),
  );
  if (faults.length > 0) throw checkpointFault(`the adapter ${folder} cannot be used`, faults);
  return { ...config, targetModules: config.targetModules ?? [...sorted.layers.keys()], ...sorted, base };
}

/** Names of the folders in a folder that hold adapters: PEFT saves those that it has by name so. */
export async function namedAdapters(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of (await isDirectory(folder)) ? await listFolder(folder) : []) {
    if (await exists(joinPath(folder, name, CONFIG))) found.push(name);
  }
  return found.sort();
}

/** The reason why there is no adapter of PEFT, and the way to one. */
async function missingWeights(folder: string, path: string): Promise<CheckpointError> {
  const names = (await isDirectory(folder)) ? await listFolder(folder) : [];
  const pickles = names.filter(isPickleName);
  if (pickles.length > 0) return pickleError(folder, pickles);
  const named = await namedAdapters(folder);
  if (named.length > 0) {
    const adapters = named.length === 1 ? "adapter" : "adapters";
    return new CheckpointError(
      `${folder} holds the ${adapters} ${named.join(", ")} in folders of their own; ` +
        `name one of them, as ${joinPath(folder, named[0]!)}`,
    );
  }
  return new CheckpointError(`${path} is missing; name a folder with ${CONFIG} and ${WEIGHTS}`);
}

async function readPeftTensor(stored: StoredTensor): Promise<PeftTensor> {
  const { fileType } = stored;
  const tensor = await readHostTensor(stored);
  return fileType === "BF16" || fileType === "F16" ? { ...tensor, fileType } : tensor;
}

/** LoRA parameters of one module by the config. */
export interface LoraScaling {
  readonly rank: number;
  readonly alpha: number;
  /** Factor of loraB · loraA. */
  readonly scaling: number;
}

/** Rank, alpha and scaling of each of the modules. */
export function loraScalings(modules: Iterable<string>, config: PeftSettings): Map<string, LoraScaling> {
  // Patterns are compared with the name of the parameter where that is what is adapted.
  const names = new Map(
    [...modules].map((module) => [module, isParameterTarget(config, module) ? `${module}.weight` : module] as const),
  );
  const ranks = patternValues(names.values(), config.rankPattern ?? {}, config.rank);
  const alphas = patternValues(names.values(), config.alphaPattern ?? {}, config.alpha);
  return new Map(
    [...names].map(([module, name]) => {
      const [rank, alpha] = [ranks.get(name)!, alphas.get(name)!];
      return [module, { rank, alpha, scaling: config.useRslora ? alpha / Math.sqrt(rank) : alpha / rank }] as const;
    }),
  );
}

const SHA256 = /^[0-9a-f]{64}$/;

function baseFault(sha256: string, key = "base_sha256"): string {
  return `${key} must be 64 hexadecimal digits, not ${shownValue(sha256)}`;
}

/** The base as metadata of the tensors' file. */
function baseMetadata(base: PeftBase | null): Record<string, string> {
  if (base === null) return {};
  const { sha256, quantizer, storage, gguf } = base;
  return {
    ...(sha256 !== null && { base_sha256: sha256 }),
    ...(quantizer !== null && { base_quantizer: quantizer }),
    ...(storage !== undefined && { base_storage: storage }),
    ...(gguf !== undefined && { base_gguf: gguf }),
  };
}

function readBase(metadata: Readonly<Record<string, string>>, faults: string[]): PeftBase | null {
  const { base_sha256: sha256 = null, base_quantizer: quantizer = null, base_storage: storage } = metadata;
  const { base_gguf: gguf } = metadata;
  if (sha256 === null && quantizer === null) return null;
  if (sha256 !== null && !SHA256.test(sha256)) faults.push(baseFault(sha256));
  if (gguf !== undefined && !SHA256.test(gguf)) faults.push(baseFault(gguf, "base_gguf"));
  return { sha256, quantizer, ...(storage !== undefined && { storage }), ...(gguf !== undefined && { gguf }) };
}

type LayerRule = PeftSettings & Pick<PeftConfig, "targetModules">;

/** True for a module whose weight is adapted as a parameter: not a layer's input and output, but the tensor as such. */
export function isParameterTarget({ targetParameters = [] }: PeftSettings, module: string): boolean {
  return targetParameters.some((name) => `.${module}.weight`.endsWith(`.${name}`));
}

/**
 * True for the pair of a tied output projection, which ensure_weight_tying adds unnamed: that of the table, transposed.
 */
function isTiedPair(
  { tiesWeights = false }: PeftSettings,
  pair: LoraPair,
  embeddings: PeftTensors["embeddings"],
): boolean {
  return (
    tiesWeights &&
    [...embeddings.values()].some(({ loraA, loraB }) => {
      return (
        sameShape(pair.loraA.shape, [...loraB.shape].reverse()) &&
        sameShape(pair.loraB.shape, [...loraA.shape].reverse())
      );
    })
  );
}

/** The faults that a check finds; patterns that take too long are one. */
export function faultsOf(check: () => readonly string[]): readonly string[] {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return [error.text];
  }
}

function layerFaults(tensors: Pick<PeftTensors, "layers"> & Partial<PeftTensors>, config: LayerRule): string[] {
  const { layers, embeddings = new Map<string, LoraPair>() } = tensors;
  const others = [embeddings, tensors.tokens, tensors.biases, tensors.modulesToSave];
  const faults = layers.size === 0 && others.every((map) => !map?.size) ? ["there are no LoRA tensors"] : [];
  const scalings = loraScalings([...layers.keys(), ...embeddings.keys()], config);
  const { targetModules } = config;
  if (targetModules !== null) {
    const chosen = new Set(selectModules([...layers.keys(), ...embeddings.keys()], { ...config, targetModules }));
    const named = typeof targetModules === "string" ? targetModules : targetModules.join(", ");
    const targeted = new Set(selectModules(scalings.keys(), { targetModules }));
    for (const module of scalings.keys()) {
      if (chosen.has(module) || isParameterTarget(config, module)) continue;
      if (layers.has(module) && isTiedPair(config, layers.get(module)!, embeddings)) continue;
      const reason = targeted.has(module)
        ? "exclude_modules or layers_to_transform leaves it out"
        : `target_modules (${shortened(named)}) does not name it`;
      faults.push(`${module} has LoRA tensors but ${reason}`);
    }
  }
  for (const name of config.targetParameters ?? []) {
    if ([...layers.keys()].some((module) => isParameterTarget({ ...config, targetParameters: [name] }, module)))
      continue;
    faults.push(`target_parameters names ${name}, but there are no tensors of the weight of such a linear layer`);
  }
  for (const [module, { loraA, loraB, magnitude, bias }] of [...layers, ...embeddings]) {
    const pair = layers.get(module);
    const isTied = pair !== undefined && isTiedPair(config, pair, embeddings);
    const rank = isTied ? loraA.shape[0] : scalings.get(module)!.rank;
    const isMatrix = ({ dtype, shape }: HostTensor, rankAxis: 0 | 1): boolean =>
      dtype === "float32" && shape.length === 2 && shape[rankAxis] === rank;
    if (!isMatrix(loraA, 0))
      faults.push(`${module}: lora_A must be float32 of shape (${rank}, in), not ${describeTensor(loraA)}`);
    if (!isMatrix(loraB, 1))
      faults.push(`${module}: lora_B must be float32 of shape (out, ${rank}), not ${describeTensor(loraB)}`);
    const out = loraB.shape[0]!;
    for (const [name, vector] of [
      ["lora_magnitude_vector", magnitude],
      ["lora_B.bias", bias],
    ] as const) {
      if (vector === undefined || (vector.dtype === "float32" && sameShape(vector.shape, [out]))) continue;
      faults.push(`${module}: ${name} must be float32 of shape (${out}), not ${describeTensor(vector)}`);
    }
  }
  return faults;
}

/** Dtype and shape, for messages. */
export function describeTensor({ dtype, shape }: Pick<HostTensor, "dtype" | "shape">): string {
  return `${dtype} of shape ${shortened(formatShape(shape))}`;
}
