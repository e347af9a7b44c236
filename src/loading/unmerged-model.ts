// Updates are computed with `Tensor.data()`.
import "../runtime/evaluate.js";
import { cpuCount } from "#platform";
import { linearLayers } from "../adapters/inject.js";
import { addTerms } from "../adapters/low-rank-term.js";
import { CheckpointError } from "../base/errors.js";
import type { TensorToWrite } from "../files/lazy-tensor.js";
import { type LazyTensor, readHostTensor, storeAs } from "../files/lazy-tensor.js";
import type { SafetensorsDType } from "../files/safetensors-header.js";
import type { FloatDType } from "../formats/quant-state.js";
import { describeModel } from "../models/architectures.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { LinearLayer } from "../nn/linear.js";
import { largestChange, Probe, type ProbeResult } from "../programs/probe.js";
import type { Quantizer } from "../quant/quantizer.js";
import { describeQuantizer } from "../quant/quantizer.js";
import type { HostTensor } from "../tensor/dtype.js";
import { Rng } from "../tensor/random.js";
import type { Shape } from "../tensor/shape.js";
import { sizeOf } from "../tensor/shape.js";
import { loadModel } from "./folder-source.js";
import { diskParameters, type ModelSource, tiedNames } from "./model-source.js";
import { applyUpdates, type LayerUpdate } from "./updated-linear.js";

/** Difference between the written folder and base + updates, both computed in float32. */
export interface MergeVerification {
  /** Tokens of the sequence that both were given. */
  readonly tokens: number;
  /** Largest absolute change of any logit. */
  readonly largestChange: number;
  /** Largest absolute logit. */
  readonly largestLogit: number;
  /** largestChange / largestLogit. */
  readonly relativeChange: number;
}

/** A model as the parts that merging joins. */
export interface UnmergedModel {
  readonly source: ModelSource;
  /** The Hugging Face folder of the source. */
  readonly baseFolder: string;
  /** The folder of its tokenizer. */
  readonly tokenizerFolder: string;
  /** Weights in place of those of the source, by name on disk. */
  readonly replaced: ReadonlyMap<string, HostTensor | LazyTensor>;
  /** Updates on top, by the name of their layer. */
  readonly updates: ReadonlyMap<string, LayerUpdate>;
  /** The quantizer of the frozen weights, in the source or in training alone, in words; null for float32. */
  readonly quantizer: string | null;
}

/** A weight without its update in float32, row-major; dequantized where it is quantized. */
export async function readUnmerged({ source, replaced }: UnmergedModel, name: string): Promise<Float32Array> {
  const tensor = replaced.get(name);
  return tensor === undefined ? source.readWeight(name) : ((await readHostTensor(tensor)).data as Float32Array);
}

/** Tokens whose logits are compared, unless the model allows fewer. */
const PROBE_TOKENS = 64;

/**
 * Compares the logits of a fixed random sequence, computed with the updates beside the float32 weights, with those of
 * the merged folder.
 */
export async function compareMerged(unmerged: UnmergedModel, mergedFolder: string): Promise<MergeVerification> {
  const before = await probe(await float32Model(unmerged));
  const after = await probe(await loadModel(mergedFolder));
  let largestLogit = 0;
  for (const logit of before.logits) largestLogit = Math.max(largestLogit, Math.abs(logit));
  const largest = largestChange(before, after);
  return { tokens: before.tokens, largestChange: largest, largestLogit, relativeChange: largest / largestLogit };
}

/** The merged model in memory, in float32. */
export async function float32Model(unmerged: UnmergedModel): Promise<CausalLM> {
  const model = describeModel(unmerged.source.config).create(new Rng(0));
  for (const [name, parameter] of diskParameters(model)) parameter.adopt(await readUnmerged(unmerged, name));
  await applyUpdates(model, unmerged.updates);
  return model;
}

async function probe(model: CausalLM): Promise<ProbeResult & { tokens: number }> {
  const { vocabSize, maxSequenceLength } = model.config;
  const rng = new Rng(0, "probe");
  const draw = (): number => Math.floor(rng.uniform() * vocabSize);
  const inputIds = Int32Array.from({ length: Math.min(PROBE_TOKENS, maxSequenceLength) }, draw);
  const batch = { inputIds, labels: inputIds };
  const compiled = await Probe.compile(model, batch, { device: "cpu", threads: cpuCount() });
  try {
    return { ...(await compiled.run()), tokens: inputIds.length };
  } finally {
    await compiled.release();
  }
}

/**
 * Every tensor of the merged model, by the model's names and shapes. A tensor that nothing changes keeps its bytes if
 * its type stays.
 */
export function mergedTensors(unmerged: UnmergedModel, fileType: SafetensorsDType): Map<string, TensorToWrite> {
  const { source, replaced, updates } = unmerged;
  const tensors = new Map<string, TensorToWrite>(source.tensors);
  for (const parts of source.quantized.values()) for (const part of parts) tensors.delete(part);
  for (const [name, tensor] of tensors) {
    if (tensor.dtype === "float32" && tensor.fileType !== fileType) tensors.set(name, storeAs(tensor, fileType));
  }
  const add = (name: string, shape: Shape, read: () => Promise<Float32Array>): void => {
    tensors.set(name, storeAs({ dtype: "float32", shape, read }, fileType));
  };
  for (const [name, { shape }] of replaced) add(name, shape, () => readUnmerged(unmerged, name));
  const model = source.build();
  const { embeddings, head } = tiedNames(model);
  // If a file holds the tied head too, both stay one.
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

/** @throws CheckpointError if the layer has no bias to add it to. */
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
      `${layer}: the adapter has a bias (lora_bias) but the layer has none to merge it into; ` +
        "use the adapter beside the base instead",
    );
  }
  add(name, bias.shape, async () => (await readUnmerged(unmerged, name)).map((value, i) => value + added[i]!));
}

export const FILE_TYPES: Readonly<Record<FloatDType, SafetensorsDType>> = {
  float32: "F32",
  bfloat16: "BF16",
  float16: "F16",
};

export function countParameters(tensors: ReadonlyMap<string, TensorToWrite>): number {
  let parameters = 0;
  for (const { shape } of tensors.values()) parameters += sizeOf(shape);
  return parameters;
}

export function describeHeld(quantizer: Quantizer | null): string | null {
  return quantizer && describeQuantizer(quantizer);
}
