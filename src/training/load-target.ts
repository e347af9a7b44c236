import { exists, joinPath } from "#platform";
// Merging computes with `Tensor.data()`.
import "../runtime/evaluate.js";
import { linearLayers } from "../adapters/inject.js";
import { createMergePolicy } from "../adapters/merge-policies.js";
import { hashModelFolder } from "../checkpoints/base-hash.js";
import { type Checkpoint, readCheckpoint } from "../checkpoints/checkpoint.js";
import { type Delta, readDeltas } from "../checkpoints/delta-log.js";
import { type LoraPair, type PeftAdapter, readPeftAdapter } from "../checkpoints/peft.js";
import type { Settings } from "../config/settings.js";
import type { LlamaForCausalLM } from "../models/llama.js";
import { describeQuantizer, type Quantizer } from "../quant/quantizer.js";
import type { HostTensor } from "../tensor/dtype.js";
import { CheckpointError, ConfigError } from "../tensor/errors.js";
import { Rng } from "../tensor/random.js";
import { formatShape } from "../tensor/shape.js";
import { addAdapters, loraAdapters } from "./adapters.js";
import type { TargetOptions } from "./contracts.js";
import { termsOf } from "./delta-terms.js";
import { MasterWeights } from "./master-weights.js";
import { replayMerges } from "./merging.js";
import { assignWeights, diskParameters, fillModel, folderSource, loadModel, type ModelSource } from "./model-source.js";
import { frozenQuantizer, quantizeLayers, quantizerOfModel } from "./quantizing.js";
import { isRunFolder, readRunSettings } from "./run-folder.js";
import { type BaseIdentity, restoreStarts } from "./saving.js";
import { applyUpdates } from "./updated-linear.js";

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
  if (await isAdapterFolder(target)) return loadPeft(target, base, adapter);
  requireNoBase(target, base);
  if (!(await isRunFolder(target))) return loadFolder(target);
  if (!adapter) return loadFolder(await existing(joinPath(target, "base"), "the run wrote none"));
  const finished = joinPath(target, "model");
  return (await exists(finished)) ? loadFolder(finished) : loadUnfinished(target);
}

async function loadUnfinished(target: string): Promise<LoadedTarget> {
  const run = await openRun(target);
  return { model: await restoreModel(run), folder: run.baseFolder };
}

/** Whether a folder holds a PEFT adapter. */
export function isAdapterFolder(folder: string): Promise<boolean> {
  return exists(joinPath(folder, "adapter_config.json"));
}

/** @throws ConfigError for a base that was given to what needs none. */
export function requireNoBase(target: string, base: string | null): void {
  if (base === null) return;
  throw new ConfigError(`--base: is for a PEFT adapter folder; ${target} is none, so leave it out`);
}

async function loadFolder(folder: string): Promise<LoadedTarget> {
  return { model: await loadModel(folder), folder };
}

async function loadPeft(folder: string, base: string | null, withAdapter: boolean): Promise<LoadedTarget> {
  const { adapter, source, baseFolder } = await openAdapter(folder, base);
  const model = source.build();
  await fillModel(model, source);
  if (!withAdapter) return { model, folder: baseFolder };
  assign(model, adapter.modulesToSave, folder);
  applyUpdates(model, termsOf({ scaling: scalingOf(adapter), layers: adapter.layers }));
  return { model, folder: baseFolder };
}

/** What a PEFT adapter multiplies B · A by. */
export function scalingOf({ rank, alpha, useRslora }: PeftAdapter): number {
  return useRslora ? alpha / Math.sqrt(rank) : alpha / rank;
}

/** A PEFT adapter and the model that it is for. */
export interface OpenAdapter {
  readonly adapter: PeftAdapter;
  readonly source: ModelSource;
  readonly baseFolder: string;
}

/**
 * Reads a PEFT adapter and opens its base, the folder given or the one that the adapter names.
 * @throws CheckpointError if the adapter was trained on other weights or does not fit these; ConfigError if there is no base.
 */
export async function openAdapter(folder: string, base: string | null): Promise<OpenAdapter> {
  const adapter = await readPeftAdapter(folder);
  const named = base ?? adapter.baseModel;
  if (named === null) throw new ConfigError(`${folder}: the adapter names no base model; give one with --base`);
  const baseFolder = await existing(named, "give the adapter's base model with --base");
  const source = await folderSource(baseFolder);
  const model = source.build();
  await requireBase(baseFolder, model, adapter.base, folder);
  requireLayers(model, adapter.layers, folder);
  return { adapter, source, baseFolder };
}

/** @throws CheckpointError if the weights in the folder are others than those that `where` was trained on. */
async function requireBase(
  folder: string,
  model: LlamaForCausalLM,
  trainedOn: BaseIdentity | null,
  where: string,
): Promise<void> {
  if (trainedOn === null) return;
  const sha256 = await hashModelFolder(folder);
  if (sha256 === trainedOn.sha256) return;
  const heldIn = (quantizer: string | null): string => (quantizer === null ? "" : `, held in ${quantizer}`);
  const present = quantizerOfModel(model);
  throw new CheckpointError(
    `${where}: was trained on weights with SHA-256 ${trainedOn.sha256}${heldIn(trainedOn.quantizer)}, but those of ` +
      `${folder} have ${sha256}${heldIn(present && describeQuantizer(present))}; name the model that it was trained on`,
  );
}

/** @throws CheckpointError unless the model has a linear layer for each pair, of its sizes. */
function requireLayers(model: LlamaForCausalLM, layers: ReadonlyMap<string, LoraPair>, where: string): void {
  const linears = linearLayers(model);
  const faults: string[] = [];
  for (const [name, { loraA, loraB }] of layers) {
    const linear = linears.get(name)?.linear;
    const [outFeatures, inFeatures] = [loraB.shape[0]!, loraA.shape[1]!];
    if (linear === undefined) faults.push(`the model has no linear layer ${name}`);
    else if (linear.inFeatures !== inFeatures || linear.outFeatures !== outFeatures) {
      const [is, needed] = [
        [linear.outFeatures, linear.inFeatures],
        [outFeatures, inFeatures],
      ].map(formatShape);
      faults.push(`${name} is ${is} in the model and ${needed} in the adapter`);
    }
  }
  if (faults.length === 0) return;
  throw new CheckpointError(`${where}: the adapter does not fit its base; check the base:\n${faults.join("\n")}`);
}

/** A run as its last checkpoint has it. */
export interface SavedRun {
  readonly folder: string;
  readonly settings: Settings;
  readonly checkpoint: Checkpoint;
  readonly source: ModelSource;
  readonly baseFolder: string;
  /** What holds the frozen weights under the adapters; null for float32, and while there are no adapters. */
  readonly quantizer: Quantizer | null;
}

/** Opens the last checkpoint of a run. @throws CheckpointError for what is missing or does not belong together. */
export async function openRun(folder: string): Promise<SavedRun> {
  const checkpoint = await readCheckpoint(folder, "last");
  const settings = await readRunSettings(folder);
  const baseFolder = joinPath(folder, "base");
  const source = await folderSource(baseFolder);
  const model = source.build();
  await requireBase(baseFolder, model, checkpoint.state.base as BaseIdentity, checkpoint.folder);
  // The warm start is over, if there was one.
  const quantizer = isAdapted(checkpoint) ? frozenQuantizer(model, { ...settings, warmStartSteps: 0 }) : null;
  return { folder, settings, checkpoint, source, baseFolder, quantizer };
}

function isAdapted({ state }: Checkpoint): boolean {
  return state.phase === "adapter";
}

/** What was trained when the checkpoint was saved, adapters included, on a model whose other weights are still to be read. */
export function restoreTrained(run: SavedRun): LlamaForCausalLM {
  const model = run.source.build();
  if (isAdapted(run.checkpoint)) addAdapters(model, run.settings, new Rng(run.settings.seed, "adapters"));
  assignTrained(model, run);
  return model;
}

/** The model that computes: what was trained, on the base and the cycles merged until then. */
export async function restoreModel(run: SavedRun): Promise<LlamaForCausalLM> {
  const { settings, source, quantizer } = run;
  const model = source.build();
  if (quantizer !== null) await quantizeLayers(model, quantizer, source.readWeight);
  await fillModel(model, source);
  if (isAdapted(run.checkpoint)) {
    const master = new MasterWeights((layer) => source.readWeight(`${layer}.weight`));
    addAdapters(model, settings, new Rng(settings.seed, "adapters"), (layer) =>
      createMergePolicy(settings.mergePolicy, () => master.weight(layer)),
    );
    await replayMerges(model, mergedCycles(run), master, settings.seed);
  }
  assignTrained(model, run);
  return model;
}

/** The cycles that the run had merged when the checkpoint was saved. */
export function mergedCycles({ folder, checkpoint }: SavedRun): AsyncIterable<Delta> {
  return readDeltas(folder, { throughCycle: checkpoint.state.mergedCycles as number });
}

function assignTrained(model: LlamaForCausalLM, { checkpoint }: SavedRun): void {
  const { tensorFiles, folder } = checkpoint;
  restoreStarts(loraAdapters(model), tensorFiles.adapter_start);
  assign(model, tensorFiles.trainable ?? new Map(), folder);
}

/** Copies tensors into the parameters of their names. @throws CheckpointError for those that the model does not have. */
export function assign(model: LlamaForCausalLM, tensors: ReadonlyMap<string, HostTensor>, where: string): void {
  const parameters = diskParameters(model);
  const faults = [...tensors.keys()].filter((name) => !parameters.has(name));
  if (faults.length > 0) throw new CheckpointError(`${where}: the model has no ${faults.join(", ")}; check the base`);
  assignWeights(new Map([...tensors.keys()].map((name) => [name, parameters.get(name)!])), tensors, where);
}

async function existing(folder: string, remedy: string): Promise<string> {
  if (await exists(folder)) return folder;
  throw new CheckpointError(`${folder}: there is no such folder; ${remedy}`);
}
