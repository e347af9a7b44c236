import { largest } from "../base/numbers.js";
import type { SettingKey, Settings } from "../config/settings.js";
import type { MergeRecord, MetricsRecord } from "../runs/metrics.js";
import type { RunFiles } from "./run-files.js";
import type { LayerSpectra } from "./spectra.js";
import { type Difference, differenceOf, meanOf, type Spread, spreadOf } from "./statistics.js";
import type { Study } from "./study.js";
import type { RunPhase, RunStatus } from "./study-run.js";

/** A merge into float32 weights must not change the held-out loss by this much, in nats. */
export const MERGE_TOLERANCE = 1e-4;

/** The outcome of one run. */
export interface RunSummary {
  readonly arm: string;
  readonly seed: number;
  readonly phase: RunPhase;
  /** Completed steps of `maxSteps`. */
  readonly step: number;
  readonly maxSteps: number;
  /** Held-out loss of the finished model in nats; null unless the run is done and gave a number. */
  readonly loss: number | null;
  readonly perplexity: number | null;
  readonly tokens: number;
  /** Wall time of training; null while it has not ended. */
  readonly seconds: number | null;
  readonly peakMemoryBytes: number | null;
  readonly parameters: number | null;
  readonly trainableParameters: number | null;
  readonly checkpointBytes: number | null;
  readonly merges: number;
  /** The largest |loss after − before| of any merge, in nats; null without merges. */
  readonly mergeChange: number | null;
  /** Updates left out because their numbers were not finite. */
  readonly skipped: number;
  /**
   * The weights at the end of the warm start: held-out loss and SHA-256; null where the run had none, or is not there
   * yet.
   */
  readonly warm: { readonly step: number; readonly loss: number; readonly sha256: string } | null;
  readonly dataSha256: string | null;
}

/** The outcome of an arm over the seeds whose runs are done. */
export interface ArmSummary {
  readonly name: string;
  /** Format of its frozen weights; null for float32. */
  readonly quantizer: string | null;
  readonly runs: readonly RunSummary[];
  readonly loss: Spread | null;
  readonly perplexity: Spread | null;
  /** Its loss minus that of the reference arm with the same seed. */
  readonly overLow: Difference | null;
  readonly overHigh: Difference | null;
  /** (low − arm) / (low − high) of each seed whose low is above its high: 0 for the low arm, 1 for the high one. */
  readonly gapClosed: Spread | null;
  readonly tokens: number | null;
  readonly seconds: number | null;
  readonly peakMemoryBytes: number | null;
  readonly parameters: number | null;
  readonly trainableParameters: number | null;
  readonly checkpointBytes: number | null;
  /** Merges of one run. */
  readonly merges: number;
  readonly mergeChange: number | null;
  /** True if every merge left the loss as it was; null where weights are quantized, or nothing was merged. */
  readonly mergesKept: boolean | null;
  readonly diverged: number;
  /** Resolved settings that are not the same in all arms. */
  readonly settings: Partial<Settings>;
}

/** Runs of one seed that came out of their warm start, or passed its last step, with the same weights or loss. */
export interface WarmStartGroup {
  readonly seed: number;
  readonly step: number;
  readonly loss: number;
  /** With the same weights to the bit. */
  readonly arms: readonly string[];
  /** Full-rank arms that have the same loss to the last digit at that step. */
  readonly passing: readonly string[];
}

/** The outcome of a study. */
export interface StudySummary {
  readonly title: string;
  readonly notes: string;
  readonly seeds: readonly number[];
  readonly reference: Study["reference"];
  /** Number of all runs, and of those that have ended. */
  readonly runs: { readonly planned: number; readonly ended: number };
  readonly arms: readonly ArmSummary[];
  /**
   * The arm with the lowest mean loss of those whose runs are all done; null while there are fewer than two, and where
   * losses do not compare.
   */
  readonly best: { readonly arm: string; readonly loss: number } | null;
  /** Loss of the low arm minus that of the high one; null without a high one. */
  readonly gap: Difference | null;
  readonly warmStarts: readonly WarmStartGroup[];
  /** Seeds of which two runs were not trained on the same data, so that their losses are not compared. */
  readonly differentData: readonly number[];
  readonly machines: readonly string[];
  readonly spectra: LayerSpectra | null;
}

/** Everything known about a run. */
export interface RunEvidence extends RunStatus {
  readonly files: RunFiles | null;
}

export function summarizeRun({ run, phase, step, records, files }: RunEvidence): RunSummary {
  const { arm, seed, settings } = run;
  const start = records.findLast((record) => record.kind === "start");
  const end = records.findLast((record) => record.kind === "end");
  const merges = records.filter((record) => record.kind === "merge");
  const loss = phase === "done" ? finishedLoss(records) : null;
  const trained = records.findLast((record) => record.kind === "step");
  return {
    arm,
    seed,
    phase,
    step,
    maxSteps: settings.maxSteps,
    loss,
    perplexity: loss === null ? null : Math.exp(loss),
    tokens: end?.tokens ?? trained?.tokens ?? 0,
    seconds: end?.seconds ?? null,
    peakMemoryBytes: end?.peakMemoryBytes ?? null,
    parameters: start?.parameters ?? null,
    trainableParameters: start?.trainableParameters ?? null,
    checkpointBytes: files?.checkpointBytes ?? null,
    merges: merges.length,
    mergeChange: largestChange(merges),
    skipped: records.filter((record) => record.kind === "skip").length,
    warm: warmOf(settings, records, files),
    dataSha256: files?.dataSha256 ?? null,
  };
}

/** The largest change of the loss by a merge, infinity if a loss was no number; null if none was measured. */
function largestChange(merges: readonly MergeRecord[]): number | null {
  // JSON writes both what was not measured and what is no number as null; a merge measures both losses or none.
  const measured = merges.filter(({ lossBefore, lossAfter }) => !(Number.isNaN(lossBefore) && Number.isNaN(lossAfter)));
  if (measured.length === 0) return null;
  return largest(
    measured.map(({ lossBefore, lossAfter }) => {
      const known = Number.isFinite(lossBefore) && Number.isFinite(lossAfter);
      return known ? Math.abs(lossAfter - lossBefore) : Number.POSITIVE_INFINITY;
    }),
  );
}

/** The loss; null if nothing was evaluated after that step, or the loss was no number. */
export function lossAt(records: readonly MetricsRecord[], step: number): number | null {
  const found = records.find((record) => record.kind === "eval" && record.step === step);
  return found?.kind === "eval" && Number.isFinite(found.loss) ? found.loss : null;
}

/** The held-out loss of the finished model; null where there is none, or it is no number. */
export function finishedLoss(records: readonly MetricsRecord[]): number | null {
  const end = records.findLast((record) => record.kind === "end");
  return end?.modelStep == null ? null : lossAt(records, end.modelStep);
}

function warmOf(
  { method, warmStartSteps }: Settings,
  records: readonly MetricsRecord[],
  files: RunFiles | null,
): RunSummary["warm"] {
  if (method === "full" || warmStartSteps === 0 || files === null || !files.adapted) return null;
  const loss = lossAt(records, warmStartSteps);
  return loss === null ? null : { step: warmStartSteps, loss, sha256: files.baseSha256 };
}

/** @param evidence of all runs, seed after seed, the arms in their order. */
export function summarize(
  study: Study,
  evidence: readonly RunEvidence[],
  { machines, spectra }: Pick<StudySummary, "machines" | "spectra">,
): StudySummary {
  const { title, notes, seeds, reference } = study;
  const runs = evidence.map(summarizeRun);
  const lossOf = new Map(runs.map(({ arm, seed, loss }) => [`${arm} ${seed}`, loss]));
  const differentData = seeds.filter(
    (seed) => new Set(runs.flatMap((run) => (run.seed === seed ? (run.dataSha256 ?? []) : []))).size > 1,
  );
  const comparable = seeds.filter((seed) => !differentData.includes(seed));
  const pairs = (arm: string, other: string | null): number[] =>
    comparable.flatMap((seed) => {
      const [own, that] = [lossOf.get(`${arm} ${seed}`), lossOf.get(`${other} ${seed}`)];
      return own == null || that == null ? [] : [own - that];
    });
  const { low, high } = reference;
  const differing = differingSettings(study);
  const arms = study.arms.map(({ name, settings }): ArmSummary => {
    const own = runs.filter(({ arm }) => arm === name);
    const done = own.filter(({ loss }) => loss !== null);
    const ended = own.filter(hasEnded);
    const start = evidence
      .filter(({ run, phase }) => run.arm === name && hasEnded({ phase }))
      .flatMap(({ records }) => records.filter((record) => record.kind === "start"))
      .at(-1);
    const quantizer = start?.quantizer ?? null;
    // Of runs that have ended: what others show so far may be that of the warm start, which another arm has trained
    // for them.
    const known = (key: keyof RunSummary): number[] =>
      ended.map((run) => run[key]).filter((value) => typeof value === "number");
    const mean = (key: keyof RunSummary): number | null => (known(key).length === 0 ? null : meanOf(known(key)));
    const mergeChange = known("mergeChange").length === 0 ? null : largest(known("mergeChange"));
    return {
      name,
      quantizer,
      runs: own,
      loss: spreadOf(done.map(({ loss }) => loss!)),
      perplexity: spreadOf(done.map(({ perplexity }) => perplexity!)),
      overLow: name === low ? null : differenceOf(pairs(name, low)),
      overHigh: name === high ? null : differenceOf(pairs(name, high)),
      gapClosed: spreadOf(gapsClosed(comparable, (arm, seed) => lossOf.get(`${arm} ${seed}`) ?? null, name, reference)),
      tokens: mean("tokens"),
      seconds: mean("seconds"),
      peakMemoryBytes: mean("peakMemoryBytes"),
      parameters: mean("parameters"),
      trainableParameters: mean("trainableParameters"),
      checkpointBytes: mean("checkpointBytes"),
      merges: largest(known("merges"), 0),
      mergeChange,
      mergesKept: mergeChange === null || quantizer !== null ? null : mergeChange < MERGE_TOLERANCE,
      diverged: own.filter(({ phase }) => phase === "diverged").length,
      settings: Object.fromEntries(differing.map((key) => [key, settings[key]])),
    };
  });
  return {
    title,
    notes,
    seeds,
    reference,
    runs: { planned: runs.length, ended: runs.filter(hasEnded).length },
    arms,
    best: differentData.length > 0 ? null : bestOf(arms),
    gap: differenceOf(pairs(low, high)),
    warmStarts: warmStartGroups(study, evidence, runs),
    differentData,
    machines,
    spectra,
  };
}

function bestOf(arms: readonly ArmSummary[]): StudySummary["best"] {
  const whole = arms.flatMap(({ name, loss, runs }) =>
    loss !== null && loss.n === runs.length ? [{ arm: name, loss: loss.mean }] : [],
  );
  return whole.length < 2 ? null : whole.reduce((best, each) => (each.loss < best.loss ? each : best));
}

function hasEnded({ phase }: Pick<RunStatus, "phase">): boolean {
  return phase === "done" || phase === "diverged";
}

function gapsClosed(
  seeds: readonly number[],
  lossOf: (arm: string, seed: number) => number | null,
  arm: string,
  { low, high }: Study["reference"],
): number[] {
  if (high === null) return [];
  return seeds.flatMap((seed) => {
    const [own, top, bottom] = [lossOf(arm, seed), lossOf(low, seed), lossOf(high, seed)];
    return own === null || top === null || bottom === null || top <= bottom ? [] : [(top - own) / (top - bottom)];
  });
}

/** In the order of the settings. */
function differingSettings({ arms }: Study): SettingKey[] {
  const [first] = arms;
  const text = (value: unknown): string => JSON.stringify(value);
  return (Object.keys(first!.settings) as SettingKey[]).filter((key) =>
    arms.some(({ settings }) => text(settings[key]) !== text(first!.settings[key])),
  );
}

function warmStartGroups(
  { seeds, arms }: Study,
  evidence: readonly RunEvidence[],
  runs: readonly RunSummary[],
): WarmStartGroup[] {
  const full = new Set(arms.filter(({ settings }) => settings.method === "full").map(({ name }) => name));
  return seeds.flatMap((seed) => {
    const warm = runs.filter((run) => run.seed === seed && run.warm !== null);
    const hashes = [...new Set(warm.map((run) => run.warm!.sha256))];
    return hashes.map((hash): WarmStartGroup => {
      const same = warm.filter((run) => run.warm!.sha256 === hash);
      const { step, loss } = same[0]!.warm!;
      const passing = evidence.filter(
        ({ run, records }) => run.seed === seed && full.has(run.arm) && lossAt(records, step) === loss,
      );
      return { seed, step, loss, arms: same.map(({ arm }) => arm), passing: passing.map(({ run }) => run.arm) };
    });
  });
}
