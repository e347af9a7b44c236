import { card, escapeHtml, numbers, pairs } from "../runs/report/html.js";
import { chartCard, renderPage } from "../runs/report/page.js";
import { conclusion } from "./conclusion.js";
import type { Study } from "./study.js";
import { curveCharts, spectrumCharts } from "./study-charts.js";
import type { RunEvidence, StudySummary } from "./summary.js";
import { costTable, mergeTable, resultTable, seedTable, settingsTable, spectrumTables, type Table } from "./tables.js";

/** The page of a study. @throws DataError as `renderPage`. */
export function renderStudyPage(
  study: Study,
  evidence: readonly RunEvidence[],
  summary: StudySummary,
): Promise<string> {
  const curves = curveCharts(study, evidence);
  const { spectra, machines, notes } = summary;
  const charts = [...curves, ...(spectra === null ? [] : spectrumCharts(study, spectra))];
  const cards = charts.map(chartCard);
  const body = [
    `<h1>${escapeHtml(study.title)}</h1>`,
    notes === "" ? "" : `<p>${escapeHtml(notes)}</p>`,
    conclusionCard(summary),
    tableCard(resultTable(summary)),
    `<div class="charts led">${cards.slice(0, curves.length).join("\n")}</div>`,
    tableCard(costTable(summary)),
    tableCard(mergeTable(summary)),
    ...(spectra === null ? [] : spectrumTables(spectra).map(tableCard)),
    `<div class="charts led">${cards.slice(curves.length).join("\n")}</div>`,
    tableCard(seedTable(summary)),
    settingsCard(settingsTable(summary)),
    card("Machine and versions", "", machines.map((machine) => `<p>${escapeHtml(machine)}</p>`).join("")),
  ].join("\n");
  return renderPage({ title: study.title, body, data: { charts, runs: [], events: null } });
}

function conclusionCard(summary: StudySummary): string {
  const { findings, grounds } = conclusion(summary);
  const words = `<p class="words">${escapeHtml(findings.join(" "))}</p>`;
  return card("What the numbers show", "", `${words}<p class="grounds">${escapeHtml(grounds.join(" "))}</p>`);
}

function tableCard({ title, note, head, rows }: Table): string {
  return card(title, note, numbers(head, rows));
}

function settingsCard({ title, note, rows }: Table): string {
  return card(title, note, pairs(rows.map(([arm, settings]) => [arm!, settings!])));
}
