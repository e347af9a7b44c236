import { append } from "../../base/lists.js";
import { formatBytes, formatCount, formatDuration, formatNumber, formatShare } from "../../base/numbers.js";
import { rankText } from "../../relora/merge-report.js";
import type { EvalRecord, MetricsRecord } from "../metrics.js";
import { chartsOf } from "./charts.js";
import { card, escapeHtml, pairs } from "./html.js";
import { memoryCard } from "./memory.js";
import { layerKindsCard, layersCard, mergesCard } from "./merges.js";
import { renderPage } from "./page.js";
import { quantizationCard } from "./quantization.js";

/** Contents of a report; `settings` are listed as they are, and `settings.rank` is compared with the rank reached. */
export interface ReportInput {
  readonly title: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly records: readonly MetricsRecord[];
}

/** The page of a run: curves, merges, samples of text and settings. @throws DataError as `renderPage`. */
export function renderReport({ title, settings, records }: ReportInput): Promise<string> {
  const { rank } = settings;
  const charts = chartsOf(records, typeof rank === "number" ? { rank } : {});
  const evals = records.filter((record) => record.kind === "eval");
  const content = (cards: readonly string[]): string => `${card("Summary", "", pairs(summaryOf(records)))}
<div class="charts">${cards.join("\n")}</div>
${tablesOf(records)}
${samplesCard(evals)}
<details class="card"><summary>Settings</summary>${pairs(Object.entries(settings).map(([key, value]) => [key, settingText(value)]))}</details>`;
  return renderPage({ title, charts, content });
}

/** Tables of what the records hold: nothing about merges or quantization where there was none. */
function tablesOf(records: readonly MetricsRecord[]): string {
  const merges = records.filter((record) => record.kind === "merge");
  const start = records.findLast((record) => record.kind === "start");
  const quantize = records.find((record) => record.kind === "quantize");
  const end = records.findLast((record) => record.kind === "end");
  const small = [
    quantize === undefined ? "" : quantizationCard(quantize),
    layerKindsCard(merges),
    start === undefined ? "" : memoryCard(start, end),
  ].join("\n");
  const grid = `<div class="tables">${small}</div>`;
  return merges.length === 0 ? grid : [mergesCard(merges), grid, layersCard(merges)].join("\n");
}

function summaryOf(records: readonly MetricsRecord[]): [string, string][] {
  const rows: [string, string][] = [];
  const start = records.findLast((record) => record.kind === "start");
  const end = records.findLast((record) => record.kind === "end");
  const steps = records.filter((record) => record.kind === "step");
  const merges = records.filter((record) => record.kind === "merge");
  const modelStep = end?.modelStep ?? null;
  const skips = records.filter((record) => record.kind === "skip").length;
  if (start !== undefined) {
    const share = formatShare(start.trainableParameters / (start.parameters || 1));
    append(rows, [
      ["Model", `${start.model}, ${formatCount(start.parameters)} parameters`],
      ["Trainable", `${formatCount(start.trainableParameters)} (${share} of the model's size)`],
      ...(start.quantizer === null ? [] : [["Base", start.quantizer] satisfies [string, string]]),
      ["Data", start.data],
      ["Device", start.device],
    ]);
  }
  const outcomes = {
    done: "done",
    early: "ended early: the held-out loss fell no more",
    stopped: "stopped on request",
    diverged: "stopped: the numbers diverged",
  };
  rows.push(["Outcome", end === undefined ? "not finished" : outcomes[end.outcome]]);
  const last = steps.at(-1);
  if (last !== undefined) {
    const planned = start === undefined ? "" : ` of ${start.maxSteps}`;
    rows.push(["Steps", `${last.step}${planned}, ${formatCount(last.tokens)} tokens`]);
  }
  if (modelStep !== null && modelStep !== end?.step) rows.push(["Finished model", `of step ${modelStep}, the best`]);
  append(rows, heldOutRows(records));
  const lastMerge = merges.at(-1);
  if (lastMerge !== undefined) {
    const rank = rankText(lastMerge.layers);
    rows.push(["Merges", `${merges.length}${rank === null ? "" : `, ${rank}`}`]);
  }
  if (skips > 0) rows.push(["Skipped updates", String(skips)]);
  if (end !== undefined) {
    const saving = `${formatShare(end.savingSeconds / (end.seconds || 1))} for checkpoints`;
    rows.push(["Time", `${formatDuration(end.seconds)}, ${saving}`], ["Peak memory", formatBytes(end.peakMemoryBytes)]);
  }
  return rows;
}

/** Held-out loss at the start, where the warm start ended, and last. */
function heldOutRows(records: readonly MetricsRecord[]): [string, string][] {
  const evals = records.filter((record) => record.kind === "eval");
  const [first, last] = [evals[0], evals.at(-1)];
  if (first === undefined || last === undefined) return [];
  const lastWarm = records.findLast((record) => record.kind === "step" && record.phase === "warm-start");
  const warm = lastWarm === undefined ? undefined : evals.findLast((record) => record.step <= lastWarm.step);
  const text = (record: EvalRecord): string =>
    `${record.loss.toFixed(4)} (perplexity ${formatNumber(record.perplexity)})`;
  const rows: [string, string][] = [["Held-out loss at first", text(first)]];
  if (warm !== undefined && warm !== first && warm !== last) rows.push(["… after the warm start", text(warm)]);
  if (last !== first) rows.push(["… at last", text(last)]);
  const { losses } = records.findLast((record) => record.kind === "end") ?? {};
  if (losses === undefined) return rows;
  const measured = (loss: number | null): string => loss?.toFixed(4) ?? "not measured";
  rows.push(["… of the model, trained weights (quantized base and adapter)", measured(losses.trained)]);
  rows.push(["… of the model, exact weights (as published, in float32)", measured(losses.exact)]);
  return rows;
}

function samplesCard(evals: readonly EvalRecord[]): string {
  const samples = evals.filter((record) => record.sample !== "");
  if (samples.length === 0) return "";
  const items = samples.map(
    ({ step, loss, sample }) =>
      `<div class="sample"><span class="when">step ${step}, held-out loss ${loss.toFixed(4)}</span><pre>${escapeHtml(sample.trim())}</pre></div>`,
  );
  return card("Samples through time", "", items.join("\n"));
}

/** A setting's value in words. */
export function settingText(value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return value.join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
