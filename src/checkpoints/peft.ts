import { exists, isDirectory, joinPath, listFolder, writeFileAtomic } from "#platform";
import type { HostTensor } from "../tensor/dtype.js";
import { CheckpointError } from "../tensor/errors.js";
import { shortened, shownValue } from "../tensor/json.js";
import { formatShape } from "../tensor/shape.js";
import { type FolderOptions, writeFolder } from "./checksums.js";
import { checkpointFault } from "./faults.js";
import { readJsonObject } from "./json-file.js";
import { checkpointPath } from "./open-file.js";
import { formatPeftConfig, type PeftConfig, type PeftSettings, parsePeftConfig } from "./peft-config.js";
import { isPickleName, pickleError } from "./pickle.js";
import { readSafetensors, writeSafetensors } from "./safetensors.js";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";
const PREFIX = "base_model.model.";

/** The two factors of one module's update, ΔW = scaling · loraB · loraA, in float32. */
export interface LoraPair<T = HostTensor> {
  readonly loraA: T; // (rank, inFeatures)
  readonly loraB: T; // (outFeatures, rank)
}

/** Which weights an adapter was trained on. PEFT does not look at it. */
export interface PeftBase {
  /** Of the model folder, as `hashModelFolder` computes it: 64 hexadecimal digits. */
  readonly sha256: string;
  /** What they were quantized with in training, in words; null for float32. */
  readonly quantizer: string | null;
}

/** A LoRA adapter as PEFT stores it. */
export interface PeftAdapter extends PeftSettings {
  /** Null where the adapter does not say. */
  readonly base: PeftBase | null;
  /** Names that adapted modules equal or end with after a dot. */
  readonly targetModules: readonly string[];
  /** By module path in the base model, such as `model.layers.0.self_attn.q_proj`. */
  readonly layers: ReadonlyMap<string, LoraPair>;
  /** Fully trained parameters, by path in the base model, such as `lm_head.weight`. */
  readonly modulesToSave: ReadonlyMap<string, HostTensor>;
}

/** The factors under PEFT's tensor names. */
export function peftTensors(layers: ReadonlyMap<string, LoraPair>): Map<string, HostTensor> {
  const tensors = new Map<string, HostTensor>();
  for (const [module, { loraA, loraB }] of layers) {
    tensors.set(`${PREFIX}${module}.lora_A.weight`, loraA);
    tensors.set(`${PREFIX}${module}.lora_B.weight`, loraB);
  }
  return tensors;
}

/**
 * Writes a folder that PEFT loads; it appears whole or not at all.
 * @throws CheckpointError if shapes do not fit the rank, or if the folder holds files and `replace` does not let them go.
 */
export async function writePeftAdapter(
  folder: string,
  adapter: Omit<PeftAdapter, "base"> & Partial<Pick<PeftAdapter, "base">>,
  options: FolderOptions = {},
): Promise<void> {
  const faults = layerFaults(adapter.layers, adapter.rank, adapter.targetModules);
  for (const name of adapter.modulesToSave.keys()) {
    if (!name.includes("."))
      faults.push(`modulesToSave: "${name}" must be a parameter inside a module, as lm_head.weight`);
  }
  const base = adapter.base ?? null;
  if (base !== null && !SHA256.test(base.sha256)) faults.push(baseFault(base.sha256));
  if (faults.length > 0) throw checkpointFault(`cannot write the adapter ${folder}`, faults);
  const tensors = peftTensors(adapter.layers);
  for (const [parameter, tensor] of adapter.modulesToSave) tensors.set(PREFIX + parameter, tensor);
  const modulesToSave = new Set([...adapter.modulesToSave.keys()].map((name) => name.slice(0, name.lastIndexOf("."))));
  const config = formatPeftConfig({ ...adapter, modulesToSave: [...modulesToSave].sort() });
  await writeFolder(
    folder,
    async (partial) => {
      await writeFileAtomic(joinPath(partial, CONFIG), config);
      await writeSafetensors(joinPath(partial, WEIGHTS), tensors, { format: "pt", ...baseMetadata(base) });
    },
    options,
  );
}

/**
 * Reads a folder that PEFT or `writePeftAdapter` wrote. Where the file gives no list of targets, they are the modules that
 * have tensors. @throws CheckpointError that lists every fault and every option that would change numbers unnoticed.
 */
export async function readPeftAdapter(folder: string): Promise<PeftAdapter> {
  const path = await checkpointPath(folder, WEIGHTS);
  if (!(await exists(path))) {
    const pickles = (await isDirectory(folder)) ? (await listFolder(folder)).filter(isPickleName) : [];
    if (pickles.length > 0) throw pickleError(folder, pickles);
    throw new CheckpointError(`${path} is missing; name a folder with ${CONFIG} and ${WEIGHTS}`);
  }
  const faults: string[] = [];
  const config = parsePeftConfig(await readJsonObject(await checkpointPath(folder, CONFIG)), faults);
  if (faults.length > 0) throw checkpointFault(`the adapter ${folder} cannot be used`, faults);
  const { tensors, metadata } = await readSafetensors(path);
  const { layers, modulesToSave } = sortTensors(tensors, config, faults);
  const base = readBase(metadata, faults);
  faults.push(...layerFaults(layers, config.rank, config.targetModules));
  if (faults.length > 0) throw checkpointFault(`the adapter ${folder} cannot be used`, faults);
  return { ...config, targetModules: config.targetModules ?? [...layers.keys()], layers, modulesToSave, base };
}

const SHA256 = /^[0-9a-f]{64}$/;

function baseFault(sha256: string): string {
  return `base_sha256 must be 64 hexadecimal digits, not ${shownValue(sha256)}`;
}

/** The base as metadata of the file with the tensors. */
function baseMetadata(base: PeftBase | null): Record<string, string> {
  if (base === null) return {};
  const { sha256, quantizer } = base;
  return { base_sha256: sha256, ...(quantizer !== null && { base_quantizer: quantizer }) };
}

function readBase(metadata: Readonly<Record<string, string>>, faults: string[]): PeftBase | null {
  const { base_sha256: sha256, base_quantizer: quantizer = null } = metadata;
  if (sha256 === undefined) return null;
  if (!SHA256.test(sha256)) faults.push(baseFault(sha256));
  return { sha256, quantizer };
}

/** The pairs in a file of PEFT tensor names. What is no half of a pair is added to `faults`. */
export function peftLayers<T>(tensors: ReadonlyMap<string, T>, faults: string[]): Map<string, LoraPair<T>> {
  return sortTensors(tensors, { modulesToSave: [] }, faults).layers;
}

/** The tensors of an adapter's file by what they are. What is neither is added to `faults`. */
export function sortTensors<T>(
  tensors: ReadonlyMap<string, T>,
  { modulesToSave: saved }: Pick<PeftConfig, "modulesToSave">,
  faults: string[],
): { modulesToSave: Map<string, T>; layers: Map<string, LoraPair<T>> } {
  const halves = new Map<string, Partial<LoraPair<T>>>();
  const modulesToSave = new Map<string, T>();
  for (const [key, tensor] of tensors) {
    const name = parameterPath(key);
    const half = /^(.+)\.lora_([AB])\.weight$/.exec(name);
    if (half) {
      const module = half[1]!;
      halves.set(module, { ...halves.get(module), [half[2] === "A" ? "loraA" : "loraB"]: tensor });
    } else if (saved.some((module) => isInside(name, module))) {
      modulesToSave.set(name, tensor);
    } else {
      faults.push(`tensor "${key}" is neither half of a LoRA pair nor part of modules_to_save`);
    }
  }
  const layers = new Map<string, LoraPair<T>>();
  for (const [module, { loraA, loraB }] of halves) {
    if (loraA && loraB) layers.set(module, { loraA, loraB });
    else faults.push(`${module} has lora_${loraA ? "A" : "B"} but no lora_${loraA ? "B" : "A"}`);
  }
  return { layers, modulesToSave };
}

/** The path in the base model; empty without the prefix. Some writers leave wrapper and adapter name in, which PEFT does not. */
function parameterPath(key: string): string {
  if (!key.startsWith(PREFIX)) return "";
  return key
    .slice(PREFIX.length)
    .replace(/\.(lora_[AB])\.default\.weight$/, ".$1.weight")
    .replace(".modules_to_save.default.", ".");
}

/** Whether the parameter lies in a module of this name: the name is whole segments of the path, not its last. */
function isInside(parameter: string, module: string): boolean {
  return `.${parameter}`.includes(`.${module}.`);
}

/** What a module can be called: any whole segments at the end of its path. */
function namesOf(module: string): string[] {
  const names = [module];
  for (let dot = module.indexOf("."); dot >= 0; dot = module.indexOf(".", dot + 1)) names.push(module.slice(dot + 1));
  return names;
}

function layerFaults(
  layers: ReadonlyMap<string, LoraPair>,
  rank: number,
  targetModules: readonly string[] | null,
): string[] {
  const faults = layers.size === 0 ? ["there are no LoRA tensors"] : [];
  const targets = targetModules && new Set(targetModules);
  const listed = shortened(targetModules?.join(", ") ?? "");
  for (const [module, { loraA, loraB }] of layers) {
    if (targets && !namesOf(module).some((name) => targets.has(name))) {
      faults.push(`${module} has LoRA tensors but target_modules (${listed}) does not name it`);
    }
    const fits = (tensor: HostTensor, side: number): boolean =>
      tensor.dtype === "float32" && tensor.shape.length === 2 && tensor.shape[side] === rank;
    if (!fits(loraA, 0))
      faults.push(`${module}: lora_A must be float32 of shape (${rank}, in), not ${describeTensor(loraA)}`);
    if (!fits(loraB, 1))
      faults.push(`${module}: lora_B must be float32 of shape (out, ${rank}), not ${describeTensor(loraB)}`);
  }
  return faults;
}

/** For messages: dtype and shape. */
export function describeTensor({ dtype, shape }: Pick<HostTensor, "dtype" | "shape">): string {
  return `${dtype} of shape ${shortened(formatShape(shape))}`;
}
