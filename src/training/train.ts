import {
  availableMemoryBytes,
  collectGarbage,
  heldMemoryBytes,
  onnxRuntime,
  peakMemoryBytes,
  residentMemoryBytes,
  threadsNotice,
} from "#platform";
import { lostInAdapter } from "../adapters/merge-policies.js";
import { DataError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { formatCount } from "../base/numbers.js";
import type { OpenSettings } from "../config/derive.js";
import type { Settings } from "../config/settings.js";
import type { Collective } from "../distributed/collective.js";
import { amongRanks } from "../distributed/job.js";
import { machineShare } from "../distributed/machine-share.js";
import { shownModel } from "../hub/hub-name.js";
import { describeQuantizer } from "../quant/quantizer.js";
import { describePlan, planRun } from "../relora/plan.js";
import type { MetricsRecord, StartRecord } from "../runs/metrics.js";
import { chooseRunFolder, RunFolder } from "../runs/run-folder.js";
import type { SavedRun } from "../runs/saved-run.js";
import { runWarnings } from "../runs/warnings.js";
import { threadsWarning } from "../runtime/threads.js";
import { requireSameRun } from "./agreement.js";
import type { TrainResult } from "./ending.js";
import { idleNotices } from "./idle-settings.js";
import { estimateMemory, type HeldMemory } from "./memory.js";
import { requireMemory, withEstimate } from "./memory-limit.js";
import { withLength } from "./new-length.js";
import { outlineOf } from "./outline.js";
import { Pace, PacedSteps, type Pause } from "./pace.js";
import { type PreparedRun, prepareRun } from "./prepare.js";
import { ranksInWords } from "./ranks-words.js";
import { findData, type PreparationEvents } from "./read-data.js";
import { RunOutput } from "./run-output.js";
import { runShapes } from "./run-shape.js";
import { TokenCache } from "./token-cache.js";
import { Trainer } from "./trainer.js";

/** Options of a run in a worker. */
export interface TrainingOptions extends PreparationEvents {
  /** Called for each line that goes into `metrics.jsonl`, in order, on the caller's thread. */
  readonly onRecord: (record: MetricsRecord) => void;
  /** Hears everything else: that a dead process's folder was taken over, that the run waits for a full disk. */
  readonly onNotice?: (text: string) => void;
  /** Gives the run a process of its own, so that its peak memory is that of nothing else. Default: a thread. */
  readonly ownProcess?: boolean;
  /** Saves a checkpoint after this step and ends there, as if it had been asked to stop. */
  readonly untilStep?: number;
  /** Pauses the run between two steps, and lets it make them one by one. */
  readonly pace?: Pace;
  /** Hears each time that the run waits between two steps, with its state saved. */
  readonly onPause?: (pause: Pause) => void;
}

/** Options of {@link train} and {@link resume}. */
export interface TrainOptions extends Partial<TrainingOptions> {
  /** Asked after each step; true saves a checkpoint and ends the run. */
  readonly stopRequested?: () => boolean;
  /** Bytes that the process may hold in all; by default those that it holds and those that can still be taken. */
  readonly availableMemoryBytes?: number;
  /** The processes that train together. Default: those of the job that this one was started in, or it alone. */
  readonly ranks?: Collective;
}

/**
 * Trains in this thread, which is blocked while a step computes. The run folder is made only when data, model, settings
 * and memory have been found to fit.
 * @throws ConfigError, DataError, CheckpointError, DeviceError, or NumericError on divergence.
 */
export async function train(settings: OpenSettings, options: TrainOptions = {}): Promise<TrainResult> {
  return inJob(settings, options, async (ranks, heard) => {
    const folder = new RunFolder(await chooseRunFolder(settings, ranks), ranks, settings.scratch);
    try {
      return await runIn(folder, settings, heard);
    } finally {
      await folder.release();
    }
  });
}

/**
 * Does a run's work among the ranks of its job, which hear of one another's last step where one does not answer.
 * @param work gets the options to run with.
 */
export function inJob<T>(
  { distributed, mpiTimeout }: Pick<Settings, "distributed" | "mpiTimeout">,
  options: TrainOptions,
  work: (ranks: Collective, options: TrainOptions) => Promise<T>,
): Promise<T> {
  let place = "before the first step";
  const onRecord = (record: MetricsRecord): void => {
    if (record.kind === "step") place = `after step ${record.step}`;
    options.onRecord?.(record);
  };
  const job = { distributed, mpiTimeout, place: () => place };
  return amongRanks(job, options.ranks, (ranks) => work(ranks, { ...options, onRecord }));
}

/**
 * Trains in a folder that this process has locked, or will lock.
 * @param saved the checkpoint to go on from.
 */
export async function runIn(
  folder: RunFolder,
  given: OpenSettings,
  { onRecord = () => {}, onNotice = () => {}, onPause = () => {}, ...options }: TrainOptions,
  saved?: SavedRun,
): Promise<TrainResult> {
  const [atStart, heldAtStart] = [residentMemoryBytes(), heldMemoryBytes()];
  const { ranks } = folder;
  const share = await machineShare(ranks);
  const available = options.availableMemoryBytes ?? atStart + availableMemoryBytes() / share.ranks;
  const preparing = { onDownload: options.onDownload, onPreparing: options.onPreparing };
  const events = { ...preparing, onNotice };
  // Ranks may have folders of their own, of which each would know something else.
  const cache = ranks.size === 1 ? new TokenCache(given) : null;
  let prepared = await prepareRun(given, saved, events, available, async (request) =>
    cache === null ? null : findData(request, cache, folder.path),
  );
  // What was kept is a help, and no more: the data themselves decide.
  if (prepared.read.isKept && prepared.dataSha256 !== saved?.state.dataSha256) {
    prepared = await prepareRun(given, saved, events, available);
  }
  const run = { ...prepared, ranks, threads: onnxRuntime.threadsOf(given.threads ?? share.threads) };
  const { settings } = run;
  await requireSameRun(run);
  const lacking = settings.device === "cpu" ? threadsNotice() : null;
  if (lacking !== null) onNotice(lacking);
  const tooMany = threadsWarning(given.threads);
  if (tooMany !== null) onNotice(tooMany);
  if (saved === undefined) {
    for (const notice of idleNotices(given, { quantizer: run.quantizer, summary: run.read.summary })) onNotice(notice);
  } else requireSameData(run, saved, settings);
  const goingOn = saved === undefined ? undefined : withLength(saved, settings);
  // Training a tokenizer leaves much behind, of which the system learns later.
  collectGarbage();
  const data = Math.max(0, heldMemoryBytes() - heldAtStart);
  const held = { atStart, data, peak: peakMemoryBytes() };
  const step = saved?.checkpoint.step ?? 0;
  if (settings.out === null && !settings.dryRun) await folder.reserve();
  const place = { step, runFolder: folder.path, change: goingOn?.change ?? null };
  const start = describeStart(settings, run, place, { held, available });
  const lost = settings.method === "full" ? null : lostInAdapter(settings.mergePolicy, start.quantizer ?? null);
  if (lost !== null) onNotice(`adapter/: ${lost}, which is model/.`);
  if (settings.dryRun) {
    onRecord(start);
    return { ...NOTHING_DONE, runFolder: folder.path, warnings: runWarnings([start]) };
  }
  requireMemory(start.memory, available, settings);
  const { stopRequested = () => false, untilStep, pace = new Pace() } = options;
  const steps = new PacedSteps(pace);
  const hooks = { onRecord, onNotice, onPause, stopRequested, untilStep, steps };
  const output = new RunOutput(folder, hooks, settings);
  try {
    const trainer = await (goingOn === undefined
      ? Trainer.begin(run, output, start)
      : Trainer.resume(run, output, start, goingOn.saved));
    if (cache !== null && !run.read.isKept) await keepData(run, output, cache);
    return await trainer.run();
  } catch (error) {
    throw withEstimate(error, start.memory, available);
  } finally {
    steps.release();
  }
}

async function keepData({ read }: PreparedRun, { folder, hooks }: RunOutput, cache: TokenCache): Promise<void> {
  const { train, validation } = read.tokenized;
  const tokens = { summary: read.summary, train: train.source, validation: validation.source };
  const notice = await folder.write((path) => cache.keep(path, read.inputs, tokens));
  if (notice !== null) hooks.onNotice(notice);
}

/** @throws DataError if the data are not those that the checkpoint was trained on. */
function requireSameData(
  { dataSha256, heldOutSha256 }: PreparedRun,
  { state, folder, settings: before }: SavedRun,
  { data, validData }: Settings,
): void {
  if (dataSha256 === state.dataSha256) return;
  // Earlier versions kept no checksum of what is held out alone.
  if (validData !== null && state.heldOutSha256 !== undefined && heldOutSha256 !== state.heldOutSha256) {
    const wayOut =
      before.validData === null
        ? `leave ${optionName("validData")} out, as the run holds out a part of its data`
        : `bring back the data as they were, or name where they are with ${optionName("validData")}`;
    throw new DataError(
      `${validData}: its tokens are not those that ${folder} holds out ` +
        `(SHA-256 ${heldOutSha256}, was ${state.heldOutSha256}); ${wayOut}`,
    );
  }
  throw new DataError(
    `${data}: its tokens are not those that ${folder} was trained on ` +
      `(SHA-256 ${dataSha256}, was ${state.dataSha256}); ` +
      `bring back the data as they were, or name where they are with ${optionName("data")}`,
  );
}

const NOTHING_DONE = {
  outcome: "planned",
  step: 0,
  tokens: 0,
  heldOutLoss: null,
  losses: null,
  checkpoint: null,
  modelFolder: null,
  modelStep: null,
} as const;

function describeStart(
  settings: Settings,
  run: PreparedRun,
  { step, runFolder, change }: { step: number; runFolder: string; change: string | null },
  { held, available }: { held: HeldMemory; available: number },
): StartRecord {
  const { source, quantizer, threads } = run;
  const phases = runShapes(source.build, settings, quantizer);
  const { parameters, trainableParameters } = phases.at(-1)!;
  const words = ranksInWords(run, phases.at(-1)!);
  return {
    kind: "start",
    step,
    model: shownModel(settings.model),
    parameters,
    trainableParameters,
    quantizer: quantizer && describeQuantizer(quantizer),
    memory: estimateMemory(phases, settings, run.shapes, held),
    availableMemoryBytes: available,
    device: `${settings.device}, ${threads} ${threads === 1 ? "thread" : "threads"}`,
    ...(words !== undefined && { ranks: words }),
    data: describeCounts(run),
    maxSteps: settings.maxSteps,
    outline: outlineOf(run, phases.at(-1)!),
    plan: describePlan(planRun(settings)),
    ...(change !== null && { change }),
    runFolder,
  };
}

/** The training data in words: its size, how much of it is scored, and what was cut. */
function describeCounts({
  trainCounts: { samples, tokens, scoredTokens, truncation },
  dataWords: { source, unit, form },
  isStream,
  unused,
}: PreparedRun): string {
  const leftOut = `${form === null ? "" : `; ${form}`}${unused === "" ? "" : `; not used: ${unused}`}`;
  const units = `${samples} ${unit}${samples === 1 ? "" : "s"}`;
  if (isStream) return `${source}, ${units}, ${formatCount(tokens)} tokens${leftOut}`;
  const whole = `${source}, ${units}, ${formatCount(tokens)} tokens, ${formatCount(scoredTokens)} scored`;
  if (truncation.samples === 0) return whole + leftOut;
  const cut = `${truncation.samples} samples cut, which left out ${formatCount(truncation.tokens)} tokens`;
  return `${whole}; ${cut}${leftOut}`;
}
