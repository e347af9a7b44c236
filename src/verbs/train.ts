import { isPage, usualDevice } from "#platform";
import {
  AMOUNT,
  FLAG,
  FUNCTION,
  type Kind,
  OBJECT,
  requireArguments,
  requireOptions,
  SIGNAL,
  TEXT,
} from "../base/arguments.js";
import { Listeners } from "../base/listeners.js";
import { heardByProgram } from "../base/naming.js";
import { smallest } from "../base/numbers.js";
import { resolveSettings } from "../config/resolve.js";
import type { TrainSettings } from "../config/train-settings.js";
import { unusedNotices } from "../config/unused.js";
import { allRecords } from "../runs/all-records.js";
import type { EvalRecord, MetricsRecord, StepRecord } from "../runs/metrics.js";
import type { TrainResult } from "../training/ending.js";
import { Pace } from "../training/pace.js";
import { type ResumeOptions, resume as resumeRun } from "../training/resume.js";
import { startResuming, startTraining, type TrainingHandle } from "../training/start.js";
import { type TrainingOptions, type TrainOptions, train as trainRun } from "../training/train.js";
import { type LanguageModel, loadModel, type ModelOptions } from "./model.js";
import { CHECKPOINT } from "./model-options.js";

/** Listeners of a run, and what ends it; all may be left out. */
export interface RunOptions extends Omit<TrainOptions, "ranks"> {
  /** Hears of each optimizer step. */
  readonly onStep?: (record: StepRecord) => void;
  /** Hears of each evaluation on the held-out split. */
  readonly onEval?: (record: EvalRecord) => void;
  /** Ends the run after the step under way, with a checkpoint saved; its outcome is then `stopped`. */
  readonly signal?: AbortSignal | undefined;
}

/** A run that has ended. */
export interface Run extends TrainResult {
  /** The run folder, which the verbs take as their target. */
  readonly folder: string;
  /** The held-out loss of the last evaluation, in nats; null where none was made. */
  readonly finalLoss: number | null;
  /** The lowest held-out loss of all evaluations, in nats; null where none was made. */
  readonly bestLoss: number | null;
  /** All that the run recorded, from its first step on: the lines of metrics.jsonl. */
  readonly metrics: readonly MetricsRecord[];
  /** The finished model, or else the newest state. */
  load(options?: ModelOptions): Promise<LanguageModel>;
}

const PACE: Kind = { words: "a Pace", holds: (value) => value instanceof Pace };
const OPTIONS = {
  onStep: FUNCTION,
  onEval: FUNCTION,
  onRecord: FUNCTION,
  onNotice: FUNCTION,
  onDownload: FUNCTION,
  onPreparing: FUNCTION,
  onPause: FUNCTION,
  stopRequested: FUNCTION,
  pace: PACE,
  signal: SIGNAL,
  untilStep: AMOUNT,
  availableMemoryBytes: AMOUNT,
  ownProcess: FLAG,
} as const satisfies Record<keyof RunOptions, Kind>;
const CHANGES = { checkpoint: CHECKPOINT, changes: OBJECT } as const satisfies Record<keyof ResumeOptions, Kind>;

/**
 * Trains a model in this thread, which is blocked while a step computes, and writes a run folder; from the page of a
 * browser, in a worker, on a GPU where there is one. Settings that are left out have the defaults of the command line.
 * @throws ConfigError with every fault of the settings, before anything is written; DataError, CheckpointError,
 * DeviceError, or NumericError on divergence; the reason of a signal that is aborted already; a HighrankError that
 * names a listener that failed, when the run is saved.
 */
export async function train(settings: TrainSettings = {}, options: RunOptions = {}): Promise<Run> {
  requireArguments("train", { settings: OBJECT }, { settings });
  const listening = heard("train", options);
  const open = resolveSettings({ flags: { ...settings }, defaults: { device: await usualDevice() } });
  const work = listening.options;
  for (const notice of unusedNotices({ ...settings }, open)) work.onNotice?.(notice);
  const result = await listening.listeners.resultOf(
    isPage ? elsewhere((heard) => startTraining(open, heard), listening) : trainRun(open, work),
  );
  return ended(result, listening.records);
}

/**
 * Goes on with a run, in this thread or, from the page of a browser, in a worker. Unless `changes` says otherwise, the
 * result is to the last bit that of the run without the interruption. A run that was killed before its first checkpoint
 * begins anew; one that is done stays so.
 * @throws CheckpointError for a folder that is no run or is damaged, ConfigError for changes that its steps so far do
 * not allow and for a folder that another process writes into, DataError for other data; and what `train` throws.
 */
export async function resume(
  runFolder: string,
  changes: Partial<ResumeOptions> = {},
  options: RunOptions = {},
): Promise<Run> {
  requireArguments("resume", { runFolder: TEXT }, { runFolder });
  requireOptions("resume", changes, CHANGES);
  const listening = heard("resume", options);
  const work = listening.options;
  const result = await listening.listeners.resultOf(
    isPage
      ? elsewhere((heard) => startResuming(runFolder, changes, heard), listening)
      : resumeRun(runFolder, changes, work),
  );
  return ended(result, listening.records);
}

/** Waits for a run in a worker, and stops it when asked to. */
function elsewhere(
  start: (options: TrainingOptions) => TrainingHandle,
  { listeners: { signal }, options: { onRecord, stopRequested, ...options } }: Heard,
): Promise<TrainResult> {
  const handle = start({
    ...options,
    onRecord: (record) => {
      onRecord(record);
      if (stopRequested()) handle.stop();
    },
  });
  // A run that is paused records nothing.
  signal.addEventListener("abort", handle.stop, { once: true });
  return handle.done;
}

/** The options of a run with its listeners guarded, and what they heard. */
interface Heard {
  readonly listeners: Listeners;
  /** Options of the training loop, with the listeners that are always there. They keep what is recorded. */
  readonly options: TrainOptions & Required<Pick<TrainOptions, "onRecord" | "stopRequested">>;
  readonly records: readonly MetricsRecord[];
}

function heard(call: string, given: RunOptions): Heard {
  requireOptions(call, given, OPTIONS);
  given.signal?.throwIfAborted();
  const listeners = new Listeners(given.signal);
  const { onStep, onEval, onRecord, onNotice, signal: _, stopRequested, ...rest } = listeners.guarded(given);
  const records: MetricsRecord[] = [];
  return {
    listeners,
    records,
    options: {
      ...rest,
      ...(onNotice !== undefined && { onNotice: heardByProgram(onNotice) }),
      onRecord: (record) => {
        records.push(record);
        if (record.kind === "step") onStep?.(record);
        if (record.kind === "eval") onEval?.(record);
        onRecord?.(record);
      },
      stopRequested: () => listeners.signal.aborted || stopRequested?.() === true,
    },
  };
}

/** @param heard what this call recorded; a run that went on has more in its folder. */
async function ended(result: TrainResult, heard: readonly MetricsRecord[]): Promise<Run> {
  const { runFolder: folder, outcome } = result;
  const metrics = outcome === "planned" ? heard : await allRecords(folder, heard);
  const losses = metrics.flatMap((record) => (record.kind === "eval" ? [record.loss] : []));
  return {
    ...result,
    folder,
    finalLoss: result.heldOutLoss,
    bestLoss: losses.length === 0 ? null : smallest(losses),
    metrics,
    load: (options) => loadModel(folder, options),
  };
}
