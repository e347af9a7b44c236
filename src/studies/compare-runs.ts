import { exists, isDirectory, joinPath, listFolder, readText, realPath, sha256File } from "#platform";
import { CheckpointError, ConfigError } from "../base/errors.js";
import { append } from "../base/lists.js";
import { SETTING_KEYS, settingOf } from "../config/names.js";
import type { SettingKey, Settings } from "../config/settings.js";
import { readJsonObject } from "../files/json-file.js";
import { checkpointPath } from "../files/open-file.js";
import { checkpointName, listCheckpoints } from "../runs/checkpoint.js";
import { type MetricsRecord, parseMetrics } from "../runs/metrics.js";
import { isRunFolder, readRunSettings } from "../runs/run-folder.js";
import { type LossAtStep, parseRunState, type RunState } from "../runs/run-state.js";

/** A run as its folder has it. */
export interface ComparedRun {
  readonly folder: string;
  readonly settings: Settings;
  /** `begun` for a run without an end: stopped, killed or under way. */
  readonly state: "done" | "early" | "stopped" | "diverged" | "begun";
  /** Completed steps. */
  readonly step: number;
  /** Tokens trained on. */
  readonly tokens: number;
  /** The last held-out loss, in nats, and the lowest; null where none was measured. */
  readonly last: LossAtStep | null;
  readonly best: LossAtStep | null;
  /** Weights that its last phase trains. */
  readonly trainableParameters: number | null;
  /** Wall time of training; null where neither an end nor a checkpoint has recorded it. */
  readonly seconds: number | null;
}

/** Runs side by side. */
export interface RunComparison {
  readonly runs: readonly ComparedRun[];
  /** Settings that are not the same in all runs, in the order of the settings, with a value for each run. */
  readonly settings: readonly { readonly key: SettingKey; readonly values: readonly unknown[] }[];
  /** The reasons why the losses of a run do not compare with those of the first; no entry where they do. */
  readonly incomparable: readonly { readonly folder: string; readonly reasons: readonly string[] }[];
  /** The folder of the run with the lowest held-out loss; null unless all losses compare and two were measured. */
  readonly best: string | null;
}

/** True if the path is a run folder, or a folder of a study that holds some. */
export async function holdsRuns(path: string): Promise<boolean> {
  return (await isRunFolder(path)) || (await runsOfStudy(path)).length > 0;
}

/**
 * Reads runs and puts them side by side; the folder of a study stands for all its runs. Nothing is trained or written.
 * @throws ConfigError for fewer than two runs, and for one that is named twice; CheckpointError for folders that hold none or cannot be read.
 */
export async function compareRuns(paths: readonly string[]): Promise<RunComparison> {
  await requireEachOnce(paths);
  const folders: string[] = [];
  for (const path of paths) append(folders, (await isRunFolder(path)) ? [path] : await runsOfStudy(path, true));
  if (folders.length < 2) throw new ConfigError(`compare: must be given at least two runs, got ${folders.join(", ")}`);
  const runs: (ComparedRun & Evaluated)[] = [];
  for (const folder of new Set(folders)) runs.push(await readRun(folder));
  const [first, ...others] = runs;
  const incomparable = others.flatMap((run) => {
    const reasons = reasonsAgainst(first!, run);
    return reasons.length === 0 ? [] : [{ folder: run.folder, reasons }];
  });
  const measured = runs.filter(({ best }) => best !== null).sort((a, b) => a.best!.loss - b.best!.loss);
  return {
    runs: runs.map(({ heldOutSha256: _, dataSha256: __, tokenizerSha256: ___, ...run }) => run),
    settings: differences(runs),
    incomparable,
    best: incomparable.length === 0 && measured.length > 1 ? measured[0]!.folder : null,
  };
}

/** @throws ConfigError for a path that is named twice. */
async function requireEachOnce(paths: readonly string[]): Promise<void> {
  const places = await Promise.all(paths.map(realPath));
  const second = places.findIndex((place, index) => places.indexOf(place) < index);
  if (second < 0) return;
  const first = paths[places.indexOf(places[second]!)]!;
  const names =
    first === paths[second] ? `${first} is named twice` : `${first} and ${paths[second]} are the same folder`;
  throw new ConfigError(`compare: ${names}; name each run once`);
}

/** The run folders of a study's folder. @param needed throws where there are none. */
async function runsOfStudy(path: string, needed = false): Promise<string[]> {
  const runs = joinPath(path, "runs");
  const found: string[] = [];
  for (const arm of (await isDirectory(runs)) ? await listFolder(runs) : []) {
    const seeds = joinPath(runs, arm);
    for (const seed of (await isDirectory(seeds)) ? await listFolder(seeds) : []) {
      if (await isRunFolder(joinPath(seeds, seed))) found.push(joinPath(seeds, seed));
    }
  }
  if (found.length === 0 && needed) {
    throw new CheckpointError(
      `${path} holds no run: config.resolved.json is missing; name the folder that train or compare wrote`,
    );
  }
  return found.sort();
}

/** The data that a held-out loss was measured on. */
interface Evaluated {
  readonly heldOutSha256: string | undefined;
  readonly dataSha256: string | undefined;
  readonly tokenizerSha256: string | undefined;
}

async function readRun(folder: string): Promise<ComparedRun & Evaluated> {
  const settings = await readRunSettings(folder);
  const metrics = await checkpointPath(folder, "metrics.jsonl");
  const records: readonly MetricsRecord[] = (await exists(metrics))
    ? parseMetrics(await readText(metrics), metrics)
    : [];
  const state = await newestState(folder);
  const end = records.findLast((record) => record.kind === "end");
  const ended = end !== undefined && records.at(-1) === end;
  const trained = records.findLast((record) => record.kind === "step");
  const losses = records.flatMap((record) =>
    record.kind === "eval" && Number.isFinite(record.loss) ? [{ step: record.step, loss: record.loss }] : [],
  );
  const tokenizer = joinPath(folder, "base", "tokenizer.json");
  return {
    folder,
    settings,
    state: ended ? end.outcome : "begun",
    step: records.findLast(({ kind }) => kind === "step" || kind === "skip")?.step ?? 0,
    tokens: trained?.tokens ?? 0,
    last: losses.at(-1) ?? null,
    best: losses.reduce<LossAtStep | null>(
      (best, each) => (best === null || each.loss < best.loss ? each : best),
      null,
    ),
    trainableParameters: records.findLast((record) => record.kind === "start")?.trainableParameters ?? null,
    seconds: ended ? end.seconds : (state?.seconds ?? null),
    heldOutSha256: state?.heldOutSha256,
    dataSha256: state?.dataSha256,
    tokenizerSha256: (await exists(tokenizer)) ? await sha256File(tokenizer) : undefined,
  };
}

async function newestState(folder: string): Promise<RunState | null> {
  const step = (await listCheckpoints(folder)).at(-1);
  if (step === undefined) return null;
  const file = await checkpointPath(folder, `${checkpointName(step)}/state.json`);
  return parseRunState(await readJsonObject(file), file);
}

/** Settings that decide which tokens are held out and how they are cut, beside data and tokenizer. */
export const HELD_OUT: readonly SettingKey[] = [
  ...(["validationFraction", "sequenceLength", "chatTemplate", "chatDate", "addSpecialTokens"] as const),
  ...(["trainOnInputs", "packing"] as const),
];

type Read = ComparedRun & Evaluated;

/** The reasons why the held-out losses of two runs are not losses on the same tokens; none where they are. */
function reasonsAgainst(one: Read, other: Read): string[] {
  const [a, b] = [one.settings, other.settings];
  const reasons: string[] = [];
  const differs = (key: SettingKey): boolean => JSON.stringify(a[key]) !== JSON.stringify(b[key]);
  const both = (key: SettingKey): string => `${key} ${shown(b[key])} instead of ${shown(a[key])}`;
  if (differs("evalTokens")) reasons.push(`other evaluations: ${both("evalTokens")}`);
  if (isSame(one, other)) return reasons;
  const splits = HELD_OUT.filter(differs).map(both);
  const drawsOther = differs("seed") && !differs("data");
  if (differs("data")) reasons.push(`other data: ${b.data} instead of ${a.data}`);
  if (differs("validData")) reasons.push(`other held-out data: ${both("validData")}`);
  if (one.tokenizerSha256 !== other.tokenizerSha256) reasons.push("other tokenizer: its tokens are other units");
  if (splits.length > 0) reasons.push(`other held-out tokens: ${splits.join(", ")}`);
  if (drawsOther) reasons.push(`other held-out split: ${both("seed")}, which draws it`);
  if (reasons.length === 0) {
    reasons.push(`other held-out tokens: ${b.validData ?? b.data} has changed between the runs`);
  }
  return reasons;
}

function isSame(one: Read, other: Read): boolean {
  const { heldOutSha256: a } = one;
  const { heldOutSha256: b } = other;
  if (a !== undefined && b !== undefined) return a === b && one.tokenizerSha256 === other.tokenizerSha256;
  if (one.dataSha256 !== undefined && other.dataSha256 !== undefined) return one.dataSha256 === other.dataSha256;
  // Without a checkpoint the settings are all that is known.
  return ["data" as const, "tokenizer" as const, "vocabSize" as const, "seed" as const, ...HELD_OUT].every(
    (key) => JSON.stringify(one.settings[key]) === JSON.stringify(other.settings[key]),
  );
}

function differences(runs: readonly ComparedRun[]): RunComparison["settings"] {
  const text = (value: unknown): string => JSON.stringify(value ?? null);
  return SETTING_KEYS.flatMap((key) => {
    const values = runs.map(({ settings }) => settings[key]);
    const isSameInAll = values.every((value) => text(value) === text(values[0]));
    return isSameInAll || settingOf(key).computesNothing ? [] : [{ key, values }];
  });
}

function shown(value: unknown): string {
  return value === null ? "none" : String(value);
}
