import { exists, joinPath } from "#platform";
import type { CheckpointName } from "../checkpoints/checkpoint.js";
import { requireWhole } from "../checkpoints/checksums.js";
import { readHostTensor } from "../checkpoints/lazy-tensor.js";
import { checkpointPath } from "../checkpoints/open-file.js";
import { type ReadPeftAdapter, readPeftAdapter } from "../checkpoints/peft.js";
import { modelFolder } from "../hub/locate-model.js";
import type { DownloadEvents } from "../hub/model-download.js";
import type { CausalLM } from "../models/causal-lm.js";
import { CheckpointError, ConfigError } from "../tensor/errors.js";
import { requireBase } from "./base-identity.js";
import type { TargetOptions } from "./contracts.js";
import { assignSome, type FillOptions, fillModel, folderSource, loadModel, type ModelSource } from "./model-source.js";
import { type PeftEffect, peftEffect } from "./peft-effect.js";
import { isRunFolder } from "./run-folder.js";
import { openRunAsModel, restoreModel } from "./saved-run.js";
import { applyUpdates } from "./updated-linear.js";

/** A model to evaluate or to generate with. Its adapters, where it has any, are part of it. */
export interface LoadedTarget {
  readonly model: CausalLM;
  /** The model folder, in which its tokenizer is. */
  readonly folder: string;
}

/** What to load, and for what. */
export type LoadOptions = Pick<TargetOptions, "base" | "adapter" | "checkpoint" | keyof DownloadEvents> & {
  /**
   * What computes with the model as it is. On the CPU, matrices that the files have in 16-bit floats are held so. Left out: all are
   * float32, to be changed as well.
   */
  readonly device?: TargetOptions["device"];
};

/**
 * Loads a run folder (the checkpoint named, or its finished model, or else its newest state), a Hugging Face model, or a PEFT adapter
 * with the base that `base` or its config names; models and adapters are folders, or of the hub by name.
 * @throws CheckpointError or ConfigError saying what is missing.
 */
export async function loadTarget(
  named: string,
  { base, adapter, checkpoint = null, device, onDownload, onNotice }: LoadOptions,
): Promise<LoadedTarget> {
  const options: FillOptions = { holdHalf: () => device === "cpu" };
  const events = { onDownload, onNotice };
  const target = await modelFolder(named, events);
  const isRun = await isRunFolder(target);
  if (!isRun) requireNoCheckpoint(named, checkpoint);
  if (await isAdapterFolder(target)) return loadPeft(await openAdapter(target, base, events), adapter, options);
  requireNoBase(named, base);
  if (!isRun) return loadFolder(target, options);
  const part = (name: string): Promise<string> => checkpointPath(target, name);
  if (!adapter) {
    return loadChecked(
      await existing(await part("base"), "the run wrote none"),
      "bring it back from a copy of the run folder",
      options,
    );
  }
  const finished = await part("model");
  if (checkpoint !== null || !(await exists(finished))) return loadCheckpoint(target, checkpoint);
  return loadChecked(finished, `highrank resume ${target} writes it anew`, options);
}

async function loadCheckpoint(target: string, checkpoint: CheckpointName | null): Promise<LoadedTarget> {
  const run = await openRunAsModel(target, checkpoint);
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

/** @throws ConfigError for a checkpoint that is named of what is no run. */
export function requireNoCheckpoint(target: string, checkpoint: CheckpointName | null): void {
  if (checkpoint === null) return;
  throw new ConfigError(`--checkpoint: is for a run folder; ${target} is none, so leave it out`);
}

async function loadFolder(folder: string, options: FillOptions): Promise<LoadedTarget> {
  return { model: await loadModel(folder, options), folder };
}

/** A folder that a run wrote. */
async function loadChecked(folder: string, wayOut: string, options: FillOptions): Promise<LoadedTarget> {
  await requireWhole(folder, wayOut);
  return loadFolder(folder, options);
}

async function loadPeft(
  { folder, effect, source, baseFolder }: OpenAdapter,
  withAdapter: boolean,
  options: FillOptions,
): Promise<LoadedTarget> {
  const model = source.build();
  await fillModel(model, source, options);
  if (!withAdapter) return { model, folder: baseFolder };
  for (const [name, tensor] of effect.replaced)
    assignSome(model, new Map([[name, await readHostTensor(tensor)]]), folder);
  await applyUpdates(model, effect.updates);
  return { model, folder: baseFolder };
}

/** A PEFT adapter and the model that it is for. */
export interface OpenAdapter {
  readonly folder: string;
  readonly adapter: ReadPeftAdapter;
  readonly effect: PeftEffect;
  readonly source: ModelSource;
  readonly baseFolder: string;
}

/**
 * Reads a PEFT adapter and opens its base: what is given, a folder or a name of the hub, or what the adapter names.
 * @throws CheckpointError if the adapter was trained on other weights or does not fit these; ConfigError if there is no base.
 */
export async function openAdapter(folder: string, base: string | null, events?: DownloadEvents): Promise<OpenAdapter> {
  const adapter = await readPeftAdapter(folder);
  const named = base ?? (await baseNameOf(adapter));
  if (named === null) throw new ConfigError(`${folder}: the adapter names no base model; give one with --base`);
  const baseFolder = await existing(await modelFolder(named, events), "give the adapter's base model with --base");
  const source = await folderSource(baseFolder);
  const model = source.build();
  await requireBase(baseFolder, model, adapter.base, folder);
  return { folder, adapter, effect: peftEffect(adapter, source, model, folder), source, baseFolder };
}

/** What the adapter says of its base: a path, or a name of the hub with the revision, where it has one. */
async function baseNameOf({ baseModel, baseRevision }: ReadPeftAdapter): Promise<string | null> {
  if (baseModel === null || baseRevision === null || (await exists(baseModel))) return baseModel;
  return `${baseModel}@${baseRevision}`;
}

async function existing(folder: string, remedy: string): Promise<string> {
  if (await exists(folder)) return folder;
  throw new CheckpointError(`${folder}: there is no such folder; ${remedy}`);
}
