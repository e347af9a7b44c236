import { joinPath } from "#platform";
import { adapterParameters, adaptersOf, mergeableLayers } from "../adapters/inject.js";
import type { LowRankTerm } from "../adapters/low-rank-term.js";
import { joinTerms } from "../adapters/low-rank-term.js";
import { createMergePolicy, MERGE_POLICY_KINDS } from "../adapters/merge-policies.js";
import { CheckpointError, ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import type { Settings } from "../config/settings.js";
import { requireWhole } from "../files/checksums.js";
import { checkpointFault } from "../files/faults.js";
import type { LazyTensor } from "../files/lazy-tensor.js";
import { checkpointPath } from "../files/open-file.js";
import { requireBase } from "../loading/base-identity.js";
import { folderSource } from "../loading/folder-source.js";
import { assignSome, fillModel, type ModelSource } from "../loading/model-source.js";
import { frozenQuantizer, quantizeLayers } from "../loading/quantizing.js";
import type { UnmergedModel } from "../loading/unmerged-model.js";
import { describeHeld } from "../loading/unmerged-model.js";
import type { CausalLM } from "../models/causal-lm.js";
import type { AdamWState } from "../optim/adamw.js";
import type { Quantizer } from "../quant/quantizer.js";
import { type Delta, readDeltas } from "../relora/delta-log.js";
import { learnedTerms, openTerms, termsOf } from "../relora/delta-terms.js";
import { folderAt, type LayerWeight, MasterWeights } from "../relora/master-weights.js";
import { replayMerges } from "../relora/merging.js";
import { isMergedWhole, planStep } from "../relora/plan.js";
import { addAdapters } from "../relora/settings-adapters.js";
import type { HostTensor } from "../tensor/dtype.js";
import { Rng } from "../tensor/random.js";
import { type Checkpoint, type CheckpointName, listCheckpoints, readCheckpoint } from "./checkpoint.js";
import { bestOf, publishedStep } from "./early-stop.js";
import { readRunSettings } from "./run-folder.js";
import { logsLastCycle, parseRunState, plannedBy, type RunState } from "./run-state.js";
import { restoreStarts } from "./saving.js";

/** A run as one of its checkpoints has it. */
export interface SavedRun {
  readonly folder: string;
  readonly settings: Settings;
  readonly checkpoint: Checkpoint;
  readonly state: RunState;
  /** RUN/base, under the trained weights. */
  readonly source: ModelSource;
  readonly baseFolder: string;
  /** The format of the frozen weights under the adapters; null for float32, and while there are no adapters. */
  readonly quantizer: Quantizer | null;
  /** A cycle that was merged, at the end of a run, and that goes on: it is no longer among those of the state. */
  readonly reopened?: { readonly cycle: number; readonly isHeld: boolean };
}

/**
 * Opens a checkpoint of a run.
 * @throws CheckpointError for what is missing or does not belong together; ConfigError for invalid settings.
 */
export async function openRun(folder: string, which: CheckpointName = "last"): Promise<SavedRun> {
  const checkpoint = await readCheckpoint(folder, which);
  const state = parseRunState(checkpoint.state, joinPath(checkpoint.folder, "state.json"));
  const settings = await readRunSettings(folder);
  if (state.seed !== settings.seed) {
    throw new CheckpointError(
      `${checkpoint.folder} is of a run with seed ${state.seed}, but ${folder} is one with seed ${settings.seed}; ` +
        `resume from a checkpoint of this run`,
    );
  }
  const baseFolder = await checkpointPath(folder, "base");
  const checksums = await requireWhole(baseFolder, "bring it back from a copy of the run folder");
  const source = await folderSource(baseFolder);
  const run = { folder, settings, checkpoint, state, source, baseFolder };
  const model = source.build();
  // In the warm start the base may be that of the adapters that were to come.
  if (state.phase !== "warm-start") await requireBase(baseFolder, model, state.base, checkpoint.folder, checksums);
  if (!isAdapted(run)) return { ...run, quantizer: null };
  // The warm start is over, if there was one.
  return { ...run, quantizer: frozenQuantizer(model, { ...settings, warmStartSteps: 0 }) };
}

/**
 * Opens the checkpoint that a run stands for as a model: the one named, or else the last one, or the best where the
 * settings say so.
 * @throws as `openRun`.
 */
export async function openRunAsModel(folder: string, checkpoint: CheckpointName | null = null): Promise<SavedRun> {
  const last = await openRun(folder, checkpoint ?? "last");
  const { step } = last.checkpoint;
  const best = bestOf(step, last.state, await listCheckpoints(folder));
  const published = checkpoint === null ? publishedStep(step, { best }, last.settings) : step;
  return published === step ? last : openRun(folder, published);
}

function isAdapted({ state }: Pick<SavedRun, "state">): boolean {
  return state.phase === "adapter";
}

/**
 * The run with its last cycle taken up again, because its last step is no longer the last: as if that step had not
 * merged it. @param isHeld true if the adapters of the checkpoint still have what the cycle learned.
 */
export function reopenLastCycle(run: SavedRun): SavedRun {
  const { deltas } = run.state;
  const reopened = { cycle: deltas.length, isHeld: keepsLastCycle(run) };
  return { ...run, state: { ...run.state, deltas: deltas.slice(0, -1) }, reopened };
}

/** True if the delta log holds all that was learned when the checkpoint was saved. */
export function isMerged({
  checkpoint,
  settings,
  state,
}: Pick<SavedRun, "settings" | "state"> & { readonly checkpoint: Pick<Checkpoint, "step"> }): boolean {
  return isMergedWhole(planStep(checkpoint.step, { ...settings, ...plannedBy(state) }));
}

/**
 * True if the last cycle is in the delta log, and still in the adapters too: the weights under them are those that it
 * was trained on.
 */
export function keepsLastCycle(run: Pick<SavedRun, "settings" | "state" | "checkpoint" | "quantizer">): boolean {
  const { state, checkpoint, quantizer } = run;
  return logsLastCycle(quantizer, state) && checkpoint.step === state.maxSteps && isMerged(run);
}

/**
 * A model with all that was trained when the checkpoint was saved, adapters included; its other weights are not read.
 */
export function restoreTrained(run: SavedRun): CausalLM {
  const model = run.source.build();
  if (isAdapted(run)) addAdapters(model, run.settings, new Rng(run.settings.seed, "adapters"));
  assignTrained(model, run);
  return model;
}

/** The model that computes, with its trained weights: the adapters on the base and the cycles merged into it. */
export async function restoreModel(run: SavedRun): Promise<CausalLM> {
  const model = run.source.build();
  const { folder, source } = run;
  const base: LayerWeight = (layer) => source.readWeight(`${layer}.weight`);
  const master = new MasterWeights(folderAt(folder), { base, held: null });
  await restoreInto(model, run, master);
  return model;
}

/**
 * Gives a model that was just built from the run's base the weights and adapters of the checkpoint, to the last bit as
 * they were when it was saved.
 * @param master gets the merged cycles.
 */
export async function restoreInto(model: CausalLM, run: SavedRun, master: MasterWeights): Promise<void> {
  const { settings, source, quantizer } = run;
  if (quantizer !== null) await quantizeLayers(model, quantizer, source.readWeight);
  await fillModel(model, source);
  if (isAdapted(run)) {
    addAdapters(model, settings, new Rng(settings.seed, "adapters"), (layer) =>
      createMergePolicy(settings.mergePolicy, () => master.weight(layer)),
    );
    const taken = run.state.deltas.length - (run.reopened === undefined && keepsLastCycle(run) ? 1 : 0);
    await replayMerges(model, mergedCycles(run), master, settings.seed, taken);
  }
  assignTrained(model, run);
  if (run.reopened !== undefined && !run.reopened.isHeld) await takeUpAgain(model, run.folder, run.reopened.cycle);
}

/** Gives adapters that a merge has emptied what they had learned. */
async function takeUpAgain(model: CausalLM, folder: string, cycle: number): Promise<void> {
  const terms = await openTerms(folder, cycle);
  try {
    for (const [layer, adapter] of adaptersOf(model)) adapter.goOnFrom(await terms.get(layer)!.read());
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(
      `${optionName("maxSteps")}: ${folder} is finished, with its adapters merged, and cannot go on: ${error.message}; ` +
        "start a new run from its model/",
    );
  }
}

/** The cycles that the run had merged when the checkpoint was saved. */
export function mergedCycles({ folder, state }: SavedRun): AsyncIterable<Delta> {
  return readDeltas(folder, state.deltas);
}

/**
 * The optimizer's state of each trained tensor.
 * @throws CheckpointError if the checkpoint lacks one of them or has another one.
 */
export function savedMoments({ checkpoint, state }: SavedRun, trained: Iterable<string>): Map<string, AdamWState> {
  const { optimizer } = checkpoint.tensorFiles;
  const moments = new Map<string, AdamWState>();
  const faults: string[] = [];
  const known = new Set(trained);
  for (const name of known) {
    const [expAvg, expAvgSq] = ["exp_avg", "exp_avg_sq"].map((moment) => optimizer?.get(`${name}.${moment}`)?.data);
    const step = state.optimizerSteps[name];
    if (expAvg instanceof Float32Array && expAvgSq instanceof Float32Array && step !== undefined) {
      moments.set(name, { expAvg, expAvgSq, step });
    } else faults.push(`${name} is trained, but its optimizer state is missing`);
  }
  for (const name of Object.keys(state.optimizerSteps)) {
    if (!known.has(name)) faults.push(`${name} has optimizer state, but is not trained`);
  }
  if (faults.length > 0) throw checkpointFault(checkpoint.folder, faults);
  return moments;
}

function assignTrained(model: CausalLM, { checkpoint }: SavedRun): void {
  const { tensorFiles, folder } = checkpoint;
  restoreStarts(adaptersOf(model), tensorFiles.adapter_start, folder);
  assignSome(model, tensorFiles.trainable ?? new Map(), folder);
}

/** A run as one of its checkpoints has it, with its exact weights. */
export async function unmergedRun(run: SavedRun): Promise<UnmergedModel> {
  const { source, baseFolder, settings, checkpoint } = run;
  const trained = restoreTrained(run);
  const replaced = new Map<string, HostTensor | LazyTensor>(checkpoint.tensorFiles.trainable ?? []);
  for (const name of adapterParameters(trained).keys()) replaced.delete(name);
  const parts = { source, baseFolder, tokenizerFolder: baseFolder, replaced, quantizer: describeHeld(run.quantizer) };
  const isLogged = isMerged(run);
  const fromLog = run.quantizer === null || MERGE_POLICY_KINDS[settings.mergePolicy].exactFrom === "log";
  const isLearned = !isLogged || (!fromLog && keepsLastCycle(run));
  const learned = isLearned ? await learnedTerms(trained) : new Map<string, LowRankTerm>();
  if (fromLog) {
    const terms = new Map([...learned].map(([layer, term]): [string, LowRankTerm[]] => [layer, [term]]));
    for await (const cycle of mergedCycles(run)) {
      for (const [layer, term] of termsOf(cycle)) terms.set(layer, [...(terms.get(layer) ?? []), term]);
    }
    return { ...parts, updates: new Map([...terms].map(([layer, each]) => [layer, joinTerms(each)] as const)) };
  }
  // What such a policy made of the cycles can only be had by merging them once more.
  for (const [name, layer] of mergeableLayers(await restoreModel(run))) {
    const shape = [layer.outFeatures, layer.inFeatures];
    replaced.set(`${name}.weight`, { dtype: "float32", shape, read: () => layer.exactWeight() });
  }
  return { ...parts, updates: learned };
}
