import { baseName } from "#platform";
import { formatCount, formatDuration } from "../base/numbers.js";
import { settingText } from "../runs/report/run-data.js";
import type { LossAtStep } from "../runs/run-state.js";
import type { ComparedRun, RunComparison } from "../studies/compare-runs.js";
import { tableLines } from "./table.js";
import { cutToWidth } from "./terminal.js";

/** Columns of a setting's value at most. */
const VALUE_COLUMNS = 28;

const STATES: Readonly<Record<ComparedRun["state"], string>> = {
  done: "done",
  early: "ended early",
  stopped: "stopped",
  diverged: "diverged",
  begun: "not ended",
};

/** Runs side by side: what came out, the settings that differ, and whether the losses compare. */
export function comparisonLines({ runs, settings, incomparable, best }: RunComparison): string[] {
  const names = shortNames(runs.map(({ folder }) => folder));
  const nameOf = (folder: string): string => names[runs.findIndex((run) => run.folder === folder)]!;
  const head = ["run", "loss", "best", "at step", "steps", "tokens", "trained", "time", "state"];
  const rows = runs.map((run, i) => [
    names[i]!,
    lossText(run.last),
    lossText(run.best),
    run.best === null ? "–" : String(run.best.step),
    `${run.step}/${run.settings.maxSteps}`,
    formatCount(run.tokens),
    run.trainableParameters === null ? "–" : formatCount(run.trainableParameters),
    run.seconds === null ? "–" : formatDuration(run.seconds),
    STATES[run.state],
  ]);
  const values = settings.map(({ key, values }) => [key, ...values.map(valueText)]);
  const verdict =
    incomparable.length > 0
      ? [
          `Their losses do not compare with that of ${names[0]}:`,
          ...incomparable.flatMap(({ folder, reasons }) => reasons.map((reason) => `  ${nameOf(folder)}: ${reason}`)),
        ]
      : [
          "All held-out losses are of the same tokens, in nats.",
          ...(best === null ? [] : [`The lowest is that of ${nameOf(best)}.`]),
        ];
  return [
    ...tableLines("lrrrrrrrl", head, rows),
    "",
    ...(values.length === 0
      ? ["The settings are the same."]
      : tableLines("l".repeat(1 + runs.length), ["setting", ...names], values)),
    "",
    ...verdict,
  ];
}

/** The last parts of paths that tell them apart. */
function shortNames(folders: readonly string[]): string[] {
  const last = folders.map((folder) => baseName(folder));
  return new Set(last).size === folders.length ? last : [...folders];
}

function lossText(loss: LossAtStep | null): string {
  return loss === null ? "–" : loss.loss.toFixed(4);
}

function valueText(value: unknown): string {
  return cutToWidth(settingText(value), VALUE_COLUMNS);
}
