import { append } from "../../base/lists.js";
import { formatBytes, formatCount, formatDuration, formatNumber, formatShare } from "../../base/numbers.js";
import { rankText } from "../../relora/merge-report.js";
import { describeJob, type EndRecord, type EvalRecord, type RunOutline, totalBytes } from "../metrics.js";
import { recentLoss, recentSteps, recentWords } from "../recent-loss.js";
import { escapeHtml } from "./html.js";
import { hasPeak } from "./memory.js";
import type { RunFacts, StepColumns } from "./page-data.js";
import type { RunCourse } from "./run-course.js";

const OUTCOMES: Readonly<Record<EndRecord["outcome"], string>> = {
  done: "done",
  early: "ended early: the held-out loss fell no more",
  stopped: "stopped on request",
  diverged: "stopped: the numbers diverged",
};

/** Last points of the curves whose mean speed stands for the present. */
const RECENT = 20;

/** What a list of runs says of this one. */
export function factsOf({ start, end, steps, lastStep, lastEval, lowestEval }: RunCourse): RunFacts {
  const last = (points: number): StepColumns => steps.columns(Math.max(0, steps.length - points));
  // The last points are single steps.
  const { loss, steps: lossSteps } = recentLoss(last(recentSteps(steps.length)).loss);
  return {
    step: lastStep?.step ?? end?.step ?? start?.step ?? 0,
    maxSteps: start?.maxSteps ?? null,
    loss,
    lossSteps,
    heldOut: finite(lastEval?.loss),
    lowestHeldOut: finite(lowestEval?.loss),
    tokens: lastStep?.tokens ?? end?.tokens ?? 0,
    speed: meanOf(last(RECENT).speed),
    seconds: end?.seconds ?? lastStep?.seconds ?? null,
  };
}

/** A few numbers in large type, which a glance takes in. */
export function factTiles(course: RunCourse): string {
  const { start, end, firstEval, lastEval, lowestEval } = course;
  const { step, maxSteps, loss, lossSteps, heldOut, tokens, speed, seconds } = factsOf(course);
  const lowest = lowestEval === lastEval ? "" : `, lowest ${lossText(lowestEval?.loss)}`;
  const left = secondsLeft(course);
  const tiles = [
    tile("Loss", lossText(loss), `training, ${recentWords({ steps: lossSteps })}`),
    tile(
      "Held-out loss",
      lossText(heldOut),
      firstEval === lastEval ? "at first" : `from ${lossText(firstEval?.loss)}${lowest}`,
    ),
    tile("Step", formatInteger(step), maxSteps === null ? "" : `of ${formatInteger(maxSteps)}`),
    tile(
      "Tokens a second",
      speed === null ? "–" : formatCount(speed),
      `with padding; ${formatCount(tokens)} scored in all`,
    ),
    tile("Time", seconds === null ? "–" : formatDuration(seconds), left === null ? "" : `${formatDuration(left)} left`),
    end !== undefined && hasPeak(end)
      ? tile("Memory", formatBytes(end.peakMemoryBytes), "at its peak")
      : tile("Memory", start === undefined ? "–" : formatBytes(totalBytes(start.memory)), "estimated peak"),
  ];
  return tiles.join("");
}

function tile(name: string, value: string, detail: string): string {
  const below = detail === "" ? "" : `<span>${escapeHtml(detail)}</span>`;
  return `<div><dt>${escapeHtml(name)}</dt><dd><b>${escapeHtml(value)}</b>${below}</dd></div>`;
}

/** By the pace of the last steps; null where the run has ended, or its records have no times. */
export function secondsLeft({ start, end, steps }: RunCourse): number | null {
  const { step, seconds } = steps.columns(Math.max(0, steps.length - 10 * RECENT));
  const [firstStep, lastStep, begun, now] = [step[0], step.at(-1), seconds[0], seconds.at(-1)];
  if (start === undefined || end !== undefined || firstStep == null || lastStep == null || lastStep === firstStep) {
    return null;
  }
  if (begun == null || now == null || lastStep >= start.maxSteps) return null;
  return ((now - begun) / (lastStep - firstStep)) * (start.maxSteps - lastStep);
}

/** Names and values of a run's summary. @param outcome in words; by default that of the records. */
export function summaryRows(
  course: RunCourse,
  outcome: string = course.end === undefined ? "not finished" : OUTCOMES[course.end.outcome],
): [string, string][] {
  const { start, end, lastStep, merges, skips } = course;
  const rows: [string, string][] = [["Outcome", outcome]];
  if (start !== undefined) {
    const share = formatShare(start.trainableParameters / (start.parameters || 1));
    append(rows, [
      ["Model", `${start.model}, ${formatCount(start.parameters)} parameters`],
      ...(start.outline === undefined ? [] : outlineRows(start.outline)),
      ["Trainable", `${formatCount(start.trainableParameters)} (${share} of the model's size)`],
      ...(start.quantizer === null ? [] : [["Base", start.quantizer] satisfies [string, string]]),
      ["Data", start.data],
      ["Device", start.device],
    ]);
  }
  if (lastStep !== undefined) {
    const planned = start === undefined ? "" : ` of ${start.maxSteps}`;
    rows.push(["Steps", `${lastStep.step}${planned}, ${formatCount(lastStep.tokens)} tokens`]);
  }
  const modelStep = end?.modelStep ?? null;
  if (modelStep !== null && modelStep !== end?.step) rows.push(["Finished model", `of step ${modelStep}, the best`]);
  append(rows, heldOutRows(course));
  if (merges.last !== undefined) {
    const rank = rankText(merges.last.layers);
    rows.push(["Merges", `${merges.count}${rank === null ? "" : `, ${rank}`}`]);
  }
  if (skips > 0) rows.push(["Skipped updates", String(skips)]);
  if (end !== undefined) {
    const saving = `${formatShare(end.savingSeconds / (end.seconds || 1))} for checkpoints`;
    append(rows, [
      ["Time", `${formatDuration(end.seconds)}, ${saving}`],
      ...(end.seconds > 0
        ? [["Tokens a second", `${formatCount(end.tokens / end.seconds)}, evaluations included`] as [string, string]]
        : []),
      ...(hasPeak(end) ? [["Peak memory", formatBytes(end.peakMemoryBytes)] as [string, string]] : []),
    ]);
  }
  return rows;
}

function outlineRows({
  job,
  preset,
  method,
  rate,
  batchSize,
  totalBatchSize,
  rowLength,
  epochs,
}: RunOutline): [string, string][] {
  const passes = totalBatchSize === batchSize ? "" : `, ${batchSize} at a time`;
  return [
    ["Method", `${method} (${describeJob({ job, preset })})`],
    ["Learning rate", rate],
    ["Batch", `${totalBatchSize} rows of ${rowLength} tokens${passes}; ${formatNumber(epochs)} epochs`],
  ];
}

/** Held-out loss at the start, where the warm start ended, and last. */
function heldOutRows({ firstEval: first, warmEval: warm, lastEval: last, end }: RunCourse): [string, string][] {
  if (first === undefined || last === undefined) return [];
  const text = (record: EvalRecord): string =>
    `${record.loss.toFixed(4)} (perplexity ${formatNumber(record.perplexity)})`;
  const rows: [string, string][] = [["Held-out loss at first", text(first)]];
  if (warm !== undefined && warm !== first && warm !== last) rows.push(["… after the warm start", text(warm)]);
  if (last !== first) rows.push(["… at last", text(last)]);
  if (end?.losses === undefined) return rows;
  const measured = (loss: number | null): string => loss?.toFixed(4) ?? "not measured";
  rows.push(["… of the model, trained weights (quantized base and adapter)", measured(end.losses.trained)]);
  rows.push(["… of the model, exact weights (as published, in float32)", measured(end.losses.exact)]);
  return rows;
}

function lossText(loss: number | null | undefined): string {
  return loss == null || !Number.isFinite(loss) ? "–" : loss.toFixed(4);
}

function formatInteger(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

function finite(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) ? value : null;
}

function meanOf(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}
