import { exists, joinPath } from "#platform";
// Merging computes with `Tensor.data()`.
import "../runtime/evaluate.js";
import { injectAdapters } from "../adapters/inject.js";
import { LoRAAdapter } from "../adapters/lora-adapter.js";
import { createMergePolicy } from "../adapters/merge-policies.js";
import { hashModelFolder } from "../checkpoints/base-hash.js";
import { readCheckpoint } from "../checkpoints/checkpoint.js";
import { readDeltas } from "../checkpoints/delta-log.js";
import { readPeftAdapter } from "../checkpoints/peft.js";
import type { LlamaForCausalLM } from "../models/llama.js";
import type { HostTensor } from "../tensor/dtype.js";
import { CheckpointError, ConfigError } from "../tensor/errors.js";
import { Rng } from "../tensor/random.js";
import { addAdapters, loraAdapters } from "./adapters.js";
import type { TargetOptions } from "./contracts.js";
import { MasterWeights } from "./master-weights.js";
import { replayMerges } from "./merging.js";
import { assignWeights, diskParameters, fillModel, folderSource, loadModel } from "./model-source.js";
import { frozenQuantizer, quantizeLayers } from "./quantizing.js";
import { isRunFolder, readRunSettings } from "./run-folder.js";
import { type BaseIdentity, restoreStarts } from "./saving.js";

/** A model to evaluate or to generate with. Its adapters, where it has any, are part of it. */
export interface LoadedTarget {
  readonly model: LlamaForCausalLM;
  /** The model folder, in which its tokenizer is. */
  readonly folder: string;
}

/**
 * Loads a run folder (its finished model, or else its last checkpoint), a Hugging Face model folder, or a PEFT adapter
 * folder with the base that `base` or its config names.
 * @throws CheckpointError or ConfigError saying what is missing.
 */
export async function loadTarget(
  target: string,
  { base, adapter }: Pick<TargetOptions, "base" | "adapter">,
): Promise<LoadedTarget> {
  if (await exists(joinPath(target, "adapter_config.json"))) return loadPeft(target, base, adapter);
  if (base !== null) {
    throw new ConfigError(`--base: is for a PEFT adapter folder; ${target} is none, so leave it out`);
  }
  if (!(await isRunFolder(target))) return loadFolder(target);
  if (!adapter) return loadFolder(await existing(joinPath(target, "base"), "the run wrote none"));
  const finished = joinPath(target, "model");
  return (await exists(finished)) ? loadFolder(finished) : loadUnfinished(target);
}

async function loadFolder(folder: string): Promise<LoadedTarget> {
  return { model: await loadModel(folder), folder };
}

async function loadPeft(folder: string, base: string | null, withAdapter: boolean): Promise<LoadedTarget> {
  const adapter = await readPeftAdapter(folder);
  const { rank, alpha, useRslora: rslora, layers, modulesToSave } = adapter;
  const source = base ?? adapter.baseModel;
  if (source === null) throw new ConfigError(`${folder}: the adapter names no base model; give one with --base`);
  const modelFolder = await existing(source, "give the adapter's base model with --base");
  await requireBase(modelFolder, adapter.base, folder);
  const loaded = await loadFolder(modelFolder);
  if (!withAdapter) return loaded;
  const { model } = loaded;
  const createAdapter = (inFeatures: number, outFeatures: number, rng: Rng): LoRAAdapter =>
    new LoRAAdapter(inFeatures, outFeatures, { rank, alpha, rslora }, rng);
  injectAdapters(model, { targetModules: [...layers.keys()], createAdapter }, new Rng(0));
  for (const [name, { loraA, loraB }] of loraAdapters(model)) {
    loraA.adopt(layers.get(name)!.loraA.data as Float32Array);
    loraB.adopt(layers.get(name)!.loraB.data as Float32Array);
  }
  assign(model, modulesToSave, folder);
  return loaded;
}

/** @throws CheckpointError if the weights in the folder are others than those that the adapter was trained on. */
async function requireBase(folder: string, trainedOn: BaseIdentity | null, where: string): Promise<void> {
  if (trainedOn === null) return;
  const sha256 = await hashModelFolder(folder);
  if (sha256 === trainedOn.sha256) return;
  const quantizer = trainedOn.quantizer === null ? "" : ` (quantized with ${trainedOn.quantizer} in training)`;
  throw new CheckpointError(
    `${where}: was trained on weights with SHA-256 ${trainedOn.sha256}${quantizer}, but those of ${folder} have ${sha256}; ` +
      "name the model that it was trained on",
  );
}

/** What the last checkpoint trained, on the base and the cycles merged until then. */
async function loadUnfinished(run: string): Promise<LoadedTarget> {
  const { state, tensorFiles, folder } = await readCheckpoint(run, "last");
  const settings = await readRunSettings(run);
  const base = joinPath(run, "base");
  await requireBase(base, state.base as BaseIdentity, folder);
  const source = await folderSource(base);
  const model = source.build();
  if (state.phase === "adapter") {
    const quantizer = frozenQuantizer(model, { ...settings, warmStartSteps: 0 });
    if (quantizer !== null) await quantizeLayers(model, quantizer, source.readWeight);
    await fillModel(model, source);
    const master = new MasterWeights((layer) => source.readWeight(`${layer}.weight`));
    addAdapters(model, settings, new Rng(settings.seed, "adapters"), (layer) =>
      createMergePolicy(settings.mergePolicy, () => master.weight(layer)),
    );
    const deltas = readDeltas(run, { throughCycle: state.mergedCycles as number });
    await replayMerges(model, deltas, master, settings.seed);
    restoreStarts(loraAdapters(model), tensorFiles.adapter_start);
  } else {
    await fillModel(model, source);
  }
  assign(model, tensorFiles.trainable ?? new Map(), folder);
  return { model, folder: base };
}

/** Copies tensors into the parameters of their names. */
function assign(model: LlamaForCausalLM, tensors: ReadonlyMap<string, HostTensor>, where: string): void {
  const parameters = diskParameters(model);
  const faults = [...tensors.keys()].filter((name) => !parameters.has(name));
  if (faults.length > 0) throw new CheckpointError(`${where}: the model has no ${faults.join(", ")}; check the base`);
  assignWeights(new Map([...tensors.keys()].map((name) => [name, parameters.get(name)!])), tensors, where);
}

async function existing(folder: string, remedy: string): Promise<string> {
  if (await exists(folder)) return folder;
  throw new CheckpointError(`${folder}: there is no such folder; ${remedy}`);
}
