import { formatBytes, formatChange, formatCount, formatDuration } from "../base/numbers.js";
import { RANK_THRESHOLD, RELATIVE_THRESHOLD } from "../relora/merge-report.js";
import { settingText } from "../runs/report/run-data.js";
import { percent } from "./conclusion.js";
import type { ArmSpectra, KindSpectrum, LayerSpectra } from "./spectra.js";
import type { Difference, Spread } from "./statistics.js";
import { type ArmSummary, MERGE_TOLERANCE, type RunSummary, type StudySummary } from "./summary.js";

/** A table of the reports, its cells as text. */
export interface Table {
  readonly title: string;
  readonly note: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

type Column = readonly [head: string, text: (arm: ArmSummary) => string];

export function resultTable({ arms, reference, seeds }: StudySummary): Table {
  const { low, high } = reference;
  const columns: Column[] = [
    ["Arm", ({ name }) => name],
    ["Done", ({ loss, runs }) => `${loss?.n ?? 0} of ${runs.length}`],
    ["Held-out loss", ({ loss }) => spreadText(loss, (value) => value.toFixed(4))],
    ["Perplexity", ({ perplexity }) => spreadText(perplexity, (value) => value.toFixed(value < 1000 ? 2 : 0))],
    [`Over ${low}`, ({ overLow }) => differenceText(overLow)],
    ...(high === null
      ? []
      : ([
          [`Over ${high}`, ({ overHigh }) => differenceText(overHigh)],
          ["Gap closed", ({ gapClosed }) => spreadText(gapClosed, percent)],
        ] satisfies Column[])),
  ];
  const spread =
    seeds.length > 1
      ? " Loss, perplexity and gap: mean ± standard deviation over the seeds; " +
        "differences: mean over paired seeds ± standard error."
      : "";
  const gap = high === null ? "" : ` Gap closed: 0% is ${low}, 100% is ${high}.`;
  return {
    ...table(columns, arms),
    title: "Results",
    note: `Held-out loss of the finished model, in nats a token, the reference is ${low}.${gap}${spread}`,
  };
}

export function costTable({ arms }: StudySummary): Table {
  const columns: Column[] = [
    ["Arm", ({ name }) => name],
    ["Weights", ({ parameters }) => orDash(parameters, formatCount)],
    ["Trainable", ({ trainableParameters }) => orDash(trainableParameters, formatCount)],
    ["Tokens", ({ tokens }) => orDash(tokens, formatCount)],
    ["Time", ({ seconds }) => orDash(seconds, formatDuration)],
    ["Peak memory", ({ peakMemoryBytes }) => orDash(peakMemoryBytes, formatBytes)],
    ["Checkpoint", ({ checkpointBytes }) => orDash(checkpointBytes, formatBytes)],
  ];
  return {
    ...table(columns, arms),
    title: "Cost",
    note:
      "Means over the runs. Trainable is what the last phase trains; " +
      "peak memory is that of the whole process, including a warm start.",
  };
}

export function mergeTable({ arms }: StudySummary): Table {
  const kept = ({ mergesKept }: ArmSummary): string => (mergesKept === null ? "–" : mergesKept ? "yes" : "NO");
  const columns: Column[] = [
    ["Arm", ({ name }) => name],
    ["Frozen weights", ({ quantizer, merges }) => quantizer ?? (merges > 0 ? "float32" : "–")],
    ["Merges", ({ merges }) => String(merges)],
    ["Largest change of loss", ({ mergeChange }) => orDash(mergeChange, (change) => change.toExponential(1))],
    ["Invariant kept", kept],
    ["Skipped updates", ({ runs }) => String(runs.reduce((sum, { skipped }) => sum + skipped, 0))],
    ["Diverged", ({ diverged, runs }) => (diverged === 0 ? "none" : `${diverged} of ${runs.length}`)],
  ];
  return {
    ...table(columns, arms),
    title: "Merges and faults",
    note:
      `A merge into float32 weights must not change the held-out loss by ${MERGE_TOLERANCE} or more; ` +
      "quantized weights are rounded again. Updates with numbers that are not finite are skipped.",
  };
}

export function seedTable({ arms, seeds }: StudySummary): Table {
  return {
    title: "Held-out loss of each run",
    note: "",
    head: ["Arm", ...seeds.map((seed) => `Seed ${seed}`)],
    rows: arms.map(({ name, runs }) => [name, ...runs.map(runText)]),
  };
}

/** Settings that differ between arms. */
export function settingsTable({ arms, reference }: StudySummary): Table {
  const low = arms.find(({ name }) => name === reference.low)!;
  const entries = (arm: ArmSummary): string =>
    Object.entries(arm.settings)
      .filter(
        ([key, value]) =>
          arm === low || settingText(value) !== settingText(low.settings[key as keyof typeof low.settings]),
      )
      .map(([key, value]) => `${key} ${settingText(value)}`)
      .join(", ");
  return {
    title: "Settings that differ",
    note:
      `For ${low.name}, all settings that are not the same in every arm; for the others, ` +
      `those that differ from ${low.name}, including derived ones.`,
    head: ["Arm", "Settings"],
    rows: [low, ...arms.filter((arm) => arm !== low)].map((arm) => [arm.name, entries(arm) || "–"]),
  };
}

/** The counts of singular values that the ReLoRA paper calls rank, and those of another measure. */
export function spectrumTables({ arms, seed, without }: LayerSpectra): Table[] {
  if (arms.length === 0) return [];
  const kinds = [...new Set(arms.flatMap((arm) => arm.kinds.map(({ kind }) => kind)))];
  const rows = (value: (spectrum: KindSpectrum) => number): string[][] =>
    arms.map((arm) => [
      arm.arm,
      ...kinds.map((kind) => {
        const spectrum = arm.kinds.find((own) => own.kind === kind);
        return spectrum === undefined ? "–" : `${value(spectrum)} / ${possible(arm, spectrum)}`;
      }),
    ]);
  const head = ["Arm", ...kinds];
  const rounded = arms.filter((arm) => arm.rounded).map(({ arm }) => arm);
  const notes = [
    `Seed ${seed}: singular values of what was learned after the warm start, W_end − W_warm, in all layers of a kind ` +
      "together, out of as many as the merged directions allow: merges × rank, or less if a merge takes a share of them.",
    ...(rounded.length === 0
      ? []
      : [`The count for ${rounded.join(", ")} includes the rounding of merges and may exceed it.`]),
    ...without.map(({ arm, why }) => `Not ${arm}: ${why}.`),
  ];
  return [
    { title: `Singular values above ${RANK_THRESHOLD}`, note: notes.join(" "), head, rows: rows(({ above }) => above) },
    {
      title: `Singular values above ${percent(RELATIVE_THRESHOLD)} of the layer's largest`,
      note: "",
      head,
      rows: rows(({ aboveRelative }) => aboveRelative),
    },
  ];
}

function possible({ bound, rounded }: ArmSpectra, { layers, total }: KindSpectrum): number {
  return bound === null || rounded ? total : Math.min(total, bound * layers);
}

function runText({ phase, loss, step, maxSteps }: RunSummary): string {
  if (phase === "done") {
    const ended = step < maxSteps ? `, ended at step ${step}` : "";
    return `${loss === null ? "not a number" : loss.toFixed(4)}${ended}`;
  }
  if (phase === "diverged") return `diverged at step ${step}`;
  return phase === "new" ? "–" : `at step ${step} of ${maxSteps}`;
}

function table(columns: readonly Column[], arms: readonly ArmSummary[]): Pick<Table, "head" | "rows"> {
  return {
    head: columns.map(([head]) => head),
    rows: arms.map((arm) => columns.map(([, text]) => text(arm))),
  };
}

function spreadText(spread: Spread | null, format: (value: number) => string): string {
  if (spread === null) return "–";
  const { mean, deviation } = spread;
  return deviation === null ? format(mean) : `${format(mean)} ± ${format(deviation)}`;
}

function differenceText(difference: Difference | null): string {
  if (difference === null) return "–";
  const { mean, standardError } = difference;
  return standardError === null ? formatChange(mean) : `${formatChange(mean)} ± ${standardError.toFixed(4)}`;
}

function orDash(value: number | null, format: (value: number) => string): string {
  return value === null ? "–" : format(value);
}
