// Updates are computed with `Tensor.data()`.
import "../runtime/evaluate.js";
import { adapterParameters, linearLayers, mergeableLayers } from "../adapters/inject.js";
import { addTerms } from "../adapters/low-rank-term.js";
import { MergeableQuantizedLinear } from "../adapters/mergeable-layer.js";
import { CheckpointError } from "../base/errors.js";
import { MODEL_PRESETS } from "../config/presets.js";
import { readBitsandbytes, type StoredQuantizedWeight } from "../formats/bitsandbytes.js";
import type { FolderOptions } from "../formats/checksums.js";
import type { LazyTensor } from "../formats/lazy-tensor.js";
import {
  copyModelFolder,
  type ModelFolderContent,
  openModelFolder,
  writeModelFolder,
} from "../formats/model-folder.js";
import { fromStorage, toStorage } from "../formats/model-tensors.js";
import type { FloatDType } from "../formats/quant-state.js";
import { parseQuantizationConfig } from "../formats/quantization-config.js";
import type { SafetensorsDType } from "../formats/safetensors-header.js";
import { describeModel } from "../models/architectures.js";
import type { CausalLM, ModelDescription } from "../models/causal-lm.js";
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

/**
 * A Hugging Face folder. Its headers and all weights that are quantized on disk are read at once.
 * @param untied gives a model whose output projection is its embedding table a projection of its own, with the values
 * of the table.
 * @throws CheckpointError that lists every weight that is missing, damaged or does not fit.
 */
export async function folderSource(folder: string, { untied = false } = {}): Promise<ModelSource> {
  const opened = await openDescribed(folder);
  const { described, config, ...named } = untied ? withOwnHead(opened) : opened;
  const weights = new Map<string, StoredQuantizedWeight>();
  for (const name of named.quantized.keys()) weights.set(name, await readQuantized(name, named));
  const build = (): CausalLM => {
    const model = described.create(new Rng(0));
    for (const [name, { slot, linear }] of linearLayers(model)) {
      const weight = weights.get(`${name}.weight`);
      if (weight !== undefined) slot.replace(new QuantizedLinear(quantizedWeight(weight), linear.bias));
    }
    return model;
  };
  checkWeights(described.create(new Rng(0)), build(), named, folder);
  return { folder, config, ...named, build, readWeight: weightReader(named) };
}

/** A model whose output projection is its embedding table gets one of its own, with the values of the table. */
function withOwnHead(opened: DescribedTensors): DescribedTensors {
  if (!opened.described.config.tieWordEmbeddings) return opened;
  const { embeddings } = tiedNames(opened.described.create(new Rng(0)));
  const apart = untied(opened);
  const head = apart.described.create(new Rng(0)).checkpointName("lmHead.weight");
  const table = opened.tensors.get(embeddings);
  return table === undefined ? apart : { ...apart, tensors: new Map([...opened.tensors, [head, table]]) };
}

function untied(opened: DescribedTensors): DescribedTensors {
  const config = { ...opened.config, tie_word_embeddings: false };
  return { ...opened, config, described: describeModel(config) };
}

/**
 * Lets quantized weights that are no layer of blocks be read as float32. transformers quantizes the head too where
 * `llm_int8_skip_modules` does not name it; here only the layers that may get adapters compute with codes.
 */
async function widenOthers(opened: DescribedTensors): Promise<DescribedTensors> {
  const { tensors, quantized } = opened;
  if (quantized.size === 0) return opened;
  const model = opened.described.create(new Rng(0));
  const layers = linearLayers(model);
  const others = [...diskParameters(model).keys()].filter(
    (name) => quantized.has(name) && !layers.has(name.replace(/\.weight$/, "")),
  );
  if (others.length === 0) return opened;
  const [floats, packed] = [new Map<string, ModelTensor>(tensors), new Map(quantized)];
  for (const name of others) {
    const { shape } = await readQuantized(name, { tensors, quantized });
    const read = async () => quantizedWeight(await readQuantized(name, { tensors, quantized })).values();
    for (const part of quantized.get(name)!) floats.delete(part);
    floats.set(name, { dtype: "float32", shape, read });
    packed.delete(name);
  }
  return { ...opened, tensors: floats, quantized: packed };
}

/**
 * Reads weights of a Hugging Face folder in float32, one when it is asked for; dequantized where they are quantized.
 */
export async function openWeights(folder: string): Promise<(name: string) => Promise<Float32Array>> {
  return weightReader(await openTensors(folder));
}

/** The content of a Hugging Face folder, as the model names and shapes it. */
type FolderTensors = Pick<ModelSource, "config" | "tensors" | "quantized">;

type DescribedTensors = FolderTensors & { readonly described: ModelDescription };

/** config.json and tensors of a Hugging Face folder, as the model names and shapes them. */
export async function openTensors(folder: string): Promise<FolderTensors> {
  const { described: _, ...opened } = await openDescribed(folder);
  return opened;
}

async function openDescribed(folder: string): Promise<DescribedTensors> {
  const { config, tensors: stored } = await openModelFolder(folder);
  parseQuantizationConfig(config); // refuses what cannot be read
  const described = describeModel(config);
  const { numLayers } = described.config;
  if (numLayers > stored.size) {
    throw new CheckpointError(
      `${folder}: config.json has num_hidden_layers ${numLayers}, but there are ${stored.size} tensors in all`,
    );
  }
  return widenOthers(await withHead({ config, ...fromStorage(stored, described.storage), described }));
}

/** A tied model keeps a head of its own that its file holds; one whose file holds the head alone is tied to it. */
async function withHead(opened: DescribedTensors): Promise<DescribedTensors> {
  if (!opened.described.config.tieWordEmbeddings) return opened;
  const { embeddings, head } = tiedNames(opened.described.create(new Rng(0)));
  const tensors = new Map(opened.tensors);
  const [table, own] = [tensors.get(embeddings), tensors.get(head!)];
  if (own === undefined) return opened;
  if (table === undefined) {
    // The one that is there is both.
    tensors.delete(head!);
    return { ...opened, tensors: tensors.set(embeddings, own) };
  }
  return (await sameElements(table, own)) ? opened : untied(opened);
}

async function sameElements(a: ModelTensor, b: ModelTensor): Promise<boolean> {
  if (!sameShape(a.shape, b.shape)) return false;
  const [first, second] = [await a.read(), await b.read()];
  return first.every((value, i) => value === second[i]);
}

/** Writes a model folder; its tensors are given as the model names and shapes them. @throws as `writeModelFolder`. */
export function writeModel(folder: string, content: ModelFolderContent, options?: FolderOptions): Promise<void> {
  const { storage } = describeModel(content.config);
  return writeModelFolder(folder, { ...content, tensors: toStorage(content.tensors, storage) }, options);
}

function weightReader(named: Pick<ModelSource, "tensors" | "quantized">): ModelSource["readWeight"] {
  return async (name) => {
    if (named.quantized.has(name)) return quantizedWeight(await readQuantized(name, named)).values();
    return (await named.tensors.get(name)!.read()) as Float32Array;
  };
}

function readQuantized(
  name: string,
  { tensors, quantized }: Pick<ModelSource, "tensors" | "quantized">,
): Promise<StoredQuantizedWeight> {
  return readBitsandbytes(name, new Map(quantized.get(name)!.map((part) => [part, tensors.get(part)!])));
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

/** The model of a Hugging Face folder, weights and all. @throws CheckpointError as `folderSource`. */
export async function loadModel(folder: string, options?: FillOptions): Promise<CausalLM> {
  const source = await folderSource(folder);
  const model = source.build();
  await fillModel(model, source, options);
  return model;
}

/** A weight in memory that uses the stored arrays. */
function quantizedWeight(stored: StoredQuantizedWeight): QuantizedWeight {
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

/**
 * @param asDescribed a model of the same config without quantized layers.
 * @throws CheckpointError unless the tensors hold every float32 weight and fit every quantized layer of the model, and
 * its layers have no others.
 */
function checkWeights(
  asDescribed: CausalLM,
  model: CausalLM,
  { tensors, quantized }: Pick<ModelSource, "tensors" | "quantized">,
  folder: string,
): void {
  const parameters = diskParameters(model);
  const wrapper = wrapperOf(parameters.keys(), tensors);
  if (wrapper !== undefined) {
    throw new CheckpointError(
      `${folder}: names of weights begin with "${wrapper}", as they do in a model within another; ` +
        "transformers does not read them either; save them without it",
    );
  }
  const faults = weightFaults(parameters, tensors);
  const headless = faults.indexOf(`"${model.checkpointName("lmHead.weight")}" is missing`);
  if (headless >= 0)
    faults[headless] += "; if the embedding table is the head, set tie_word_embeddings to true in config.json";
  const fresh = linearLayers(asDescribed);
  for (const [name, { linear }] of linearLayers(model)) {
    const { inFeatures, outFeatures } = fresh.get(name)!.linear;
    if (linear.inFeatures === inFeatures && linear.outFeatures === outFeatures) continue;
    const [is, needed] = [
      [linear.outFeatures, linear.inFeatures],
      [outFeatures, inFeatures],
    ].map(formatShape);
    faults.push(`"${name}.weight" has shape ${is}, the model needs ${needed}`);
  }
  const known = new Set([...diskParameters(asDescribed).keys(), ...[...quantized.values()].flat()]);
  const layers = new Set([...known].map(layerOf));
  layers.delete(undefined);
  for (const name of tensors.keys()) {
    if (!known.has(name) && layers.has(layerOf(name)))
      faults.push(`"${name}" has no place in the model that config.json describes; change either`);
  }
  throwFaults(faults, folder);
}

/** The beginning that all names in a file have before those of the model, or undefined if they have none. */
function wrapperOf(names: Iterable<string>, tensors: ReadonlyMap<string, unknown>): string | undefined {
  const stored = [...tensors.keys()];
  let wrapper: string | undefined;
  for (const name of names) {
    if (tensors.has(name)) return undefined;
    wrapper ??= stored.find((each) => each.endsWith(`.${name}`))?.slice(0, -name.length);
    if (wrapper === undefined || !tensors.has(`${wrapper}${name}`)) return undefined;
  }
  return wrapper;
}

/** `model.layers.0` of a weight of that layer. */
function layerOf(name: string): string | undefined {
  return /^.+?\.\d+(?=\.)/.exec(name)?.[0];
}

function weightFaults(
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

function throwFaults(faults: readonly string[], where: string): void {
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

/** Writes the base of a run as a Hugging Face folder with checksums; weight files of a given folder are copied. */
export async function saveBase(folder: string, source: ModelSource, files: CompanionFiles): Promise<void> {
  const { folder: from, config } = source;
  if (from === undefined) await saveModel(folder, source, files);
  else await copyModelFolder(folder, from, { config, files }, SAVED);
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
