import { exists, joinPath } from "#platform";
import { CheckpointError, ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import type { DataFacts, OpenSettings } from "../config/derive.js";
import { findSetting, settingOf } from "../config/names.js";
import { resolveSettings } from "../config/resolve.js";
import { requireResumable } from "../config/resume-settings.js";
import type { SettingKey, Settings } from "../config/settings.js";
import { requireUsed } from "../config/unused.js";
import { onFirst } from "../distributed/first.js";
import { damageOf } from "../files/checksums.js";
import { planStep } from "../relora/plan.js";
import type { CheckpointName } from "../runs/checkpoint.js";
import { checkpointName, goBackTo, listCheckpoints } from "../runs/checkpoint.js";
import { bestOf, type Ending, endingOf, publishedStep } from "../runs/early-stop.js";
import type { MetricsRecord, PublishedLosses } from "../runs/metrics.js";
import { isRunFolder, RunFolder, readRunSettings, writeSettings } from "../runs/run-folder.js";
import { openRun, type SavedRun } from "../runs/saved-run.js";
import { runWarnings } from "../runs/warnings.js";
import type { TrainResult } from "./ending.js";
import { withLength } from "./new-length.js";
import { inJob, runIn, type TrainOptions } from "./train.js";

/** Changes to a run that goes on. */
export interface ResumeOptions {
  /** The checkpoint to go on from. */
  readonly checkpoint: CheckpointName;
  /** Values by setting name, as text or typed, out of {@link RESUME_SETTINGS}. */
  readonly changes: Readonly<Record<string, unknown>>;
}

/** Those that must be known before all others. */
const JOB_SETTINGS: ReadonlySet<unknown> = new Set(["distributed", "mpiTimeout", "scratch"]);

/**
 * Resumes a run, in this thread. Unless `changes` says otherwise, the result is to the last bit that of the run without
 * the interruption. A run that was killed before its first checkpoint begins anew; one that is done stays so.
 * @throws CheckpointError for a folder that is no run or is damaged, ConfigError for changes that its steps so far do
 * not allow or that come too late, and for a folder that another process writes into, DataError for other data; and what
 * `train` throws.
 */
export async function resume(
  path: string,
  { checkpoint = "last", changes = {} }: Partial<ResumeOptions> = {},
  options: TrainOptions = {},
): Promise<TrainResult> {
  requireResumable(Object.keys(changes));
  const job = await jobOf(path, changes);
  return inJob(job, options, async (ranks, heard) => {
    await onFirst(ranks, () => requireRun(path));
    return resumeIn(new RunFolder(path, ranks, job.scratch), { checkpoint, changes }, heard);
  });
}

/** The settings of the job, of the run where it is seen from here. */
async function jobOf(path: string, changes: ResumeOptions["changes"]): Promise<OpenSettings> {
  const named = Object.entries(changes).filter(([name]) => JOB_SETTINGS.has(findSetting(name)?.key));
  const flags = Object.fromEntries(named);
  return (await isRunFolder(path)) ? readRunSettings(path, flags) : resolveSettings({ flags });
}

async function requireRun(path: string): Promise<void> {
  if (await isRunFolder(path)) return;
  throw new CheckpointError(`${path} holds no run: config.resolved.json is missing; name the folder that train wrote`);
}

async function resumeIn(
  folder: RunFolder,
  { checkpoint, changes }: ResumeOptions,
  options: TrainOptions,
): Promise<TrainResult> {
  const { onNotice = () => {} } = options;
  const { path } = folder;
  try {
    const takenOver = await folder.lock();
    if (takenOver !== null) onNotice(takenOver);
    const records = await folder.recover();
    const settings: Settings = {
      ...(await readRunSettings(folder.path, { force: false, ...changes }, factsIn(records))),
      out: path,
    };
    requireUsed(changes, settings);
    const steps = await listCheckpoints(path);
    if (checkpoint === "last" && steps.length === 0) {
      await folder.requireOwn();
      onNotice(`${path} has no checkpoint yet: it begins anew.`);
      return await runIn(folder, settings, options);
    }
    const saved = await openRun(path, checkpoint);
    withLength(saved, settings); // Before the data are read.
    const { step } = saved.checkpoint;
    const ending = endingOf(step, saved.state, settings);
    const best = bestOf(step, saved.state, steps);
    const published = publishedStep(step, { best }, settings);
    const isDone =
      ending !== null && (await folder.write((at) => isFinished(at, saved, { ending, published }, records)));
    const later = steps.filter((each) => each > step).map(checkpointName);
    await folder.requireOwn([...later, ...(isDone ? [] : ["model", "adapter"])]);
    if (isDone) {
      const late = lateChanges(changes, saved.settings, settings);
      if (late.length > 0) {
        const wayOut = `leave ${late.length > 1 ? "them" : "it"} out, or let the run go on with more`;
        throw new ConfigError(
          `${late.map((key) => optionName(key)).join(", ")}: cannot change any more, as ${endWords(path, step, ending, settings)}; ` +
            `${wayOut} ${optionName(ending === "done" ? "maxSteps" : "patience")}`,
        );
      }
      const more = ending === "done" ? "" : "; a larger patience lets it go on";
      onNotice(`${endWords(path, step, ending, settings)}${more}.`);
      await folder.write(async (at) => {
        await goBackTo(at, step, best?.step ?? null);
        if (Object.keys(changes).length > 0) await writeSettings(at, settings, at);
      });
      await folder.writeReport(settings);
      return finishedAlready(saved, ending, published, records);
    }
    if (records.length < saved.state.records) {
      onNotice(
        `metrics.jsonl lacks ${saved.state.records - records.length} lines of the steps before; they are left out.`,
      );
    }
    return await runIn(folder, settings, options, saved);
  } finally {
    await folder.release();
  }
}

function endWords(path: string, step: number, ending: Ending, { maxSteps }: Settings): string {
  return ending === "done"
    ? `${path} is done: nothing is left of its ${maxSteps} steps`
    : `${path} ended early, after ${step} of ${maxSteps} steps`;
}

/** The changes that a run with nothing left to do would ignore: of those that its numbers depend on. */
function lateChanges(changes: ResumeOptions["changes"], before: Settings, settings: Settings): SettingKey[] {
  return Object.keys(changes)
    .map((name) => findSetting(name)!.key)
    .filter((key) => !settingOf(key).mayChangeDone && !settingOf(key).computesNothing)
    .filter((key) => JSON.stringify(before[key]) !== JSON.stringify(settings[key]));
}

/** The facts of the data that a length in epochs follows from. */
function factsIn(records: readonly MetricsRecord[]): DataFacts {
  const rowsPerEpoch = records.findLast((record) => record.kind === "start")?.outline?.rowsPerEpoch;
  return rowsPerEpoch === undefined ? {} : { rowsPerEpoch };
}

/** True if nothing is left to do: the last record is written, and so is what the run publishes. */
async function isFinished(
  folder: string,
  { settings, checkpoint: { step } }: SavedRun,
  { ending, published }: { ending: Ending; published: number },
  records: readonly MetricsRecord[],
): Promise<boolean> {
  const last = records.at(-1);
  const names = planStep(published, settings).phase === "adapter" ? ["model", "adapter"] : ["model"];
  return (
    last?.kind === "end" &&
    last.outcome === ending &&
    last.step === step &&
    last.modelStep === published &&
    (await Promise.all(names.map((name) => isWhole(joinPath(folder, name))))).every(Boolean)
  );
}

async function isWhole(folder: string): Promise<boolean> {
  return (await exists(folder)) && ((await damageOf(folder)) ?? []).length === 0;
}

function lossesIn(last: MetricsRecord | undefined): PublishedLosses | undefined {
  return last?.kind === "end" ? last.losses : undefined;
}

/** @param records those of the run; of a quantized base the last has the losses of the model. */
function finishedAlready(
  { folder, checkpoint, state, quantizer }: SavedRun,
  outcome: Ending,
  modelStep: number,
  records: readonly MetricsRecord[],
): TrainResult {
  const loss = (modelStep === checkpoint.step ? state.evaluated : state.best)?.loss ?? null;
  const losses =
    quantizer === null ? { trained: loss, exact: loss } : (lossesIn(records.at(-1)) ?? { trained: null, exact: null });
  return {
    outcome,
    runFolder: folder,
    step: checkpoint.step,
    tokens: state.tokens,
    heldOutLoss: state.evaluated?.loss ?? null,
    losses,
    checkpoint: checkpoint.folder,
    modelFolder: joinPath(folder, "model"),
    modelStep,
    warnings: runWarnings(records),
  };
}
