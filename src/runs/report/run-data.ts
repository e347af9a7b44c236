import { shownModel } from "../../hub/hub-name.js";
import { escapeHtml, pageText, pairs } from "./html.js";
import { memoryCard } from "./memory.js";
import { mergeCharts } from "./merge-charts.js";
import { layerKindsCard, layersCard, mergesCard } from "./merges.js";
import type { RunData, Sections } from "./page-data.js";
import { quantizationCard } from "./quantization.js";
import type { RunCourse } from "./run-course.js";
import { sampleList } from "./samples.js";
import { factsOf, factTiles, summaryRows } from "./summary.js";

/** A run as its page names it. `settings.rank` is compared with the rank that merges reach. */
export interface ShownRun {
  readonly id: string;
  readonly name: string;
  readonly title: string;
  readonly settings: Readonly<Record<string, unknown>>;
}

/** What the page of runs holds of one. @param state in a word or a few. */
export function runData(
  { id, name, title, settings }: ShownRun,
  course: RunCourse,
  { state, isRunning }: Pick<RunData, "state" | "isRunning">,
): RunData {
  const { rank } = settings;
  return {
    id,
    name: pageText(name),
    title: pageText(title),
    state,
    isRunning,
    facts: factsOf(course),
    steps: course.steps.columns(),
    evals: course.evals.items,
    marks: course.marks,
    charts: mergeCharts(course.merges.items, typeof rank === "number" ? rank : undefined),
    settings: settingPairs(settings),
  };
}

/**
 * The parts of the page that are markup: nothing about merges or quantization where there was none.
 * @param warnings what is to be said first, a sentence each.
 * @param outcome in place of that by the records.
 */
export function sectionsOf(
  course: RunCourse,
  settings: ShownRun["settings"],
  { warnings = [], outcome }: { readonly warnings?: readonly string[]; readonly outcome?: string } = {},
): Sections {
  return {
    warnings: warnings.map((warning) => `<li>${escapeHtml(warning)}</li>`).join(""),
    facts: factTiles(course),
    samples: sampleList(course.samples.items),
    summary: pairs(summaryRows(course, outcome)),
    tables: tablesOf(course),
    settings: pairs(settingPairs(settings)),
  };
}

function tablesOf({ merges: list, start, end, quantize }: RunCourse): string {
  const merges = list.items;
  const small = [
    quantize === undefined ? "" : quantizationCard(quantize),
    layerKindsCard(merges),
    start === undefined ? "" : memoryCard(start, end),
  ].join("\n");
  const grid = `<div class="tables">${small}</div>`;
  return merges.length === 0 ? grid : [mergesCard(merges), grid, layersCard(merges)].join("\n");
}

function settingPairs(settings: ShownRun["settings"]): [string, string][] {
  return Object.entries(settings).map(([name, value]) => [pageText(name), pageText(settingText(value))]);
}

/** What a report and a page call a run, by the name of its folder and its settings. */
export function runTitle(name: string, { method, model }: ShownRun["settings"]): string {
  return typeof method === "string" && typeof model === "string" ? `${name}: ${method} of ${shownModel(model)}` : name;
}

/** A setting's value in words. */
export function settingText(value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return value.join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
