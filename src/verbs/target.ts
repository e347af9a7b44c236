import { exists } from "#platform";
import { ConfigError } from "../base/errors.js";
import type { Settings } from "../config/settings.js";
import { requireWhole } from "../formats/checksums.js";
import { readHostTensor } from "../formats/lazy-tensor.js";
import { checkpointPath } from "../formats/open-file.js";
import { modelFolder } from "../hub/locate-model.js";
import type { DownloadEvents } from "../hub/model-download.js";
import { assignSome, type FillOptions, fillModel, loadModel } from "../loading/model-source.js";
import { existing, isAdapterFolder, type OpenAdapter, openAdapter } from "../loading/open-adapter.js";
import type { PeftEffect } from "../loading/peft-effect.js";
import { applyUpdates } from "../loading/updated-linear.js";
import type { WeightedAdapter } from "../loading/weighted-adapters.js";
import { openWeighted } from "../loading/weighted-adapters.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { CheckpointName } from "../runs/checkpoint.js";
import { isRunFolder } from "../runs/run-folder.js";
import { openRunAsModel, restoreModel } from "../runs/saved-run.js";

/** How a model is loaded for evaluation and generation. */
export interface TargetOptions extends DownloadEvents {
  /** The model under a PEFT adapter, a folder or a name of the hub; null for the one that the adapter names. */
  readonly base: string | null;
  /** False leaves the adapter out and gives the base alone. */
  readonly adapter: boolean;
  /** Adapters for a model, whose updates are added to it; none where they are left out. */
  readonly adapters?: readonly WeightedAdapter[];
  /** The checkpoint of a run folder; its finished model, or else the newest state, where it is left out or null. */
  readonly checkpoint?: CheckpointName | null;
  readonly device: Settings["device"];
  readonly threads: Settings["threads"];
}

/** A model to evaluate or to generate with. Its adapters, where it has any, are part of it. */
export interface LoadedTarget {
  readonly model: CausalLM;
  /** The model folder, in which its tokenizer is. */
  readonly folder: string;
}

/** What to load, and for what. */
export type LoadOptions = Pick<TargetOptions, "base" | "adapter" | "adapters" | "checkpoint" | keyof DownloadEvents> & {
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
  { base, adapter, adapters = [], checkpoint = null, device, onDownload, onNotice }: LoadOptions,
): Promise<LoadedTarget> {
  const options: FillOptions = { holdHalf: () => device === "cpu" };
  const events = { onDownload, onNotice };
  const target = await modelFolder(named, events);
  const isRun = await isRunFolder(target);
  if (!isRun) requireNoCheckpoint(named, checkpoint);
  const isAdapter = !isRun && (await isAdapterFolder(target));
  if (isRun || isAdapter) requireNoAdapters(named, adapters);
  if (isAdapter) return loadPeft(await openAdapter(target, base, events), adapter, options);
  requireNoBase(named, base);
  if (!isRun) return loadFolder(target, options, adapter ? await openWeighted(adapters, target, events) : null);
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

/** @throws ConfigError for a base that was given to what needs none. */
export function requireNoBase(target: string, base: string | null): void {
  if (base === null) return;
  throw new ConfigError(`--base: is for a PEFT adapter folder; ${target} is none, so leave it out`);
}

/** @throws ConfigError for adapters that are given to what has its own. */
export function requireNoAdapters(target: string, adapters: readonly WeightedAdapter[]): void {
  if (adapters.length === 0) return;
  throw new ConfigError(
    `--adapters: is for a model, and ${target} is none; name its base in its place, and its adapter among the others`,
  );
}

/** @throws ConfigError for a checkpoint that is named of what is no run. */
export function requireNoCheckpoint(target: string, checkpoint: CheckpointName | null): void {
  if (checkpoint === null) return;
  throw new ConfigError(`--checkpoint: is for a run folder; ${target} is none, so leave it out`);
}

async function loadFolder(
  folder: string,
  options: FillOptions,
  effect: PeftEffect | null = null,
): Promise<LoadedTarget> {
  const model = await loadModel(folder, options);
  if (effect !== null) await applyEffect(model, effect, folder);
  return { model, folder };
}

async function applyEffect(model: CausalLM, { replaced, updates }: PeftEffect, where: string): Promise<void> {
  for (const [name, tensor] of replaced) assignSome(model, new Map([[name, await readHostTensor(tensor)]]), where);
  await applyUpdates(model, updates);
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
  if (withAdapter) await applyEffect(model, effect, folder);
  return { model, folder: baseFolder };
}
