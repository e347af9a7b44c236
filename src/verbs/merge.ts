import { fileSize } from "#platform";
// Merging computes with `Tensor.data()`.
import "../runtime/evaluate.js";
import { linearLayers, mergeableLayers } from "../adapters/inject.js";
import { addTerms, joinTerms, type LowRankTerm } from "../adapters/low-rank-term.js";
import { MergeableQuantizedLinear } from "../adapters/mergeable-layer.js";
import { CheckpointError } from "../base/errors.js";
import { quantizedWeightNames } from "../formats/bitsandbytes.js";
import { type LazyTensor, storeAs, type TensorToWrite } from "../formats/lazy-tensor.js";
import { weightFiles } from "../formats/model-folder.js";
import type { FloatDType } from "../formats/quant-state.js";
import type { SafetensorsDType } from "../formats/safetensors-header.js";
import { modelFolder } from "../hub/locate-model.js";
import type { DownloadEvents } from "../hub/model-download.js";
import { companionFiles, requireNewFolder } from "../loading/companions.js";
import { folderSource, tiedNames, writeModel } from "../loading/model-source.js";
import { isAdapterFolder, type OpenAdapter, openAdapter } from "../loading/open-adapter.js";
import { quantizerOfModel } from "../loading/quantizing.js";
import { compareMerged, readUnmerged, type UnmergedModel } from "../loading/unmerged-model.js";
import { openWeighted } from "../loading/weighted-adapters.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { LinearLayer } from "../nn/linear.js";
import { describeQuantizer, type Quantizer } from "../quant/quantizer.js";
import { learnedTerms, termsOf } from "../relora/delta-terms.js";
import { isMergedWhole, planStep } from "../relora/plan.js";
import { adapterParameters } from "../relora/settings-adapters.js";
import { isRunFolder } from "../runs/run-folder.js";
import { mergedCycles, openRunAsModel, restoreModel, restoreTrained, type SavedRun } from "../runs/saved-run.js";
import { floatConfig } from "../runs/saving.js";
import type { HostTensor } from "../tensor/dtype.js";
import { type Shape, sizeOf } from "../tensor/shape.js";
import type { MergedModel, MergeOptions } from "../training/contracts.js";
import { requireNoAdapters, requireNoBase, requireNoCheckpoint } from "./target.js";

/**
 * Writes a run, as one of its checkpoints has it, a PEFT adapter with its base, or a model folder as a plain Hugging Face folder, in
 * shards where the base has them. Weights are read, merged in float32 and written one after another.
 * @throws ConfigError if `out` holds files already; CheckpointError for what does not fit together, and for a value that the
 * dtype cannot hold. Nothing is left behind then.
 */
export async function mergeTarget(
  target: string,
  { out, dtype, verify, ...origin }: MergeOptions,
): Promise<MergedModel> {
  await requireNewFolder(out);
  const unmerged = await openTarget(target, origin);
  const { source, baseFolder, quantizer } = unmerged;
  const chosen = dtype ?? dtypeOf(source.tensors);
  const tensors = mergedTensors(unmerged, FILE_TYPES[chosen]);
  const files = await companionFiles(baseFolder);
  const baseSizes = await weightSizes(baseFolder);
  const shardBytes = baseSizes.length > 1 ? Math.max(...baseSizes) : Number.POSITIVE_INFINITY;
  await writeModel(out, { config: floatConfig(source.config, chosen), tensors, shardBytes, files });
  const sizes = await weightSizes(out);
  return {
    modelFolder: out,
    dtype: chosen,
    parameters: countParameters(tensors),
    fileBytes: sizes.reduce((sum, bytes) => sum + bytes, 0),
    files: sizes.length,
    quantizer,
    verification: verify ? await compareMerged(unmerged, out) : null,
  };
}

/** Bytes of each file with weights. */
async function weightSizes(folder: string): Promise<number[]> {
  return Promise.all([...(await weightFiles(folder)).keys()].map(fileSize));
}

export function countParameters(tensors: ReadonlyMap<string, TensorToWrite>): number {
  let parameters = 0;
  for (const { shape } of tensors.values()) parameters += sizeOf(shape);
  return parameters;
}

/** What of a target is meant, and who hears of downloads. */
export type Origin = Pick<MergeOptions, "base" | "checkpoint" | "adapters" | keyof DownloadEvents>;

/** A run as one of its checkpoints has it, a PEFT adapter with its base, or a model. @throws as {@link mergeTarget}. */
export async function openTarget(
  named: string,
  { base, checkpoint = null, adapters = [], onDownload, onNotice }: Origin,
): Promise<UnmergedModel> {
  const events = { onDownload, onNotice };
  const target = await modelFolder(named, events);
  if (await isRunFolder(target)) {
    requireNoBase(named, base);
    requireNoAdapters(named, adapters);
    return unmergedRun(await openRunAsModel(target, checkpoint));
  }
  requireNoCheckpoint(named, checkpoint);
  if (await isAdapterFolder(target)) {
    requireNoAdapters(named, adapters);
    return unmergedAdapter(await openAdapter(target, base, events));
  }
  requireNoBase(named, base);
  const source = await folderSource(target);
  const quantizer = describeHeld(quantizerOfModel(source.build()));
  const effect = await openWeighted(adapters, target, events);
  return { source, baseFolder: target, ...(effect ?? { replaced: new Map(), updates: new Map() }), quantizer };
}

function unmergedAdapter({ adapter, effect, source, baseFolder }: OpenAdapter): UnmergedModel {
  const quantizer = adapter.base?.quantizer ?? describeHeld(quantizerOfModel(source.build()));
  return { source, baseFolder, ...effect, quantizer };
}

/** A run as one of its checkpoints has it. */
export async function unmergedRun(run: SavedRun): Promise<UnmergedModel> {
  const { source, baseFolder, settings, checkpoint } = run;
  const trained = restoreTrained(run);
  const replaced = new Map<string, HostTensor | LazyTensor>(checkpoint.tensorFiles.trainable ?? []);
  for (const name of adapterParameters(trained).keys()) replaced.delete(name);
  const parts = { source, baseFolder, replaced, quantizer: describeHeld(run.quantizer) };
  const merged = isMergedWhole(planStep(checkpoint.step, { ...settings, maxSteps: run.state.maxSteps }));
  const learned = merged ? new Map<string, LowRankTerm>() : learnedTerms(trained);
  if (run.quantizer === null || settings.mergePolicy === "delta-log" || settings.mergePolicy === "residual") {
    const terms = new Map([...learned].map(([layer, term]): [string, LowRankTerm[]] => [layer, [term]]));
    for await (const cycle of mergedCycles(run)) {
      for (const [layer, term] of termsOf(cycle)) terms.set(layer, [...(terms.get(layer) ?? []), term]);
    }
    return { ...parts, updates: new Map([...terms].map(([layer, each]) => [layer, joinTerms(each)] as const)) };
  }
  // What such a policy made of the cycles can only be had by merging them once more.
  for (const [layer, { weight, policy }] of mergeableQuantizedLayers(await restoreModel(run))) {
    const { shape } = weight;
    replaced.set(`${layer}.weight`, { dtype: "float32", shape, read: () => policy.exactWeight(weight) });
  }
  return { ...parts, updates: learned };
}

function mergeableQuantizedLayers(model: CausalLM): [string, MergeableQuantizedLinear][] {
  return [...mergeableLayers(model)].flatMap(([name, layer]) =>
    layer instanceof MergeableQuantizedLinear ? [[name, layer]] : [],
  );
}

function describeHeld(quantizer: Quantizer | null): string | null {
  return quantizer && describeQuantizer(quantizer);
}

export const FILE_TYPES: Readonly<Record<FloatDType, SafetensorsDType>> = {
  float32: "F32",
  bfloat16: "BF16",
  float16: "F16",
};

/** The dtype of all floats among the tensors; float32 where they have several, or some are quantized. */
function dtypeOf(tensors: ReadonlyMap<string, TensorToWrite>): FloatDType {
  if (quantizedWeightNames(tensors.keys()).size > 0) return "float32";
  const floats = [...tensors.values()].filter(({ dtype }) => dtype === "float32");
  const types = new Set(floats.map(({ fileType }) => fileType));
  if (types.size !== 1) return "float32";
  if (types.has("BF16")) return "bfloat16";
  return types.has("F16") ? "float16" : "float32";
}

/**
 * Every tensor of the base as it is to be written, by name and shape of the model. What nothing changes keeps its bytes where its type
 * stays.
 */
export function mergedTensors(unmerged: UnmergedModel, fileType: SafetensorsDType): Map<string, TensorToWrite> {
  const { source, replaced, updates } = unmerged;
  const tensors = new Map<string, TensorToWrite>(source.tensors);
  for (const parts of quantizedWeightNames(source.tensors.keys()).values()) {
    for (const part of parts) tensors.delete(part);
  }
  for (const [name, tensor] of tensors) {
    if (tensor.dtype === "float32" && tensor.fileType !== fileType) tensors.set(name, storeAs(tensor, fileType));
  }
  const add = (name: string, shape: Shape, read: () => Promise<Float32Array>): void => {
    tensors.set(name, storeAs({ dtype: "float32", shape, read }, fileType));
  };
  for (const [name, { shape }] of replaced) add(name, shape, () => readUnmerged(unmerged, name));
  const model = source.build();
  const { embeddings, head } = tiedNames(model);
  // Where a file holds the tied head as well, both stay one.
  if (head !== undefined && tensors.has(head) && replaced.has(embeddings)) tensors.set(head, tensors.get(embeddings)!);
  for (const [layer, { linear }] of linearLayers(model)) {
    const name = `${layer}.weight`;
    const update = updates.get(layer);
    if (update?.bias !== undefined) addLayerBias(unmerged, layer, linear, update.bias, add);
    if (update === undefined && tensors.has(name)) continue;
    add(name, [linear.outFeatures, linear.inFeatures], async () =>
      addTerms(await readUnmerged(unmerged, name), update === undefined ? [] : [update]),
    );
  }
  return tensors;
}

/** @throws CheckpointError where the layer has no bias that could take it up. */
function addLayerBias(
  unmerged: UnmergedModel,
  layer: string,
  { bias }: LinearLayer,
  added: Float32Array,
  add: (name: string, shape: Shape, read: () => Promise<Float32Array>) => void,
): void {
  const name = `${layer}.bias`;
  if (bias === undefined) {
    throw new CheckpointError(
      `${layer}: the adapter has a bias (lora_bias) and the layer has none to merge it into; compute with the adapter beside the base instead`,
    );
  }
  add(name, bias.shape, async () => (await readUnmerged(unmerged, name)).map((value, i) => value + added[i]!));
}
