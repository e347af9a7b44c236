import { cpuCount, exists, joinPath, readText } from "#platform";
import { CheckpointError, ConfigError } from "../base/errors.js";
import { optionName } from "../base/naming.js";
import { hasFullRows, isComplete, type OpenSettings } from "../config/derive.js";
import { settingOf } from "../config/names.js";
import type { SettingKey, Settings } from "../config/settings.js";
import { checkpointPath } from "../files/open-file.js";
import { locateData } from "../hub/locate-data.js";
import type { DownloadEvents } from "../hub/model-download.js";
import { locateModels } from "../loading/named-models.js";
import { listCheckpoints } from "../runs/checkpoint.js";
import { type MetricsRecord, parseMetrics } from "../runs/metrics.js";
import { isRunFolder, readRunSettings } from "../runs/run-folder.js";
import { prepareRun } from "../training/prepare.js";
import type { Arm, AskedStudy, Study } from "./study.js";

/** One cell of the matrix. */
export interface StudyRun {
  readonly arm: string;
  readonly seed: number;
  readonly folder: string;
  readonly settings: Settings;
  /** The settings that were asked for; a run that exists must have been made with the same. Default: the settings. */
  readonly asked?: OpenSettings;
  /** Mean number of tokens that a step computes. */
  readonly tokensPerStep: number;
}

/** A run that ended early is done. `diverged` is an end too: the same run would diverge again. */
export type RunPhase = "new" | "begun" | "done" | "diverged";

/** The contents of a run folder. */
export interface RunStatus {
  readonly run: StudyRun;
  readonly phase: RunPhase;
  /** Completed steps that need not be repeated. */
  readonly step: number;
  readonly records: readonly MetricsRecord[];
}

/**
 * The study with the commits of the hub models that it names, so that all runs use the same, and with what follows from
 * models and data: from those of the first seed, so that an arm has the same settings with each. Downloads the models.
 */
export async function locateStudy(study: AskedStudy, events?: DownloadEvents): Promise<Study> {
  const arms: Arm[] = [];
  for (const { name, settings: asked } of study.arms) {
    const named = (await locateModels(asked, events)).settings;
    const located = { ...named, data: (await locateData(named.data, events)).name };
    if (isComplete(located) && hasFullRows(located)) arms.push({ name, settings: located, asked: located });
    else {
      const run = await prepareRun({ ...located, seed: study.seeds[0]! }, undefined, events);
      const { settings, cursor } = run;
      arms.push({
        name,
        settings: { ...settings, seed: asked.seed },
        asked: located,
        tokensPerRow: cursor.tokensPerRow,
      });
    }
  }
  return { ...study, arms };
}

/**
 * All runs of a study, seed after seed, so that there is something to compare early.
 * @param parallel runs at once, which share the machine's cores.
 */
export function studyRuns({ arms, seeds }: Study, out: string, parallel: number): StudyRun[] {
  const share = Math.max(1, Math.floor(cpuCount() / parallel));
  return seeds.flatMap((seed) =>
    arms.map(({ name, settings, asked = settings, tokensPerRow = settings.sequenceLength }) => {
      const folder = joinPath(out, "runs", name, `seed-${seed}`);
      const threads = settings.threads ?? share;
      const own = { seed, threads, out: folder };
      const tokensPerStep = settings.totalBatchSize * tokensPerRow;
      return { arm: name, seed, folder, settings: { ...settings, ...own }, asked: { ...asked, ...own }, tokensPerStep };
    }),
  );
}

/**
 * The status of the runs.
 * @throws ConfigError that names every run made with other settings; CheckpointError for what cannot be read.
 */
export async function lookAtRuns(runs: readonly StudyRun[]): Promise<RunStatus[]> {
  const statuses: RunStatus[] = [];
  const faults: string[] = [];
  for (const run of runs) {
    const changes = await changesOf(run);
    if (changes.length > 0) faults.push(`${run.folder} was made with other settings: ${changes.join("; ")}`);
    else statuses.push(await lookAtRun(run));
  }
  if (faults.length === 0) return statuses;
  throw new ConfigError(
    [...faults, `give the changed study another ${optionName("out")}, or remove these folders to repeat the runs`].join(
      "\n",
    ),
  );
}

async function changesOf({ folder, settings, asked = settings }: StudyRun): Promise<string[]> {
  if (!(await isRunFolder(folder))) return [];
  const before = await readRunSettings(folder);
  const text = (value: unknown): string => JSON.stringify(value);
  return (Object.keys(settings) as SettingKey[])
    .filter((key) => asked[key] !== undefined && (key !== "chatDate" || asked.chatDate !== null))
    .filter((key) => !settingOf(key).computesNothing && text(settings[key]) !== text(before[key]))
    .map((key) => `${key} was ${text(before[key])}, is ${text(settings[key])}`);
}

/** The status of one run. @throws CheckpointError if steps that it has made are not in its metrics. */
export async function lookAtRun(run: StudyRun): Promise<RunStatus> {
  const { folder } = run;
  if (!(await isRunFolder(folder))) return { run, phase: "new", step: 0, records: [] };
  const metrics = await checkpointPath(folder, "metrics.jsonl");
  const records = (await exists(metrics)) ? parseMetrics(await readText(metrics), metrics) : [];
  const last = records.at(-1);
  const whole = last?.kind === "end" && (last.outcome === "diverged" || (await exists(joinPath(folder, "model"))));
  const hasEnded = whole && last.outcome !== "stopped";
  const hasDiverged = hasEnded && last.outcome === "diverged";
  const step = hasEnded ? last.step : ((await listCheckpoints(folder)).at(-1) ?? 0);
  // The step that diverged has no record.
  const recorded = new Set(records.flatMap((record) => (record.kind === "step" ? [record.step] : []))).size;
  if (recorded < (hasDiverged ? step - 1 : step)) {
    throw new CheckpointError(
      `${metrics}: has ${recorded} of the ${step} steps, too few to compare the run by; remove ${folder} to repeat it`,
    );
  }
  return { run, phase: hasDiverged ? "diverged" : hasEnded ? "done" : "begun", step, records };
}
