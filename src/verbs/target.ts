import { exists } from "#platform";
import { requireArguments, TEXT } from "../base/arguments.js";
import { ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import type { Settings } from "../config/settings.js";
import { requireWhole } from "../files/checksums.js";
import { readHostTensor } from "../files/lazy-tensor.js";
import { checkpointPath } from "../files/open-file.js";
import { locateModel } from "../hub/locate-model.js";
import type { DownloadEvents } from "../hub/model-download.js";
import { readTokenizer } from "../loading/companions.js";
import { folderSource } from "../loading/folder-source.js";
import { assignSome, type FillOptions, fillModel, type ModelSource } from "../loading/model-source.js";
import { existing, isAdapterFolder, openAdapter, tokenizerFolder } from "../loading/open-adapter.js";
import type { PeftEffect } from "../loading/peft-effect.js";
import { isNarrow, quantizerOfModel, widen, widenedBytes } from "../loading/quantizing.js";
import { describeHeld, type UnmergedModel } from "../loading/unmerged-model.js";
import { applyUpdates } from "../loading/updated-linear.js";
import { openWeighted, type WeightedAdapter } from "../loading/weighted-adapters.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { CheckpointName } from "../runs/checkpoint.js";
import { isRunFolder, readRunSettings } from "../runs/run-folder.js";
import { openRunAsModel, restoreModel, unmergedRun } from "../runs/saved-run.js";
import { threadsWarning } from "../runtime/threads.js";
import type { TokenizerSource } from "../tokenizers/model-tokenizer.js";

/** Options that may go with the name of a target. */
export interface Origin extends DownloadEvents {
  /** The model under a PEFT adapter, a folder or a name of the hub; null for the one that the adapter names. */
  readonly base: string | null;
  /** Adapters for a model, whose updates are added to it. Default: none. */
  readonly adapters?: readonly WeightedAdapter[];
  /** The checkpoint of a run folder. Default and null: the last one, or the best if the run's settings say so. */
  readonly checkpoint?: CheckpointName | null;
}

/** Paths and names of what is read of a target, as far as its options say it. */
export function readBy(target: string, { base, adapters = [] }: Origin): (string | null)[] {
  return [target, base, ...adapters.map(({ adapter }) => adapter)];
}

/** A named thing and the options that go with it. Its files are read by the function that makes something of it. */
export type Target = {
  readonly folder: string;
  /** Its permanent name: the path, or `organisation/name@COMMIT` of the hub. */
  readonly name: string;
  readonly events: DownloadEvents;
} & (
  | { readonly kind: "run"; readonly checkpoint: CheckpointName | null }
  | { readonly kind: "adapter"; readonly base: string | null }
  | { readonly kind: "model"; readonly adapters: readonly WeightedAdapter[] }
);

/**
 * Finds a target, a folder or a name of the hub, and tells what it is.
 * @throws ConfigError for a base, adapters or a checkpoint that do not go with it; CheckpointError as `downloadModel`.
 */
export async function openTarget(
  named: string,
  { base, adapters = [], checkpoint = null, onDownload, onNotice }: Origin,
): Promise<Target> {
  requireArguments("target", { name: TEXT }, { name: named });
  const events = { onDownload, onNotice };
  const { folder, name } = await locateModel(named, events);
  const kind = (await isRunFolder(folder)) ? "run" : (await isAdapterFolder(folder)) ? "adapter" : "model";
  const faults: string[] = [];
  if (base !== null && kind !== "adapter") {
    faults.push(`${optionName("base")} is for PEFT adapters; ${named} is not one, so leave it out`);
  }
  if (adapters.length > 0 && kind !== "model") {
    const is = kind === "run" ? "a run" : "a PEFT adapter";
    faults.push(
      `${optionName("adapters")} is for models; ${named} is ${is}, so name its base instead, and its adapter ` +
        "among the others",
    );
  }
  if (checkpoint !== null && kind !== "run") {
    faults.push(`${optionName("checkpoint")} is for runs; ${named} is not one, so leave it out`);
  }
  if (faults.length > 0) throw new ConfigError(faults.join("\n"));
  switch (kind) {
    case "run":
      return { kind, folder, name, events, checkpoint };
    case "adapter":
      return { kind, folder, name, events, base };
    case "model":
      return { kind, folder, name, events, adapters };
  }
}

/** Options for loading a target to compute with. */
export interface LoadOptions {
  /** False leaves the adapter of a target, or the adapters that go with it, out and loads the base alone. */
  readonly adapter: boolean;
  /**
   * The device that computes with the model as it is. On the CPU, matrices that the files hold in 16-bit floats stay
   * so. If left out, all are float32, and may be changed.
   */
  readonly device?: Settings["device"];
  /**
   * True if weights that the files hold in fewer bits are held in float32, where the model then takes so many bytes.
   * Default: never.
   */
  readonly widens?: ((bytes: number) => boolean) | undefined;
}

/** Options for loading a model to evaluate or to generate with. */
export interface TargetOptions extends Origin, LoadOptions {
  /** The checkpoint of a run folder. Default and null: the finished model, or else as in {@link Origin}. */
  readonly checkpoint?: CheckpointName | null;
  readonly device: Settings["device"];
  readonly threads: Settings["threads"];
}

/** A model to evaluate or to generate with. Its adapters, if any, are part of it. */
export interface LoadedTarget {
  readonly model: CausalLM;
  /** The model folder. */
  readonly folder: string;
  /** That beside an adapter, or else the one in the model folder. */
  readonly tokenizer: TokenizerSource;
  /**
   * Of a run: `trained` for one of its checkpoints, the base as its steps saw it with the adapter; `exact` for its
   * finished model, in which nothing is rounded. They differ only on a quantized base. Null for the base alone and for
   * what is no run.
   */
  readonly weights: "trained" | "exact" | null;
  /** Tokens of a row or of the longest sample that a run was trained on; null for what is no run. */
  readonly trainedLength: number | null;
}

/**
 * Loads a run folder (the named checkpoint, or its finished model, or else its newest state), a Hugging Face model, or
 * a PEFT adapter with the base that `base` or its config names. Models and adapters are folders or names of the hub.
 * @throws CheckpointError or ConfigError saying what is missing.
 */
export async function loadTarget(
  named: string,
  options: Origin & LoadOptions & Partial<Pick<TargetOptions, "threads">>,
): Promise<LoadedTarget> {
  const tooMany = threadsWarning(options.threads ?? null);
  if (tooMany !== null) options.onNotice?.(tooMany);
  return modelOf(await openTarget(named, options), options);
}

/** @param tokens those of an option; null if it is left out. @throws ConfigError for more than the model sees. */
export function requireLength(option: string, tokens: number | null, { model }: LoadedTarget, target: string): void {
  const { maxSequenceLength: longest } = model.config;
  if (tokens === null || tokens <= longest) return;
  throw new ConfigError(`${optionName(option)}: must be at most ${longest}, the length of ${target}, got ${tokens}`);
}

/** The target as a model in memory; for a run whose checkpoint is not named, its finished model if there is one. */
export async function modelOf(target: Target, { adapter, device, widens }: LoadOptions): Promise<LoadedTarget> {
  const { folder, events } = target;
  const options: HoldOptions = { holdHalf: () => device === "cpu", widens };
  switch (target.kind) {
    case "run": {
      if (!adapter) {
        const base = await existing(await checkpointPath(folder, "base"), "the run wrote none");
        return asTrained(await loadWritten(base, "bring it back from a copy of the run folder", options), folder);
      }
      const finished = await checkpointPath(folder, "model");
      if (target.checkpoint === null && (await exists(finished))) {
        const model = await loadWritten(finished, `highrank resume ${folder} writes it again`, options);
        return asTrained({ ...model, weights: "exact" }, folder);
      }
      const run = await openRunAsModel(folder, target.checkpoint);
      const model = await restoreModel(run);
      widenIf(model, widens);
      return asTrained({ ...loaded(model, run.baseFolder), weights: "trained" }, folder);
    }
    case "adapter": {
      const { effect, source, baseFolder } = await openAdapter(folder, target.base, events);
      const found = await load(baseFolder, source, adapter ? effect : null, options);
      if (!adapter) return found;
      const read = async () => readTokenizer(await tokenizerFolder(folder, baseFolder));
      return { ...found, tokenizer: { ...found.tokenizer, read } };
    }
    case "model": {
      const effect = adapter ? await openWeighted(target.adapters, folder, events) : null;
      return load(folder, await folderSource(folder, { untied: effect?.unties ?? false, ...events }), effect, options);
    }
  }
}

function loaded(model: CausalLM, folder: string): LoadedTarget {
  const tokenizer = { read: () => readTokenizer(folder), addSpecialTokens: true };
  return { model, folder, tokenizer, weights: null, trainedLength: null };
}

/** The target with its tokenizer used as in the run, and the length that the run trained on. */
async function asTrained(target: LoadedTarget, run: string): Promise<LoadedTarget> {
  const { addSpecialTokens, sequenceLength } = await readRunSettings(run);
  return { ...target, tokenizer: { ...target.tokenizer, addSpecialTokens }, trainedLength: sequenceLength };
}

type HoldOptions = FillOptions & Pick<LoadOptions, "widens">;

function widenIf(model: CausalLM, widens: LoadOptions["widens"]): void {
  if (isNarrow(model) && widens?.(widenedBytes(model))) widen(model);
}

/** Loads a folder that a run wrote. */
async function loadWritten(folder: string, wayOut: string, options: HoldOptions): Promise<LoadedTarget> {
  await requireWhole(folder, wayOut);
  return load(folder, await folderSource(folder), null, options);
}

async function load(
  folder: string,
  source: ModelSource,
  effect: PeftEffect | null,
  options: HoldOptions,
): Promise<LoadedTarget> {
  const model = source.build();
  await fillModel(model, source, options);
  // Before the updates, which float32 weights take up.
  widenIf(model, options.widens);
  for (const [name, tensor] of effect?.replaced ?? []) {
    assignSome(model, new Map([[name, await readHostTensor(tensor)]]), folder);
  }
  if (effect !== null) await applyUpdates(model, effect.updates);
  return loaded(model, folder);
}

/** The target as the parts that merging joins. @throws CheckpointError for what does not fit together. */
export async function unmergedOf(target: Target): Promise<UnmergedModel> {
  const { folder, events } = target;
  switch (target.kind) {
    case "run":
      return unmergedRun(await openRunAsModel(folder, target.checkpoint));
    case "adapter": {
      const { adapter, effect, source, baseFolder } = await openAdapter(folder, target.base, events);
      const quantizer = adapter.base?.quantizer ?? heldIn(source);
      return { source, baseFolder, tokenizerFolder: await tokenizerFolder(folder, baseFolder), ...effect, quantizer };
    }
    case "model": {
      const effect = await openWeighted(target.adapters, folder, events);
      const source = await folderSource(folder, { untied: effect?.unties ?? false, ...events });
      const { replaced, updates } = effect ?? { replaced: new Map(), updates: new Map() };
      return { source, baseFolder: folder, tokenizerFolder: folder, replaced, updates, quantizer: heldIn(source) };
    }
  }
}

function heldIn(source: ModelSource): string | null {
  return describeHeld(quantizerOfModel(source.build()));
}
