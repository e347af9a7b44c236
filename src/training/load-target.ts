import { exists, joinPath } from "#platform";
// Merging computes with `Tensor.data()`.
import "../runtime/evaluate.js";
import { injectAdapters, mergeAdapters } from "../adapters/inject.js";
import { LoRAAdapter } from "../adapters/lora-adapter.js";
import { readCheckpoint } from "../checkpoints/checkpoint.js";
import { readDeltas } from "../checkpoints/delta-log.js";
import { type LoraPair, readPeftAdapter } from "../checkpoints/peft.js";
import type { LlamaForCausalLM } from "../models/llama.js";
import type { HostTensor } from "../tensor/dtype.js";
import { CheckpointError, ConfigError } from "../tensor/errors.js";
import { Rng } from "../tensor/random.js";
import { addAdapters, loraAdapters } from "./adapters.js";
import type { TargetOptions } from "./contracts.js";
import { assignWeights, diskParameters, loadModel } from "./model-source.js";
import { isRunFolder, readRunSettings } from "./run-folder.js";

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
  const { model } = await loadModel(folder);
  return { model, folder };
}

async function loadPeft(folder: string, base: string | null, withAdapter: boolean): Promise<LoadedTarget> {
  const { baseModel, rank, alpha, useRslora: rslora, layers, modulesToSave } = await readPeftAdapter(folder);
  const source = base ?? baseModel;
  if (source === null) throw new ConfigError(`${folder}: the adapter names no base model; give one with --base`);
  const loaded = await loadFolder(await existing(source, "give the adapter's base model with --base"));
  if (!withAdapter) return loaded;
  const { model } = loaded;
  const createAdapter = (inFeatures: number, outFeatures: number, rng: Rng): LoRAAdapter =>
    new LoRAAdapter(inFeatures, outFeatures, { rank, alpha, rslora }, rng);
  injectAdapters(model, { targetModules: [...layers.keys()], createAdapter }, new Rng(0));
  await mergeInto(model, layers);
  assign(model, modulesToSave, folder);
  return loaded;
}

/** What the last checkpoint trained, on the base and the cycles merged until then. */
async function loadUnfinished(run: string): Promise<LoadedTarget> {
  const { state, tensorFiles, folder } = await readCheckpoint(run, "last");
  const settings = await readRunSettings(run);
  const loaded = await loadFolder(joinPath(run, "base"));
  const { model } = loaded;
  if (state.phase === "adapter") {
    addAdapters(model, settings, new Rng(settings.seed, "adapters"));
    const deltas = readDeltas(run, { throughCycle: state.mergedCycles as number });
    for await (const { layers } of deltas) await mergeInto(model, layers);
  }
  assign(model, tensorFiles.trainable ?? new Map(), folder);
  return loaded;
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

/** Adds a cycle's scaling · B · A to the model's weights, as merging it in training did. */
async function mergeInto(model: LlamaForCausalLM, layers: ReadonlyMap<string, LoraPair>): Promise<void> {
  for (const [name, { loraA, loraB }] of loraAdapters(model)) {
    loraA.assign(layers.get(name)!.loraA.data);
    loraB.assign(layers.get(name)!.loraB.data);
  }
  await mergeAdapters(model, new Rng(0));
}
