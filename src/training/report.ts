import { packageFile, readText } from "#platform";
import type { EvalRecord, MergeRecord, MetricsRecord } from "./metrics.js";
import { formatBytes, formatCount, formatDuration, formatNumber, formatShare } from "./number-format.js";
import { chartsOf } from "./report-charts.js";
import { REPORT_SCRIPT } from "./report-script.js";
import { REPORT_STYLE } from "./report-style.js";

/** What a report shows; `settings` are listed as they are, and `settings.rank` is compared with the rank reached. */
export interface ReportInput {
  readonly title: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly records: readonly MetricsRecord[];
}

/**
 * One HTML file that needs nothing but itself: curves, merges, samples of text and settings of a run.
 * @throws DataError if uPlot, which is put into the page, is not installed.
 */
export async function renderReport({ title, settings, records }: ReportInput): Promise<string> {
  const library = await readText(packageFile("uplot", "dist/uPlot.iife.min.js"));
  const libraryStyle = await readText(packageFile("uplot", "dist/uPlot.min.css"));
  const { rank } = settings;
  const charts = chartsOf(records, typeof rank === "number" ? { rank } : {});
  const places = charts.map(
    ({ title: name, note }, index) =>
      `<section class="card"><h2>${escapeHtml(name)}</h2><p>${escapeHtml(note)}</p><div id="chart-${index}"></div></section>`,
  );
  const merges = records.filter((record) => record.kind === "merge");
  const evals = records.filter((record) => record.kind === "eval");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>${libraryStyle}${REPORT_STYLE}</style>
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
<section class="card"><h2>Summary</h2>${pairs(summaryOf(records))}</section>
<div class="charts">${places.join("\n")}</div>
${merges.length > 0 ? mergesCard(merges) : ""}
${samplesCard(evals)}
<details class="card"><summary>Settings</summary>${pairs(Object.entries(settings).map(([key, value]) => [key, settingText(value)]))}</details>
</main>
<script id="charts-data" type="application/json">${escapeJson(charts)}</script>
<script>${library}</script>
<script>${REPORT_SCRIPT}</script>
</body>
</html>
`;
}

function summaryOf(records: readonly MetricsRecord[]): [string, string][] {
  const rows: [string, string][] = [];
  const start = records.find((record) => record.kind === "start");
  const end = records.findLast((record) => record.kind === "end");
  const steps = records.filter((record) => record.kind === "step");
  const merges = records.filter((record) => record.kind === "merge");
  const skips = records.filter((record) => record.kind === "skip").length;
  if (start !== undefined) {
    const share = formatShare(start.trainableParameters / (start.parameters || 1));
    rows.push(
      ["Model", `${start.model}, ${formatCount(start.parameters)} parameters`],
      ["Trainable", `${formatCount(start.trainableParameters)} (${share} of the model's size)`],
      ["Data", start.data],
      ["Device", start.device],
    );
  }
  const outcomes = { done: "done", stopped: "stopped on request", diverged: "stopped: the numbers diverged" };
  rows.push(["Outcome", end === undefined ? "not finished" : outcomes[end.outcome]]);
  const last = steps.at(-1);
  if (last !== undefined) {
    const planned = start === undefined ? "" : ` of ${start.maxSteps}`;
    rows.push(["Steps", `${last.step}${planned}, ${formatCount(last.tokens)} tokens`]);
  }
  rows.push(...heldOutRows(records));
  const lastMerge = merges.at(-1);
  if (lastMerge !== undefined) {
    const mean = lastMerge.rank / (lastMerge.layers.length || 1);
    rows.push(["Merges", `${merges.length}, rank ${lastMerge.rank} in all (${mean.toFixed(1)} a layer)`]);
  }
  if (skips > 0) rows.push(["Skipped updates", String(skips)]);
  if (end !== undefined) {
    rows.push(["Time", formatDuration(end.seconds)], ["Peak memory", formatBytes(end.peakMemoryBytes)]);
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
  return rows;
}

function mergesCard(merges: readonly MergeRecord[]): string {
  const rows = merges.map((merge) => [
    String(merge.cycle),
    String(merge.step),
    merge.lossBefore.toFixed(4),
    merge.lossAfter.toFixed(4),
    merge.probeLogitsChange.toExponential(1),
    formatNumber(merge.deltaNorm),
    String(merge.rank),
  ]);
  const head = ["Cycle", "Step", "Loss before", "Loss after", "Logits moved", "|ΔW|", "Rank"];
  return `<section class="card"><h2>Merges</h2>
<p>A merge must not change what the model computes: the loss of one probe batch before and after, and the largest change of any of its logits.</p>
${numbers(head, rows)}</section>${layersCard(merges)}`;
}

function layersCard(merges: readonly MergeRecord[]): string {
  const first = new Map(merges[0]?.layers.map((layer) => [layer.name, layer.rank]));
  const rows = (merges.at(-1)?.layers ?? []).map((layer) => [
    layer.name,
    formatNumber(layer.deltaNorm),
    String(first.get(layer.name) ?? "–"),
    String(layer.rank),
  ]);
  const head = ["Layer", "Last |ΔW|", "Rank after the first merge", "Rank after the last"];
  return `<details class="card"><summary>Layers</summary><div class="layers">${numbers(head, rows)}</div></details>`;
}

function samplesCard(evals: readonly EvalRecord[]): string {
  const samples = evals.filter((record) => record.sample !== "");
  if (samples.length === 0) return "";
  const items = samples.map(
    ({ step, loss, sample }) =>
      `<div class="sample"><span class="when">step ${step}, held-out loss ${loss.toFixed(4)}</span><pre>${escapeHtml(sample.trim())}</pre></div>`,
  );
  return `<section class="card"><h2>Samples through time</h2>${items.join("\n")}</section>`;
}

function pairs(rows: readonly (readonly [string, string])[]): string {
  const cells = rows.map(
    ([name, value]) => `<tr><th scope="row">${escapeHtml(name)}</th><td>${escapeHtml(value)}</td></tr>`,
  );
  return `<table class="pairs">${cells.join("")}</table>`;
}

function numbers(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join("")}</tr>`;
  return `<table class="numbers">${line(head, "th")}${rows.map((row) => line(row, "td")).join("")}</table>`;
}

function settingText(value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return value.join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text for an element or a quoted attribute; control characters, which HTML forbids, become U+FFFD. */
function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character]!).replace(/[^\P{Control}\n\t]/gu, "\ufffd");
}

/** JSON for a script element: without `<`, nothing in it can end the element. */
function escapeJson(value: unknown): string {
  return JSON.stringify(value).replaceAll("<", "\\u003c");
}
