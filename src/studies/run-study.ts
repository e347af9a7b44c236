import { acquireLock, exists, isDirectory, joinPath, listFolder, makeFolder, requireRoom } from "#platform";
import { ConfigError, HighrankError, InterruptedError, NumericError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import type { DownloadEvents } from "../hub/model-download.js";
import { inputsOf, requireApart } from "../loading/output-folder.js";
import type { MetricsRecord } from "../runs/metrics.js";
import { LOCK_FILES } from "../runs/run-folder.js";
import type { TrainingHandle } from "../training/start.js";
import { startResuming, startTraining } from "../training/start.js";
import { holdsReports, REPORT_FILES, writeReports } from "./reports.js";
import type { AskedStudy, Study } from "./study.js";
import { locateStudy, lookAtRun, lookAtRuns, type RunStatus, type StudyRun, studyRuns } from "./study-run.js";
import type { StudySummary } from "./summary.js";
import { WarmStarts } from "./warm-starts.js";

/** Options of {@link startStudy}. */
export interface StudyOptions extends DownloadEvents {
  /** The folder of the study. */
  readonly out: string;
  /** Runs at a time, each in its own process. */
  readonly parallel?: number;
  /** Hears the status of all runs before the first one starts. */
  readonly onBegin?: (statuses: readonly RunStatus[]) => void;
  /** Hears that a run begins, or continues after `step` steps. */
  readonly onRun?: (run: StudyRun, step: number) => void;
  readonly onRecord?: (run: StudyRun, record: MetricsRecord) => void;
  /** Hears how a run ended. */
  readonly onEnd?: (status: RunStatus) => void;
}

/** A study under way. */
export interface StudyHandle {
  /**
   * Resolves when every run is done or has diverged, or when all have stopped; rejects with the error of a run that
   * failed for another reason, when the others have stopped.
   */
  readonly done: Promise<StudyResult>;
  /** Lets the runs under way save and end; `done` then resolves with `stopped`. */
  stop(): void;
}

export interface StudyResult {
  readonly outcome: "done" | "stopped";
  readonly folder: string;
  readonly summary: StudySummary;
}

const LOCK = "lock";

/**
 * Trains the remaining runs of a study and writes its reports after each. @throws through `done`: ConfigError
 * for a folder that holds something else, another process, or runs with other settings.
 */
export function startStudy(study: AskedStudy, options: StudyOptions): StudyHandle {
  const running = new Set<TrainingHandle>();
  let stopped = false;
  const stop = (): void => {
    stopped = true;
    for (const run of running) run.stop();
  };
  return { done: runStudy(study, options, { running, stop, isStopped: () => stopped }), stop };
}

interface Control {
  readonly running: Set<TrainingHandle>;
  readonly stop: () => void;
  readonly isStopped: () => boolean;
}

async function runStudy(given: AskedStudy, options: StudyOptions, control: Control): Promise<StudyResult> {
  const { out, parallel = 1, onBegin = () => {}, onNotice = () => {}, onDownload } = options;
  await requireStudyFolder(out);
  const study = await locateStudy(given, { onDownload, onNotice });
  const runs = studyRuns(study, out, parallel);
  await lookAtRuns(runs);
  await requireApart(
    out,
    runs.flatMap(({ settings }) => inputsOf(settings)),
  );
  await requireRoom(out);
  await makeFolder(out);
  const lock = await acquireLock(joinPath(out, LOCK));
  try {
    if (lock.takenOverFrom !== null) onNotice(`${out}: took over from ${lock.takenOverFrom}, which is gone.`);
    // Read again: only now does nobody else change them.
    const statuses = await lookAtRuns(runs);
    onBegin(statuses);
    const summary = await runAll(study, statuses, options, control);
    return { outcome: control.isStopped() ? "stopped" : "done", folder: out, summary };
  } finally {
    await lock.release();
  }
}

/** Folders that a study leaves in its own. */
const OWN_FOLDERS: readonly string[] = ["runs", "spectra"];

/** @throws ConfigError if the folder holds something that no study made. */
async function requireStudyFolder(out: string): Promise<void> {
  if (!(await exists(out))) return;
  if (!(await isDirectory(out))) throw new ConfigError(`${optionName("out")}: ${out} is a file; name a folder`);
  const own: readonly string[] = (await holdsReports(out)) ? [...OWN_FOLDERS, ...REPORT_FILES] : OWN_FOLDERS;
  const others = (await listFolder(out)).filter(
    (name) => !own.includes(name) && !LOCK_FILES.test(name) && !name.startsWith("."),
  );
  if (others.length === 0) return;
  throw new ConfigError(
    `${optionName("out")}: ${out} holds ${others.join(", ")}, which is no part of a study; name another folder`,
  );
}

async function runAll(
  study: Study,
  statuses: readonly RunStatus[],
  options: StudyOptions,
  control: Control,
): Promise<StudySummary> {
  const { out, parallel = 1, onEnd = () => {} } = options;
  const known = new Map(statuses.map((status) => [status.run, status]));
  const left = statuses.filter(({ phase }) => phase === "new" || phase === "begun");
  const warmStarts = new WarmStarts(left);
  let failure: { readonly error: unknown } | undefined;
  // One report after another, even if several runs end at once.
  let reports = Promise.resolve(await writeReports(study, statuses, out));
  const work = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined && !control.isStopped(); next = left.shift()) {
      try {
        const begun = await warmStarts.share(next, (status, untilStep) => doRun(status, options, control, untilStep));
        if (!control.isStopped()) await doRun(begun, options, control);
        const status = await lookAtRun(next.run);
        known.set(next.run, status);
        onEnd(status);
        const all = [...known.values()];
        reports = reports.then(() => writeReports(study, all, out));
        await reports;
      } catch (error) {
        failure ??= { error: namedAfter(next.run, error) };
        control.stop();
      }
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
  const summary = await reports;
  if (failure !== undefined) throw failure.error;
  return summary;
}

/** Trains or resumes a run. Divergence is a result, and so is an end without room; every other fault is thrown. */
async function doRun(
  { run, phase, step }: RunStatus,
  { onRun = () => {}, onRecord = () => {}, onNotice = () => {} }: StudyOptions,
  { running, isStopped }: Control,
  untilStep?: number,
): Promise<void> {
  onRun(run, step);
  const options = {
    onRecord: (record: MetricsRecord) => onRecord(run, record),
    onNotice,
    ownProcess: true,
    ...(untilStep !== undefined && { untilStep }),
  };
  const handle =
    phase === "new"
      ? startTraining(run.settings, options)
      : startResuming(run.folder, { checkpoint: "last", changes: {} }, options);
  running.add(handle);
  if (isStopped()) handle.stop();
  try {
    await handle.done;
  } catch (error) {
    if (error instanceof InterruptedError) onNotice(error.message);
    else if (!(error instanceof NumericError)) throw error;
  } finally {
    running.delete(handle);
  }
}

/** The error, with the run in its message if it is one of ours. */
function namedAfter({ arm, seed }: StudyRun, error: unknown): unknown {
  if (!(error instanceof HighrankError)) return error;
  const named = new (error.constructor as new (message: string) => HighrankError)(
    `arm ${arm}, seed ${seed}: ${error.text}`,
  );
  return Object.assign(named, { stack: error.stack });
}
