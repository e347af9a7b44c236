import { type ModelFolder, readModelFolder } from "../checkpoints/model-folder.js";
import { MODEL_PRESETS } from "../config/presets.js";
import { LlamaForCausalLM } from "../models/llama.js";
import { llamaConfig, readLlamaConfig } from "../models/llama-config.js";
import { namedParameters, type Parameter } from "../nn/module.js";
import type { HostTensor } from "../tensor/dtype.js";
import { CheckpointError } from "../tensor/errors.js";
import { Rng } from "../tensor/random.js";
import { formatShape, sameShape } from "../tensor/shape.js";

/** A size preset with random weights. */
export function createPresetModel(
  preset: string,
  sizes: { vocabSize: number; maxSequenceLength: number; endOfTextId: number },
  seed: number,
): LlamaForCausalLM {
  const { hiddenSize, numHiddenLayers, numAttentionHeads, intermediateSize } = MODEL_PRESETS[preset]!;
  const config = llamaConfig({
    hiddenSize,
    intermediateSize,
    numLayers: numHiddenLayers,
    numHeads: numAttentionHeads,
    ...sizes,
  });
  return new LlamaForCausalLM(config, new Rng(seed, "weights"));
}

/** The model of a Hugging Face folder. @throws CheckpointError that lists every weight that is missing or does not fit. */
export async function loadModel(folder: string): Promise<{ model: LlamaForCausalLM; files: ModelFolder }> {
  const files = await readModelFolder(folder);
  const model = new LlamaForCausalLM(readLlamaConfig(files.config), new Rng(0));
  assignWeights(diskParameters(model), files.tensors, folder);
  return { model, files };
}

/** Every parameter of the model by its name on disk; adapters under the name of their layer. */
export function diskParameters(model: LlamaForCausalLM): Map<string, Parameter> {
  return new Map(
    [...namedParameters(model)].map(([path, parameter]) => [model.checkpointName(path), parameter] as const),
  );
}

/** The parameters as tensors to write, sharing their memory. */
export function hostTensors(parameters: ReadonlyMap<string, Parameter>): Map<string, HostTensor> {
  return new Map(
    [...parameters].map(([name, { shape, values }]) => [name, { dtype: "float32", shape, data: values }] as const),
  );
}

/** Copies the tensors into the parameters of the same names. @throws CheckpointError unless every parameter has its tensor. */
export function assignWeights(
  parameters: ReadonlyMap<string, Parameter>,
  tensors: ReadonlyMap<string, HostTensor>,
  where: string,
): void {
  const faults: string[] = [];
  for (const [name, { shape }] of parameters) {
    const tensor = tensors.get(name);
    if (tensor === undefined) faults.push(`"${name}" is missing`);
    else if (!sameShape(tensor.shape, shape)) {
      faults.push(`"${name}" has shape ${formatShape(tensor.shape)}, the model needs ${formatShape(shape)}`);
    }
  }
  if (faults.length > 0) throw new CheckpointError(`${where}: the weights do not fit the model:\n${faults.join("\n")}`);
  for (const [name, parameter] of parameters) parameter.assign(tensors.get(name)!.data);
}
