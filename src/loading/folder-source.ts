import { linearLayers } from "../adapters/inject.js";
import { CheckpointError } from "../base/errors.js";
import { shortened } from "../base/json.js";
import type { StoredQuantizedWeight } from "../formats/bitsandbytes.js";
import { readBitsandbytes } from "../formats/bitsandbytes.js";
import { openModelFolder } from "../formats/model-folder.js";
import { fromStorage } from "../formats/model-tensors.js";
import { parseQuantizationConfig } from "../formats/quantization-config.js";
import { isGgufName } from "../gguf/open-gguf.js";
import { describeModel } from "../models/architectures.js";
import type { CausalLM, ModelDescription } from "../models/causal-lm.js";
import { QuantizedLinear } from "../quant/quantized-linear.js";
import { Rng } from "../tensor/random.js";
import { formatShape, sameShape } from "../tensor/shape.js";
import type { FillOptions, ModelSource, ModelTensor } from "./model-source.js";
import { diskParameters, fillModel, quantizedWeight, throwFaults, tiedNames, weightFaults } from "./model-source.js";

/**
 * A Hugging Face folder, or the model in a GGUF file. Its headers and all weights that are quantized on disk are read
 * at once.
 * @param untied gives a model whose output projection is its embedding table a projection of its own, with the values
 * of the table.
 * @param onNotice is told of weights in the folder that the model has no place for.
 * @throws CheckpointError that lists every weight that is missing, damaged or does not fit.
 */
export async function folderSource(
  folder: string,
  { untied = false, onNotice }: { untied?: boolean; onNotice?: ((text: string) => void) | undefined } = {},
): Promise<ModelSource> {
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
  const unused = checkWeights(described.create(new Rng(0)), build(), named, folder);
  if (unused.length > 0) onNotice?.(`${folder}: ${unusedWeights(unused)}`);
  const file = isGgufName(folder) ? !untied && { gguf: folder } : { folder };
  return { ...file, config, ...named, build, readWeight: weightReader(named) };
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

function weightReader(named: Pick<ModelSource, "tensors" | "quantized">): ModelSource["readWeight"] {
  return async (name) => {
    if (named.quantized.has(name)) return quantizedWeight(await readQuantized(name, named)).values();
    return (await named.tensors.get(name)!.read()) as Float32Array;
  };
}

/**
 * @param asDescribed a model of the same config without quantized layers.
 * @returns names of tensors elsewhere than in its layers that the model has no place for.
 * @throws CheckpointError unless the tensors hold every float32 weight and fit every quantized layer of the model, and
 * its layers have no others.
 */
function checkWeights(
  asDescribed: CausalLM,
  model: CausalLM,
  { tensors, quantized }: Pick<ModelSource, "tensors" | "quantized">,
  folder: string,
): string[] {
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
  const own = diskParameters(asDescribed);
  const known = new Set(own.keys());
  for (const [name, parts] of quantized) if (own.has(name)) for (const part of parts) known.add(part);
  const layers = new Set([...known].map(layerOf));
  layers.delete(undefined);
  const { head } = tiedNames(asDescribed);
  if (head !== undefined) known.add(head);
  const unknown = [...tensors.keys()].filter((name) => !known.has(name));
  for (const name of unknown) {
    if (layers.has(layerOf(name)))
      faults.push(`"${name}" has no place in the model that config.json describes; change either`);
  }
  throwFaults(faults, folder);
  return unknown;
}

function unusedWeights(names: readonly string[]): string {
  const shown = names.slice(0, 3).map((name) => `"${shortened(name)}"`);
  if (names.length > shown.length) shown.push(`and ${names.length - shown.length} more`);
  return `weights that the model of config.json has no place for are not used: ${shown.join(", ")}`;
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

/** The model of a Hugging Face folder, weights and all. @throws CheckpointError as `folderSource`. */
export async function loadModel(folder: string, options?: FillOptions): Promise<CausalLM> {
  const source = await folderSource(folder);
  const model = source.build();
  await fillModel(model, source, options);
  return model;
}

function readQuantized(
  name: string,
  { tensors, quantized }: Pick<ModelSource, "tensors" | "quantized">,
): Promise<StoredQuantizedWeight> {
  return readBitsandbytes(name, new Map(quantized.get(name)!.map((part) => [part, tensors.get(part)!])));
}
