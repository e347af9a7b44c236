// Updates are computed with `Tensor.data()`.
import "../runtime/evaluate.js";
import { adapterParameters, linearLayers, mergeableLayers } from "../adapters/inject.js";
import { addTerms } from "../adapters/low-rank-term.js";
import { MergeableQuantizedLinear } from "../adapters/mergeable-layer.js";
import { CheckpointError } from "../base/errors.js";
import { MODEL_PRESETS } from "../config/presets.js";
import type { FolderOptions } from "../files/checksums.js";
import type { LazyTensor } from "../files/lazy-tensor.js";
import { CARD, readCard } from "../files/own-card.js";
import type { SafetensorsDType } from "../files/safetensors-header.js";
import type { StoredQuantizedWeight } from "../formats/bitsandbytes.js";
import { copyModelFolder, type ModelFolderContent, writeModelFolder } from "../formats/model-folder.js";
import { toStorage } from "../formats/model-tensors.js";
import type { FloatDType } from "../formats/quant-state.js";
import { describeModel } from "../models/architectures.js";
import type { CausalLM } from "../models/causal-lm.js";
import { LlamaForCausalLM } from "../models/llama.js";
import { llamaConfig, writeLlamaConfig } from "../models/llama-config.js";
import { namedParameters, type Parameter } from "../nn/module.js";
import { FourBitWeight } from "../quant/four-bit-weight.js";
import { Int8Weight } from "../quant/int8-weight.js";
import { QuantizedLinear } from "../quant/quantized-linear.js";
import type { QuantizedWeight } from "../quant/quantized-weight.js";
import type { HostTensor } from "../tensor/dtype.js";
import { fastestHalf } from "../tensor/half-array.js";
import { Rng } from "../tensor/random.js";
import type { Shape } from "../tensor/shape.js";
import { formatShape, sameShape, sizeOf } from "../tensor/shape.js";

/** A tensor of a model, with its type in the file if it comes from one. */
export type ModelTensor = LazyTensor & { readonly fileType?: SafetensorsDType };

/** Where a model comes from: what it is, and its weights one at a time. */
export interface ModelSource {
  /** The folder whose weight files hold the model as it is; absent if there is none. */
  readonly folder?: string;
  /** The GGUF file that holds the model as it is; absent if there is none. */
  readonly gguf?: string;
  /** config.json. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The tensors that a folder of the model holds, as the model names and shapes them; read on demand. */
  readonly tensors: ReadonlyMap<string, ModelTensor>;
  /** The weights among the tensors that are quantized, each with the names of all its parts. */
  readonly quantized: ReadonlyMap<string, readonly string[]>;
  /**
   * Builds a new model. Weights that are quantized on disk are in place, and random ones are drawn on first use; all
   * others must be read with `fillModel`.
   */
  build(): CausalLM;
  /** The weight of that name in float32, row-major; dequantized where it is quantized. */
  readWeight(name: string): Promise<Float32Array>;
}

/** A size preset with random weights. */
export function presetSource(
  preset: string,
  sizes: { vocabSize: number; maxSequenceLength: number; endOfTextId: number | null },
  seed: number,
): ModelSource {
  const { hiddenSize, numHiddenLayers, numAttentionHeads, intermediateSize } = MODEL_PRESETS[preset]!;
  const config = llamaConfig({
    hiddenSize,
    intermediateSize,
    numLayers: numHiddenLayers,
    numHeads: numAttentionHeads,
    ...sizes,
  });
  const build = () => new LlamaForCausalLM(config, new Rng(seed, "weights"));
  // A new model each time, so that the drawn weights are not kept.
  const draw = async (name: string): Promise<Float32Array> => diskParameters(build()).get(name)!.values;
  const tensors = new Map<string, LazyTensor>();
  for (const [name, { shape }] of diskParameters(build())) {
    tensors.set(name, { dtype: "float32", shape, read: () => draw(name) });
  }
  return { config: writeLlamaConfig(config), tensors, quantized: new Map(), build, readWeight: draw };
}

/** Writes a model folder; its tensors are given as the model names and shapes them. @throws as `writeModelFolder`. */
export function writeModel(folder: string, content: ModelFolderContent, options?: FolderOptions): Promise<void> {
  const { storage } = describeModel(content.config);
  return writeModelFolder(folder, { ...content, tensors: toStorage(content.tensors, storage) }, options);
}

/** A model in memory, to be written as it is now. */
export function memorySource(model: CausalLM, config: Readonly<Record<string, unknown>>): ModelSource {
  const parameters = diskParameters(model);
  const tensors = new Map<string, LazyTensor>();
  for (const [name, parameter] of parameters) {
    tensors.set(name, { dtype: "float32", shape: parameter.shape, read: async () => parameter.values });
  }
  const readWeight = async (name: string): Promise<Float32Array> => parameters.get(name)!.values;
  return { config, tensors, quantized: new Map(), build: () => model, readWeight };
}

/** Types of the weights in memory. */
export interface FillOptions {
  /** True for a matrix that stays in the 16-bit floats of its file. Default: none does. */
  readonly holdHalf?: (parameter: Parameter) => boolean;
}

/** Reads the float weights of a model that was built from the source, one at a time; those of adapters stay. */
export async function fillModel(
  model: CausalLM,
  { tensors }: ModelSource,
  { holdHalf = () => false }: FillOptions = {},
): Promise<void> {
  for (const [name, parameter] of diskParameters(model)) {
    const tensor = tensors.get(name);
    if (tensor === undefined) continue;
    const half = parameter.rank === 2 && holdHalf(parameter) ? await tensor.readHalf?.() : undefined;
    if (half === undefined) parameter.adopt((await tensor.read()) as Float32Array);
    else parameter.hold(half.format === "bfloat16" ? fastestHalf(half.bits) : { ...half, scale: 1 });
  }
}

/** A weight in memory that uses the stored arrays. */
export function quantizedWeight(stored: StoredQuantizedWeight): QuantizedWeight {
  if (stored.format === "int8") return new Int8Weight(stored.shape, stored);
  const { format, shape, blockSize, absmax } = stored;
  return new FourBitWeight(shape, { format, blockSize, doubleQuant: !(absmax instanceof Float32Array) }, stored);
}

/** Every parameter of the model by its name on disk; adapters under the name of their layer. */
export function diskParameters(model: CausalLM): Map<string, Parameter> {
  return new Map(
    [...namedParameters(model)].map(([path, parameter]) => [model.checkpointName(path), parameter] as const),
  );
}

/** The trainable parameters by name on disk. */
export function trainedParameters(model: CausalLM): Map<string, Parameter> {
  return new Map([...diskParameters(model)].filter(([, { trainable }]) => trainable));
}

/** The names on disk of the embedding table, and of the head if it is that table: files may hold it again. */
export function tiedNames(model: CausalLM): { embeddings: string; head: string | undefined } {
  const table = model.embedTokens.weight;
  const [embeddings] = [...diskParameters(model)].find(([, parameter]) => parameter === table)!;
  return { embeddings, head: model.headWeight === table ? model.checkpointName("lmHead.weight") : undefined };
}

/** The parameters as tensors to write, sharing their memory. */
export function hostTensors(parameters: ReadonlyMap<string, Parameter>): Map<string, HostTensor> {
  return new Map(
    [...parameters].map(([name, { shape, values }]) => [name, { dtype: "float32", shape, data: values }] as const),
  );
}

/**
 * Copies the tensors into the parameters of the same names. @throws CheckpointError unless every parameter has its
 * tensor.
 */
export function assignWeights(
  parameters: ReadonlyMap<string, Parameter>,
  tensors: ReadonlyMap<string, HostTensor>,
  where: string,
): void {
  throwFaults(weightFaults(parameters, tensors), where);
  for (const [name, parameter] of parameters) parameter.assign(tensors.get(name)!.data);
}

/**
 * Copies the tensors into parameters of the same names. @throws CheckpointError for names that the model lacks.
 */
export function assignSome(model: CausalLM, tensors: ReadonlyMap<string, HostTensor>, where: string): void {
  const parameters = diskParameters(model);
  const faults = [...tensors.keys()].filter((name) => !parameters.has(name));
  if (faults.length > 0) throw new CheckpointError(`${where}: the model has no ${faults.join(", ")}; check the base`);
  assignWeights(new Map([...tensors.keys()].map((name) => [name, parameters.get(name)!])), tensors, where);
}

export function weightFaults(
  parameters: ReadonlyMap<string, Parameter>,
  tensors: ReadonlyMap<string, Pick<LazyTensor, "dtype" | "shape">>,
): string[] {
  const faults: string[] = [];
  for (const [name, { shape }] of parameters) {
    const tensor = tensors.get(name);
    if (tensor === undefined) faults.push(`"${name}" is missing`);
    else if (!sameShape(tensor.shape, shape)) {
      faults.push(`"${name}" has shape ${formatShape(tensor.shape)}, the model needs ${formatShape(shape)}`);
    } else if (tensor.dtype !== "float32") faults.push(`"${name}" holds ${tensor.dtype}, the model needs floats`);
  }
  return faults;
}

export function throwFaults(faults: readonly string[], where: string): void {
  if (faults.length > 0) throw new CheckpointError(`${where}: the weights do not fit the model:\n${faults.join("\n")}`);
}

/** Contents of a model folder to write, without its tokenizer. */
export interface ModelToSave {
  readonly config: Readonly<Record<string, unknown>>;
  /** By name on disk. */
  readonly tensors: ReadonlyMap<string, HostTensor | LazyTensor>;
}

/** Files beside weights, by name. */
export type CompanionFiles = ReadonlyMap<string, string | Uint8Array>;

/** A model as a Hugging Face folder with checksums; its weights are read and written one at a time. */
export async function saveModel(folder: string, model: ModelToSave, files: CompanionFiles): Promise<void> {
  const { config, tensors } = model;
  await writeModel(folder, { config, tensors, files }, SAVED);
}

/**
 * Writes the base of a run as a Hugging Face folder with checksums; weight files of a given folder are copied, and its
 * card, which states the licence.
 */
export async function saveBase(folder: string, source: ModelSource, files: CompanionFiles): Promise<void> {
  const { folder: from, config } = source;
  if (from === undefined) return saveModel(folder, source, files);
  const card = await readCard(from);
  const withCard = card === null ? files : new Map([...files, [CARD, card] as const]);
  await copyModelFolder(folder, from, { config, files: withCard }, SAVED);
}

const SAVED = { replace: true, checksums: true } as const;

/** Sources of what a model does not hold itself. */
export interface FinishedOptions {
  /** Gives the weight of a quantized layer without an adapter. */
  readonly frozenWeight: (layer: string) => Promise<Float32Array>;
  /** True if the adapters hold a cycle that the weights have not taken up; where there is a delta log, it has. */
  readonly keepsLastCycle: boolean;
}

/** The model with its exact weights, all in float32 and without adapters. */
export function finishedModel(
  model: CausalLM,
  config: Readonly<Record<string, unknown>>,
  { frozenWeight, keepsLastCycle }: FinishedOptions,
): ModelToSave {
  const tensors = new Map<string, HostTensor | LazyTensor>(hostTensors(modelParameters(model)));
  const add = (layer: string, shape: Shape, read: () => Promise<Float32Array>): void => {
    tensors.set(`${layer}.weight`, { dtype: "float32", shape, read });
  };
  for (const [name, layer] of mergeableLayers(model)) {
    const isQuantized = layer instanceof MergeableQuantizedLinear;
    const lacksLast = keepsLastCycle && !(isQuantized && layer.policy.exactFrom === "log");
    if (!isQuantized && !lacksLast) continue;
    add(name, [layer.outFeatures, layer.inFeatures], async () => {
      const weight = await layer.exactWeight();
      return lacksLast ? addTerms(weight, [await layer.adapter.learned()]) : weight;
    });
  }
  for (const [name, { linear }] of linearLayers(model)) {
    if (linear instanceof QuantizedLinear) add(name, linear.weight.shape, () => frozenWeight(name));
  }
  return { config: floatConfig(config, "float32"), tensors };
}

/** The config.json of a model whose weights all have this dtype, with none quantized. */
export function floatConfig(
  { quantization_config: _, dtype: __, ...config }: Readonly<Record<string, unknown>>,
  dtype: FloatDType,
): Record<string, unknown> {
  // Newer versions of transformers write `dtype` and heed it before `torch_dtype`, which all of them read.
  return { ...config, torch_dtype: dtype };
}

/** The parameters by name on disk, without those of adapters. */
export function modelParameters(model: CausalLM): Map<string, Parameter> {
  const parameters = diskParameters(model);
  for (const name of adapterParameters(model).keys()) parameters.delete(name);
  return parameters;
}

/** Bytes of the weights of a model to be written in float32. */
export function modelBytes({ tensors }: ModelToSave): number {
  let elements = 0;
  for (const { shape } of tensors.values()) elements += sizeOf(shape);
  return 4 * elements;
}
